"""The parts that resources play in an HTTP service, and what the rules of plans, gates and `sync` ask of each part.

The properties of a kind that plays a part are a subclass of the part, with the part's fields. The rules know the parts, and no kind.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.requests.conditions import Condition, Transform
from alb_reconcile.model.resource import Observed, Properties


class DnsName(Properties):
    """A DNS name that clients ask for."""

    zone: str
    name: str
    type: str
    alias: object
    """What the name leads to, as a reference; anything else where the name leads out of the service."""
    resource_records: tuple[str, ...] | None
    set_identifier: str

    @property
    def region(self) -> str:
        """The region of the load balancer that the name leads to; empty where the load balancer is in the stack's account and region."""
        raise NotImplementedError  # a kind that plays the part says it (tests/test_conformance.py)


class Balancer(Properties):
    """A load balancer: takes clients' requests in its subnets."""

    subnets: tuple[Ref, ...]
    scheme: str | None
    ip_address_type: str | None
    security_groups: tuple[Ref, ...] | None
    attributes: Mapping[str, str] | None
    name: str | None


@dataclass(frozen=True)
class Entrance:
    """Where an existing load balancer (`Balancer`) answers: its DNS name, and its VPC."""

    dns_name: str
    vpc: str


def dns_names(live: Iterable[Observed]) -> dict[Address, str]:
    """The DNS names of the load balancers among resources, by address."""
    return {item.address: item.detail(Entrance).dns_name for item in live if isinstance(item.state, Balancer)}


class Router(Properties):
    """A listener or a rule of a listener. Its action decides what becomes of a request."""


class Frontend(Router):
    """A listener: a port of a load balancer. The listener answers the requests that none of its rules takes."""

    load_balancer: Ref
    protocol: str
    port: int
    default_action: Action
    attributes: Mapping[str, str] | None

    @property
    def wants_certificate(self) -> bool:
        """Whether the listener lets in only clients that have a certificate."""
        raise NotImplementedError  # a kind that plays the part says it (tests/test_conformance.py)


class RoutingRule(Router):
    """A rule of a listener: takes the requests that meet its conditions, unless a rule with a lower priority does."""

    listener: Ref
    priority: int
    conditions: tuple[Condition, ...]
    action: Action
    transforms: tuple[Transform, ...] | None


class Pool(Properties):
    """A target group: targets that share the requests, and the check that each has to pass."""

    vpc: Ref | None
    port: int | None
    protocol_version: str | None
    attributes: Mapping[str, str] | None
    health_check: Mapping[str, Any] | None


@dataclass(frozen=True)
class ServedBy:
    """The ARNs of the load balancers that forward to a `Pool`; AWS allows one."""

    load_balancers: tuple[str, ...]


class Member(Properties):
    """A registration: a target in a target group, on a port (None for a function)."""

    target_group: Ref
    target: Ref
    port: int | None
    target_type: str | None
    ip_address_type: str | None
    availability_zone: str | None


def group_of(state: Properties | None) -> str:
    """The id or address of the target group of a `Member`; empty for anything else."""
    return str(state.target_group) if isinstance(state, Member) else ""


@dataclass(frozen=True)
class Registered:
    """How AWS knows a `Member`: an instance's id, an address or a function's ARN; and the target's availability zone."""

    id: str
    availability_zone: str | None = None


class Server(Properties):
    """An instance: runs the application, and may be replaced while others answer."""

    image_id: str
    associate_public_ip_address: bool | None
    subnets: tuple[Ref, ...]
    security_groups: tuple[Ref, ...] | None
    state: str | None


@dataclass(frozen=True)
class JointLaunch:
    """The launch of a `Server`: the launch's client token, and the addresses of all servers that the launch made."""

    token: str
    members: tuple[Address, ...]


class PublicAddress(Properties):
    """The Elastic IP address of a server."""

    instance: Ref
    elastic_ip: Ref | None


@dataclass(frozen=True)
class Holder:
    """What an Elastic IP address is associated with: a network interface, and the interface's instance; empty without an association."""

    interface: str = ""
    instance: str = ""

    def is_one_of(self, own: Container[str]) -> bool:
        """Whether the interface or the instance is in `own`."""
        return self.interface in own or self.instance in own


class StaticAddress(Properties):
    """An Elastic IP address, which its owner may have associated with another owner's resource."""


class Firewall(Properties):
    """A security group, without its rules (`Permissions`)."""


class Gateway(Properties):
    """An internet gateway: clients' way into a VPC, and the answers' way out."""


class Network(Properties):
    """A VPC."""

    cidr_block: str | None


@dataclass(frozen=True)
class Foreign:
    """Where a resource is: its VPC; for a subnet also its availability zone, how many IPv4 addresses are free, and whether the subnet has
    an IPv6 range; for an Elastic IP address the instance or network interface that has the address."""

    vpc: Ref | None = None
    zone: str | None = None
    free: int | None = None
    has_ipv6: bool | None = None
    holder: str = ""
    leads_out: bool | None = None
    """For a subnet of the stack, whether answers reach the internet's clients by its route table; None where that wasn't read."""


class Segment(Properties):
    """A subnet: addresses of a VPC in one zone."""

    vpc: Ref
    cidr_block: str | None
    ipv6_cidr_block: str | int | None
    map_public_ip_on_launch: bool | None
    availability_zone: str | None

    @property
    def location(self) -> Foreign:
        """Where the subnet is, and how many of its addresses are free while it is empty."""
        raise NotImplementedError  # a kind that plays the part says it (tests/test_conformance.py)


class Route(NamedTuple):
    """Where the traffic to a destination goes: to a range of IPv4 or IPv6 addresses, or to the ranges of a prefix list (pl-…)."""

    destination: str
    target: Ref


class Routes(Properties):
    """A route table: where the traffic of its subnets goes."""

    vpc: Ref
    routes: tuple[Route, ...] | None
    subnets: tuple[Ref, ...] | None

    @staticmethod
    def leads_out(route: Route) -> bool:
        """Whether answers reach the internet by a route."""
        raise NotImplementedError  # a kind that plays the part says it (tests/test_conformance.py)


@dataclass(frozen=True)
class Associations:
    """The associations of a route table (`Routes`), by subnet, also of others' subnets; and the table's routes that lead nowhere, as
    AWS says (blackhole)."""

    by_subnet: Mapping[str, str]
    blackholes: frozenset[Route] = frozenset()


class Permission(NamedTuple):
    """A rule of a security group. `source` is a CIDR range, a prefix list's id, or a security group's id or address.

    Where the description is None, it is not managed.
    """

    protocol: str
    from_port: int
    to_port: int
    source: Ref
    description: str | None = None

    @property
    def match(self) -> tuple[object, ...]:
        """The values by which AWS tells rules apart."""
        return self[:4]


ANYWHERE: Final = (Permission("-1", -1, -1, "0.0.0.0/0", ""),)
"""What a security group lets out when it is made (EC2 CreateSecurityGroup)."""


class Permissions(Properties):
    """What a security group lets in and out."""

    security_group: Ref
    ingress: tuple[Permission, ...] | None
    egress: tuple[Permission, ...] | None

    def lets_in(self, port: int, besides: Collection[object]) -> bool:
        """Whether the rules let in clients at a port from other sources than `besides`."""
        return any(
            (rule.protocol == "-1" or (rule.protocol == "tcp" and rule.from_port <= port <= rule.to_port))
            and rule.source not in besides
            for rule in self.ingress or ()
        )
