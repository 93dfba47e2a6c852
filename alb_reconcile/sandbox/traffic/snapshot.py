"""The part of the local AWS on which traffic depends, as values: taken between two requests, then used without its lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alb_reconcile.sandbox.application import Application

Addresses = Mapping[tuple[str, int], int]
"""The local ports on which instances listen, by an instance's id and its port in AWS."""


@dataclass(frozen=True)
class TargetState:
    """A registration, as in DescribeTargetHealth. `state`: initial, healthy, unhealthy, draining or unused.

    `is_open`: whether security groups let the load balancer's requests through. `address` is the address of a target that is registered by
    address; if no instance has that address, `instance_id` is the same text, and nothing answers.
    """

    instance_id: str
    port: int
    state: str
    is_open: bool = True
    address: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """The health check settings of a target group. Times are in seconds on AWS's clock; `port` is None for each target's own port."""

    protocol: str
    port: int | None
    path: str
    interval: float
    timeout: float
    healthy_threshold: int
    unhealthy_threshold: int
    matcher: str


@dataclass(frozen=True)
class TargetGroup:
    """A target group with its targets. `attributes` have AWS's literal keys."""

    arn: str
    protocol: str
    protocol_version: str
    health_check: HealthCheck
    attributes: Mapping[str, str]
    targets: tuple[TargetState, ...]


@dataclass(frozen=True)
class Rule:
    """Conditions, actions and transforms in the shapes of DescribeRules. `priority` is None for the default rule, which is last."""

    arn: str
    priority: int | None
    conditions: tuple[Mapping[str, Any], ...]
    actions: tuple[Mapping[str, Any], ...]
    transforms: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Mutual:
    """A listener's mutual TLS: the mode `verify` or `passthrough`; and for `verify` the CA certificates and revocation lists (PEM)."""

    mode: str
    authorities: str = ""
    revocations: str = ""
    ignores_expiry: bool = False


@dataclass(frozen=True)
class Listener:
    """A listener and its rules, in the order in which they are tried. `certificates` are ARNs, the default one first.

    `policy` is the name of its security policy; if it is empty, every TLS version is allowed. `attributes` have AWS's literal keys.
    """

    arn: str
    protocol: str
    port: int
    certificates: tuple[str, ...]
    rules: tuple[Rule, ...]
    policy: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    mutual: Mutual | None = None


@dataclass(frozen=True)
class Imported:
    """An imported certificate, which is served unchanged: its chain and its key (PEM)."""

    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class LoadBalancer:
    """An active load balancer. `attributes` have AWS's literal keys. `has_acl`: whether a web ACL is associated with it."""

    arn: str
    dns_name: str
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]
    has_acl: bool = False


@dataclass(frozen=True)
class Instance:
    """An instance that isn't terminated. `state` is AWS's; `boots`: how often it was started or rebooted.

    `ports`: the ports of its web API; `owner`: its entry and stack, by its tags; `application`: what its user data installs.
    """

    id: str
    state: str
    zone: str
    private_ip: str
    user_data_digest: str
    boots: int
    ports: tuple[int, ...]
    owner: str = ""
    application: Application | None = None


@dataclass(frozen=True)
class Snapshot:
    """The state of all accounts and regions together, since ids and ARNs are unique."""

    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    certificates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Domain names of the certificates that listeners name, by ARN."""
    imported: Mapping[str, Imported] = field(default_factory=dict)
    """The imported certificates among them, by ARN, which the sandbox doesn't issue itself."""
    instances: tuple[Instance, ...] = ()
    ingress: Mapping[str, tuple[range, ...]] = field(default_factory=dict)
    """The ports at which security groups let clients in, by load balancer; all ports for a load balancer that isn't in it."""
    mute: Mapping[str, float] = field(default_factory=dict)
    """The share of a load balancer's nodes without a route back to clients, by load balancer; only load balancers with such nodes."""

    def lets_in(self, load_balancer: str, port: int) -> bool:
        """Whether security groups, and the routes of one node at least, let clients reach a load balancer's port."""
        return self.mute.get(load_balancer, 0) < 1 and any(
            port in ports for ports in self.ingress.get(load_balancer, (range(65536),))
        )
