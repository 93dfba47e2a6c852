"""The part of the local AWS on which traffic depends, as values: taken between two requests, then used without its lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Addresses = Mapping[tuple[str, int], int]
"""The local ports that instances listen on, by an instance's id and the port that AWS knows."""


@dataclass(frozen=True)
class TargetState:
    """A registration, as DescribeTargetHealth tells it. `state`: initial, healthy, unhealthy, draining or unused.

    `is_open`: whether security groups let the load balancer through to it. `address` is what a target by address is
    registered as; where no instance has it, `instance_id` is the same, and nothing answers there.
    """

    instance_id: str
    port: int
    state: str
    is_open: bool = True
    address: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """A target group's own settings. Times in seconds of AWS; `port` is None for the target's own."""

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
    """Mutual TLS of a listener: `verify` or `passthrough`; what `verify` trusts, as PEM, and what its lists revoke."""

    mode: str
    authorities: str = ""
    revocations: str = ""
    ignores_expiry: bool = False


@dataclass(frozen=True)
class Listener:
    """A listener and its rules, in the order in which they are tried. `certificates` are ARNs, the default one first.

    `policy` names what TLS it speaks, anything if empty; `attributes` have AWS's literal keys.
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
    """A certificate that was imported, and is served as it is: its chain and its key (PEM)."""

    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer that is active. `attributes` have AWS's literal keys. `has_acl`: whether a web ACL is in front of it."""

    arn: str
    dns_name: str
    attributes: Mapping[str, str]
    listeners: tuple[Listener, ...]
    has_acl: bool = False


@dataclass(frozen=True)
class Instance:
    """An instance that isn't gone. `state`: AWS's name for it; `boots`: how often it was started or rebooted.

    `ports`: where its web API listens; `owner`: its entry and stack, by its tags.
    """

    id: str
    state: str
    zone: str
    private_ip: str
    user_data_digest: str
    boots: int
    ports: tuple[int, ...]
    owner: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All accounts and regions together: ids and ARNs tell them apart."""

    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: Mapping[str, TargetGroup] = field(default_factory=dict)
    certificates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Domain names of the certificates that listeners name, by ARN."""
    imported: Mapping[str, Imported] = field(default_factory=dict)
    """Those of them that aren't the sandbox's own to issue."""
    instances: tuple[Instance, ...] = ()
    ingress: Mapping[str, tuple[range, ...]] = field(default_factory=dict)
    """The ports at which security groups let clients in, by load balancer; every one where it isn't named."""
    mute: Mapping[str, float] = field(default_factory=dict)
    """The share of the nodes whose answers find no way to clients, by load balancer that has any."""

    def lets_in(self, load_balancer: str, port: int) -> bool:
        """Whether clients get through to a load balancer's port, at one of its nodes at least."""
        return self.mute.get(load_balancer, 0) < 1 and any(
            port in ports for ports in self.ingress.get(load_balancer, (range(65536),))
        )
