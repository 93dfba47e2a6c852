"""Finds the doors of a stack: what clients ask for, the healthy targets that each request reaches, and what shuts the way.

A door is a listener's default action, a rule, or a DNS name that leads to a load balancer. Plans, their rehearsal, the gate of a run and
`engine.service` all ask this module, which asks AWS nothing. What isn't known, such as the rules of another stack's security group, counts
as open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from alb_reconcile.engine.world import COMING, World
from alb_reconcile.engine.zones import is_zonal, node_zones, target_zone, zone_of
from alb_reconcile.kinds._targets import as_address
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.secrets import redact
from alb_reconcile.model.service import (
    Associations,
    Balancer,
    DnsName,
    Foreign,
    Frontend,
    Member,
    Permission,
    Pool,
    RoutingRule,
    Segment,
    Server,
)

Asked = tuple[object, ...]
"""What distinguishes a door from all others (`Door.asked`), or a sort of requests (`engine.answers`)."""
_HTTP1: Final = (None, "HTTP1")
_MOST_NAMES: Final = 3
_FAMILIES: Final[Mapping[str, Collection[int]]] = {"dualstack": (4, 6), "dualstack-without-public-ipv4": (6,)}
"""The IP versions of a load balancer's clients on the internet, by its `ip_address_type`; only 4 for any other type."""
_WIDE: Final = {4: 1, 6: 3}
"""The largest prefix length, in bits, with which a route's destination covers most of the internet: 0.0.0.0/1, 2000::/3."""


@dataclass(frozen=True)
class Shut:
    """Why requests don't get through, in words, and the ids of the resources that cause it. `what` is the name of the target in the
    text."""

    reason: str
    by: frozenset[str] = frozenset()
    what: str = ""

    @property
    def text(self) -> str:
        """The reason, with the target's name."""
        return self.reason.replace("TARGET", self.what)


def join(shuts: Iterable[Shut]) -> list[Shut]:
    """Each reason once, with all targets that it concerns."""
    alike: dict[str, list[Shut]] = defaultdict(list)
    for shut in shuts:
        alike[shut.reason].append(shut)
    return [
        Shut(reason, frozenset().union(*(shut.by for shut in found)), _named(sorted({shut.what for shut in found})))
        for reason, found in alike.items()
    ]


def _named(names: list[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


@dataclass(frozen=True)
class Reach:
    """A target group that gets a door's requests, by id, and how many of its targets they reach.

    `coming` counts targets that a plan expects to become healthy; `lost` is why requests don't reach targets that would answer them, `cut`
    why they don't reach targets of whatever status.
    """

    group: str
    healthy: int = 0
    coming: int = 0
    lost: tuple[Shut, ...] = ()
    cut: tuple[Shut, ...] = ()
    is_known: bool = True
    """Whether the group's targets were read; those of a group outside the stack aren't."""
    zones: Mapping[str, Reach] = field(default_factory=dict)
    """What the load balancer's node in each zone reaches: all targets, or only those in its zone (`engine.zones`)."""

    @property
    def count(self) -> int:
        """How many targets are healthy or expected to be."""
        return self.healthy + self.coming


@dataclass(frozen=True)
class Door:
    """What clients ask for, and what answers it.

    `asked` distinguishes the door from all others: the load balancer, the protocol and port, and a rule's conditions; or a name and its
    type. The load balancer is told by its address, so that it and its successor are one entrance.
    """

    item: Observed
    balancer: str
    asked: Asked
    reaches: tuple[Reach, ...] = ()
    """The target groups that get the door's requests; empty if the door doesn't forward, as with a fixed response."""
    barred: tuple[Shut, ...] = ()
    """Why all of the door's clients, or those of a zone, can't get in."""
    narrow: tuple[Shut, ...] = ()
    """Why clients on the internet with IPv4, or with IPv6, can't get in; `what` is the version."""
    versions: frozenset[str] = frozenset()
    """The IP versions for which the door's load balancer has addresses."""

    @property
    def healthy(self) -> int:
        """How many healthy targets the door's requests reach."""
        return sum(item.healthy for item in self.reaches)

    @property
    def count(self) -> int:
        """How many healthy targets the door's requests reach, with those that are expected to become healthy."""
        return sum(item.count for item in self.reaches)

    @property
    def answers(self) -> bool:
        """Whether the door's clients get in, and get an answer."""
        return not self.barred and (not self.reaches or any(item.count or not item.is_known for item in self.reaches))


def find_doors(world: World) -> Iterator[Door]:
    """Every door, in the order in which the resources were read: each listener's default action, then its rules; then the DNS names."""
    ways = _Ways(world)
    open_at = set()
    for item, listener in world.listeners:
        balancer, rules = str(listener.load_balancer), world.rules.get(item.id, ())
        entrance = world.get(balancer)
        asked = (str(entrance.address if entrance else balancer), listener.protocol, listener.port)
        barred = tuple(ways.into(balancer, listener))
        narrow, versions = tuple(ways.narrow(balancer, listener)), ways.versions(balancer)
        doors = [replace(ways.door(item, balancer, asked, barred), narrow=narrow, versions=versions)]
        doors += [ways.door(rule, balancer, (*asked, state.conditions), barred) for rule, state in rules]
        open_at |= {balancer} if any(door.answers for door in doors) else set()
        yield from doors
    for item in world.items.values():
        state = item.state
        balancer = str(state.alias) if isinstance(state, DnsName) and isinstance(state.alias, Ref) else ""
        if isinstance(state, DnsName) and isinstance((found := world.get(balancer) or item).state, Balancer):
            shut = () if balancer in open_at else (Shut(f"{found.address} answers nothing", frozenset([balancer])),)
            yield Door(item, balancer, (state.zone, state.name, state.type), barred=shut)


def find_cut(world: World) -> dict[str, tuple[Shut, ...]]:
    """Why a load balancer's requests or health checks don't reach a target, by the target's id."""
    ways, found = _Ways(world), {}
    for listener, state in world.listeners:
        doors = [listener, *(rule for rule, _ in world.rules.get(listener.id, ()))]
        for group in {str(part.target_group) for item in doors for part in action_of(item.state).forward}:
            for target, registration in world.targets.get(group, ()):
                if shut := ways.to(str(state.load_balancer), group, registration):
                    found[target.id] = shut
    return found


class _Ways:
    """Finds how requests pass through one world. Results that many targets share are computed once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._known: dict[object, tuple[Shut, ...]] = {}
        self._dark: dict[str, tuple[Shut, ...]] = {}
        self._reached: dict[tuple[str, str], Reach] = {}

    def door(self, item: Observed, balancer: str, asked: tuple[object, ...], barred: tuple[Shut, ...]) -> Door:
        """A listener's or a rule's door, with the targets that it reaches."""
        groups = dict.fromkeys(str(part.target_group) for part in action_of(item.state).receiving)
        return Door(item, balancer, asked, tuple(self._reach(balancer, group) for group in groups), barred)

    def _reach(self, balancer: str, group: str) -> Reach:
        if (balancer, group) not in self._reached:
            targets, found = self.world.targets.get(group, ()), self.world.get(group)
            whole, zones = self._count(balancer, group, targets), node_zones(self.world, balancer)
            parts = dict.fromkeys(zones, whole)
            if found is not None and is_zonal(found.state):
                places = [target_zone(self.world, *target) for target in targets]
                for zone in zones:
                    near = [target for target, place in zip(targets, places, strict=True) if place in (zone, None)]
                    parts[zone] = self._count(balancer, group, near)
            self._reached[balancer, group] = replace(whole, zones=parts)
        return self._reached[balancer, group]

    def _count(self, balancer: str, group: str, targets: Iterable[tuple[Observed, Member]]) -> Reach:
        counts = {"healthy": 0, COMING: 0}
        lost: list[Shut] = []
        cut: list[Shut] = []
        for target, state in targets:
            shut = self.to(balancer, group, state)
            cut.extend(shut)
            if target.status in counts:
                lost.extend(shut)
                counts[target.status] += not shut
        is_known = self.world.get(group) is not None
        return Reach(group, counts["healthy"], counts[COMING], tuple(join(lost)), tuple(join(cut)), is_known)

    def into(self, balancer: str, listener: Frontend) -> Iterator[Shut]:
        """Why clients can't use a listener: security groups that don't let them in, and subnets without a route for answers."""
        found = self.world.get(balancer)
        if found is None or not isinstance(found.state, Balancer):
            return
        worn = [str(group) for group in found.state.security_groups or ()]
        rules = [self.world.admissions.get(group) for group in worn]
        known = [rule for rule in rules if rule is not None]
        if worn and len(known) == len(rules) and not any(state.lets_in(listener.port, worn) for _, state in known):
            text = f"no security group of {found.address} lets clients in on port {listener.port}"
            yield Shut(text, frozenset([found.id, *(item.id for item, _ in known)]))
        yield from self._dark_subnets(found, found.state)

    def versions(self, balancer: str) -> frozenset[str]:
        """The IP versions for which a load balancer has addresses."""
        found = self.world.get(balancer)
        kind = (found.state.ip_address_type if found and isinstance(found.state, Balancer) else None) or ""
        return frozenset(f"IPv{version}" for version in _FAMILIES.get(kind, (4,)))

    def narrow(self, balancer: str, listener: Frontend) -> Iterator[Shut]:
        """Why clients on the internet with one of the IP versions can't get in. Unknown security groups and routes count as letting them
        in."""
        found = self.world.get(balancer)
        state = found.state if found else None
        if found is None or not isinstance(state, Balancer) or state.scheme != "internet-facing":
            return
        versions = _FAMILIES.get(state.ip_address_type or "", (4,))
        rules = self._rules(tuple(map(str, state.security_groups or ())), "ingress")
        for version in versions:
            if rules is not None and not any(_admits_clients(rule, listener.port, version) for rule in rules):
                text = f"no security group of {found.address} lets clients of IPv{version} in on port {listener.port}"
                yield Shut(
                    text, self._deciding(tuple(map(str, state.security_groups or ())), [found.id]), f"IPv{version}"
                )
            for subnet in map(str, state.subnets):
                if subnet in self.world.tables:
                    item, table = self.world.tables[subnet]
                    routes = (
                        route for route in table.routes or () if table.leads_out(route) and self.world.is_there(route)
                    )
                    if not any(_is_wide(route.destination, version) for route in routes):
                        name = self.world.items[subnet].address if subnet in self.world.items else subnet
                        text = f"{name} of {found.address} has no default route for clients of IPv{version}"
                        yield Shut(text, frozenset([found.id, subnet, item.id]), f"IPv{version}")

    def _dark_subnets(self, found: Observed, state: Balancer) -> tuple[Shut, ...]:
        """The subnets of an internet-facing load balancer that have no route for answers."""
        if state.scheme != "internet-facing":
            return ()
        if found.id not in self._dark:
            shuts = [shut for subnet in state.subnets if (shut := self._why_dark(found, str(subnet)))]
            self._dark[found.id] = tuple(shuts)
        return self._dark[found.id]

    def _why_dark(self, balancer: Observed, name: str) -> Shut | None:
        subnet = self.world.get(name)
        if subnet is None or not isinstance(subnet.state, Segment):
            return None
        table = self.world.tables.get(name)
        if table is None:
            was_seen = isinstance(subnet.details, Foreign) and name not in self.world.left
            leads = subnet.details.leads_out if was_seen and isinstance(subnet.details, Foreign) else None
            is_own = self.world.get(subnet.state.vpc) is not None  # then its main table has no route out
            is_dark, by = (leads is False) if was_seen else is_own, [self.world.left.get(name, name)]
        else:
            item, state = table
            dead = item.details.blackholes if isinstance(item.details, Associations) else frozenset()
            routes = (route for route in state.routes or () if route not in dead and self.world.is_there(route))
            is_dark, by = not any(map(state.leads_out, routes)), [item.id]
            by += [str(route.target) for route in state.routes or () if not self.world.is_there(route)]
        text = f"{subnet.address} of {balancer.address} has no route to an internet gateway"
        return Shut(text, frozenset([balancer.id, name, *by])) if is_dark else None

    def to(self, balancer: str, group: str, target: Member) -> tuple[Shut, ...]:
        """Why a load balancer's requests, or its health checks, don't reach a target."""
        entry, instance = self.world.get(group), self.world.get(target.target)
        port, found = target.port, self.world.get(balancer)
        if port is None or found is None or not isinstance(found.state, Balancer):
            return ()
        state = entry.state if entry and isinstance(entry.state, Pool) else None
        checked = str((state.health_check or {}).get("port", "")) if state else ""
        ports = (port, int(checked)) if checked.isdigit() and int(checked) != port else (port,)
        their = instance.state if instance and isinstance(instance.state, Server) else None
        worn = tuple(map(str, their.security_groups or ())) if their else ()
        places = tuple(map(str, their.subnets)) if their else tuple(filter(None, [as_address(str(target.target))]))
        is_ipv6 = target.ip_address_type == "ipv6"
        name = str(instance.address if instance else target.target)
        key = (balancer, ports, worn, places, is_ipv6)
        if key not in self._known:
            self._known[key] = tuple(self._closed(found, found.state, worn, places, ports, is_ipv6=is_ipv6))
        own = frozenset([instance.id] if instance else ())
        return tuple(Shut(shut.reason, shut.by | own, name) for shut in self._known[key])

    def _closed(
        self,
        balancer: Observed,
        state: Balancer,
        worn: tuple[str, ...],
        places: tuple[str, ...],
        ports: tuple[int, ...],
        *,
        is_ipv6: bool,
    ) -> Iterator[Shut]:
        front = tuple(str(group) for group in state.security_groups or ())
        nodes = tuple(map(str, state.subnets))
        own = [balancer.id]
        for port in ports:
            egress = self._rules(front, "egress")
            if egress is not None and not self._admits(egress, port, worn, places, is_ipv6=is_ipv6):
                text = f"no security group of {balancer.address} lets it out to TARGET on port {port}"
                yield Shut(text, self._deciding(front, own))
            ingress = self._rules(worn, "ingress")
            if ingress is not None and not all(
                self._admits(ingress, port, front, (node,), is_ipv6=is_ipv6) for node in nodes
            ):
                text = f"no security group of TARGET lets {balancer.address} in on port {port}"
                yield Shut(text, self._deciding(worn, own))
        zones = [zone_of(self.world, node) for node in nodes]
        zone = zone_of(self.world, places[0]) if len(places) == 1 else None
        if zone and zones and None not in zones and zone not in zones:
            text = f"TARGET is in {zone}, a zone that {balancer.address} doesn't serve"
            yield Shut(text, frozenset(own))

    def _rules(self, worn: tuple[str, ...], direction: str) -> list[Permission] | None:
        """The rules of these security groups; None if some of the groups aren't known."""
        known = [self.world.admissions.get(group) for group in worn]
        if not known or None in known:
            return None
        return [rule for found in known if found for rule in getattr(found[1], direction) or ()]

    def _deciding(self, worn: tuple[str, ...], own: Iterable[str]) -> frozenset[str]:
        known = [self.world.admissions.get(group) for group in worn]
        return frozenset([*own, *(found[0].id for found in known if found)])

    def _admits(
        self, rules: Iterable[Permission], port: int, peers: tuple[str, ...], places: tuple[str, ...], *, is_ipv6: bool
    ) -> bool:
        """Whether one of the rules is for the port and for one of the peer's security groups or subnets."""
        return any(
            (rule.protocol == "-1" or (rule.protocol == "tcp" and rule.from_port <= port <= rule.to_port))
            and self._names(rule, peers, places, is_ipv6=is_ipv6)
            for rule in rules
        )

    def _names(self, rule: Permission, peers: tuple[str, ...], places: tuple[str, ...], *, is_ipv6: bool) -> bool:
        source = str(rule.source)
        if "/" not in source:  # the members of a security group, or of a prefix list, aren't known here
            return source in peers or source.startswith("pl-") or not peers
        blocks = [self._block(place, is_ipv6=is_ipv6) for place in places]
        if not blocks or None in blocks:
            return True
        allowed = ip_network(source, strict=False)
        return any(block.version == allowed.version and block.overlaps(allowed) for block in blocks if block)

    def _block(self, subnet: str, *, is_ipv6: bool) -> IPv4Network | IPv6Network | None:
        """The addresses of a subnet, or of a target by address; None if they aren't known."""
        if as_address(subnet):
            return ip_network(subnet)
        found = self.world.get(subnet)
        state = found.state if found and isinstance(found.state, Segment) else None
        text = str((state.ipv6_cidr_block if is_ipv6 else state.cidr_block) if state else "")
        return ip_network(text, strict=False) if "/" in text else None


def _admits_clients(rule: Permission, port: int, version: int) -> bool:
    """Whether a rule lets clients of an IP version in: by any range of that version, or by a prefix list, of which the ranges aren't
    known."""
    source = str(rule.source)
    is_port = rule.protocol == "-1" or (rule.protocol == "tcp" and rule.from_port <= port <= rule.to_port)
    is_range = "/" in source and ip_network(source, strict=False).version == version
    return is_port and (is_range or source.startswith("pl-"))


def _is_wide(destination: str, version: int) -> bool:
    """Whether a route's destination covers most addresses of an IP version, or is a prefix list, of which the ranges aren't known."""
    if "/" not in destination:
        return True
    found = ip_network(destination, strict=False)
    return found.version == version and found.prefixlen <= _WIDE[version]


def speaks_http1(world: World, door: Door) -> bool:
    """Whether a client of HTTP/1.1 gets an answer: AWS answers 464 where a group speaks HTTP2 or GRPC ("HTTP 464")."""
    groups = (world.get(item.group) for item in door.reaches)
    return all(found.state.protocol_version in _HTTP1 for found in groups if found and isinstance(found.state, Pool))


def describe_door(door: Door) -> str:
    """The words for a door: its address, and what clients ask for."""
    state = door.item.state
    if isinstance(state, DnsName):
        return f"{door.item.address} (the name {state.name})"
    if isinstance(state, RoutingRule):
        return f"{door.item.address} ({', '.join(map(str, redact(state.conditions, None)))})"
    return f"{door.item.address} (port {state.port})" if isinstance(state, Frontend) else str(door.item.address)
