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
    """What it leads to, as a reference; anything else where it leads out of the service."""
    resource_records: tuple[str, ...] | None
    set_identifier: str

    @property
    def region(self) -> str:
        """The region of the load balancer that it leads to, where that isn't one of the account and region; else empty."""
        raise NotImplementedError


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
    """Where a load balancer answers: its DNS name, and its VPC. Of a `Balancer` that there is."""

    dns_name: str
    vpc: str


def dns_names(live: Iterable[Observed]) -> dict[Address, str]:
    """Where the load balancers among resources answer."""
    return {item.address: item.detail(Entrance).dns_name for item in live if isinstance(item.state, Balancer)}


class Router(Properties):
    """Decides what becomes of a request: a listener by its default action, or one of its rules."""


class Frontend(Router):
    """A listener: a port of a load balancer. Answers the requests that none of its rules takes."""

    load_balancer: Ref
    protocol: str
    port: int
    default_action: Action
    attributes: Mapping[str, str] | None

    @property
    def wants_certificate(self) -> bool:
        """Whether clients get in with a certificate only."""
        raise NotImplementedError


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
    """The target group that a `Member` is in, by its id or address; empty for anything else."""
    return str(state.target_group) if isinstance(state, Member) else ""


@dataclass(frozen=True)
class Registered:
    """How AWS knows a `Member`: an instance's id, an address or a function's ARN; and the zone that it counts to."""

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
    """The launch of a `Server`: its client token, and the addresses of all servers that it made."""

    token: str
    members: tuple[Address, ...]


class PublicAddress(Properties):
    """The Elastic IP address of a server."""

    instance: Ref
    elastic_ip: Ref | None


@dataclass(frozen=True)
class Holder:
    """What an Elastic IP address is associated with: a network interface, and the instance that has it; empty if with nothing."""

    interface: str = ""
    instance: str = ""

    def is_one_of(self, own: Container[str]) -> bool:
        """Whether it is one of those interfaces or instances."""
        return self.interface in own or self.instance in own


class StaticAddress(Properties):
    """An Elastic IP address, which its owner may have given to others."""


class Firewall(Properties):
    """A security group, without its rules (`Permissions`)."""


class Gateway(Properties):
    """An internet gateway: clients' way into a VPC, and the answers' way out."""


class Network(Properties):
    """A VPC."""

    cidr_block: str | None


@dataclass(frozen=True)
class Foreign:
    """Where a resource is: its VPC, and of a subnet its availability zone, how many IPv4 addresses are free, and whether it has
    an IPv6 range; of an Elastic IP address the instance or network interface that has it."""

    vpc: Ref | None = None
    zone: str | None = None
    free: int | None = None
    has_ipv6: bool | None = None
    holder: str = ""
    leads_out: bool | None = None
    """Of a subnet of the stack, whether answers reach the internet's clients by its route table; None where nobody has looked."""


class Segment(Properties):
    """A subnet: addresses of a VPC in one zone."""

    vpc: Ref
    cidr_block: str | None
    ipv6_cidr_block: str | int | None
    map_public_ip_on_launch: bool | None
    availability_zone: str | None

    @property
    def location(self) -> Foreign:
        """Where it is, and how many of its addresses are free before anything is in it."""
        raise NotImplementedError


class Route(NamedTuple):
    """Where the traffic to a range of addresses goes, of IPv4 or IPv6, or to a prefix list's (pl-…)."""

    destination: str
    target: Ref


class Routes(Properties):
    """A route table: where the traffic of its subnets goes."""

    vpc: Ref
    routes: tuple[Route, ...] | None
    subnets: tuple[Ref, ...] | None

    @staticmethod
    def leads_out(route: Route) -> bool:
        """Whether answers get out to the internet by a route."""
        raise NotImplementedError


@dataclass(frozen=True)
class Associations:
    """The associations of a `Routes`, by subnet; those of others' subnets too. And its routes that lead nowhere, as AWS
    says (blackhole)."""

    by_subnet: Mapping[str, str]
    blackholes: frozenset[Route] = frozenset()


class Permission(NamedTuple):
    """One rule of a security group. `source` is a CIDR range, a prefix list's id, a security group's id or its address.

    A description of None is not managed.
    """

    protocol: str
    from_port: int
    to_port: int
    source: Ref
    description: str | None = None

    @property
    def match(self) -> tuple[object, ...]:
        """What AWS tells rules apart by."""
        return self[:4]


ANYWHERE: Final = (Permission("-1", -1, -1, "0.0.0.0/0", ""),)
"""What a security group lets out when it is made (EC2 CreateSecurityGroup)."""


class Permissions(Properties):
    """What a security group lets in and out."""

    security_group: Ref
    ingress: tuple[Permission, ...] | None
    egress: tuple[Permission, ...] | None

    def lets_in(self, port: int, besides: Collection[object]) -> bool:
        """Whether clients other than these groups' own members get in."""
        return any(
            (rule.protocol == "-1" or (rule.protocol == "tcp" and rule.from_port <= port <= rule.to_port))
            and rule.source not in besides
            for rule in self.ingress or ()
        )
