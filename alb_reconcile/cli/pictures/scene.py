"""What is in a stack's picture, as plain values: no places, no colours, no markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Node:
    """A resource: what it is called, what is said of it, how it is, and what the plan does to it (create, update, replace,
    delete, or nothing)."""

    key: str
    title: str
    lines: tuple[str, ...] = ()
    status: str = ""
    is_well: bool = True
    change: str = ""
    told: tuple[str, ...] = ()
    """What the plan changes, a line each."""


class Tally(NamedTuple):
    """Targets: how many are healthy, are there, and are to be registered."""

    healthy: int = 0
    there: int = 0
    coming: int = 0

    def __str__(self) -> str:
        known = [f"{self.healthy} of {self.there} healthy"] if self.there else []
        return ", ".join([*known, *([f"{self.coming} to come"] if self.coming else [])]) or "none"


class Share(NamedTuple):
    """A target group that gets requests, its weight, and its part of them (0 to 1)."""

    group: str
    weight: int
    part: float


@dataclass(frozen=True)
class Route:
    """A rule, or a listener's default action, and what it does: in words where it checks, redirects or answers itself; to whom
    it forwards."""

    node: Node
    what: str
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True)
class Door:
    """A listener with its routes, the default one last, and how many more there are."""

    node: Node
    routes: tuple[Route, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Balancer:
    node: Node
    dns_name: str = ""
    doors: tuple[Door, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Group:
    """A target group, with its targets by subnet; what is no instance of the picture as `elsewhere`."""

    node: Node
    targets: Mapping[str, Tally] = field(default_factory=dict)
    elsewhere: Tally = field(default_factory=Tally)

    @property
    def tally(self) -> Tally:
        """All of its targets."""
        return Tally(*map(sum, zip(*self.targets.values(), self.elsewhere, strict=True)))


@dataclass(frozen=True)
class Net:
    """A subnet with its instances."""

    node: Node
    instances: tuple[Node, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Zone:
    name: str
    subnets: tuple[Net, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Network:
    """A VPC: its gateways, and its zones."""

    node: Node
    gateways: tuple[Node, ...] = ()
    zones: tuple[Zone, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Scene:
    """The whole picture. `others` counts what isn't drawn by kind; `left_out` says what there was no space for."""

    stack: str
    place: str
    balancers: tuple[Balancer, ...] = ()
    groups: tuple[Group, ...] = ()
    networks: tuple[Network, ...] = ()
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By kind how many there are, and how many of them change."""
    left_out: tuple[str, ...] = ()

    def nodes(self) -> Iterator[Node]:
        """Everything that is drawn, from the top to the bottom."""
        for balancer in self.balancers:
            yield balancer.node
            for door in balancer.doors:
                yield door.node
                yield from (route.node for route in door.routes)
        yield from (group.node for group in self.groups)
        for network in self.networks:
            yield network.node
            yield from network.gateways
            for net in (net for zone in network.zones for net in zone.subnets):
                yield net.node
                yield from net.instances
