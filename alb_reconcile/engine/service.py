"""Judges how a stack serves its clients now: what gives no answers, what answers in part, and why.

The one judgement of what AWS shows, based on the stack's doors (`engine.doors`): the end of a run, `status`, `sync`, its reports, metrics
and messages say the same in the same words.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from alb_reconcile.engine.doors import Shut, find_cut, find_doors, join
from alb_reconcile.engine.safety import ALONE
from alb_reconcile.engine.world import World
from alb_reconcile.engine.zones import target_zone
from alb_reconcile.kinds import is_in_order
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Desired, Observed, each_of, references
from alb_reconcile.model.service import (
    Balancer,
    DnsName,
    Frontend,
    Gateway,
    Member,
    Permissions,
    Pool,
    Routes,
    ServedBy,
    Server,
)
from alb_reconcile.model.text import printable

ILL = ("unhealthy", "unavailable")
"""The states of a target that fails its checks."""


@dataclass(frozen=True)
class Service:
    """How clients are served, in words."""

    nobody: tuple[str, ...] = ()
    """Load balancers, listeners and groups that serve no client, though the spec wants them to: an outage."""
    partly: tuple[str, ...] = ()
    """Load balancers, listeners and groups that serve clients only in part."""
    beside: tuple[str, ...] = ()
    """Targets that aren't healthy yet, or get no requests."""
    off: tuple[str, ...] = ()
    """Load balancers and groups that serve no client, which the spec allows."""
    unfilled: tuple[str, ...] = ()
    """The groups that get requests and have no target, since the spec declares none for them."""


def judge(
    resources: Iterable[Observed],
    desired: Mapping[Address, Desired],
    lost: Collection[Address] = (),
    going: Collection[str] = (),
) -> Service:
    """How the resources that were read serve clients. `lost` are the entries with resources that existed and don't any more, `going` the
    ids of the resources that `apply` deletes."""
    return _Judgement(World(resources), desired, lost, going).service()


def is_down(health: Collection[str]) -> bool:
    """Whether none of a group's targets answers requests, and none may soon, as when its health checks have just begun."""
    return {"healthy", "initial"}.isdisjoint(health)


def unserved(resources: Iterable[Observed]) -> list[str]:
    """The load balancers and listeners that let no client in, or that have no route for answers; and the groups with targets to which
    nothing forwards; in words."""
    found = _Judgement(World(resources), {}, (), ())
    return [printable(line) for _, line in (*found.shut(), *found.idle())]


def find_closed(resources: Iterable[Observed], desired: Mapping[Address, Desired]) -> list[str]:
    """The doors that let no client in, though the spec wants them to, and the targets that requests don't reach, in words. Waiting doesn't
    help with either."""
    found = _Judgement(World(resources), desired, (), ())
    lines = [line for field, line in found.shut() if field == "nobody"]
    status = {item.id: item.status for item in found.live}
    cut = join(shut for key, part in find_cut(found.world).items() if status[key] != "healthy" for shut in part)
    return [printable(line) for line in (*lines, *(shut.text for shut in cut))]


class _Judgement:
    def __init__(
        self, world: World, desired: Mapping[Address, Desired], lost: Collection[Address], going: Collection[str]
    ) -> None:
        self.world, self.desired, self.lost, self.going = world, desired, set(lost), going
        self.live = list(world.items.values())
        self.doors = list(find_doors(world))
        self.number = Counter(item.address for item in self.live)
        self.askers: dict[str, list[str]] = defaultdict(list)
        """The listeners and rules that send requests to a group, by the group's id."""
        for item in self.live:
            for part in action_of(item.state).receiving:
                self.askers[str(part.target_group)].append(str(item.address))

    def service(self) -> Service:
        nobody, partly = [*self.missing()], [*self.dark()]
        beside: list[str] = []
        off: list[str] = []
        unfilled: list[str] = []
        fields = {"nobody": nobody, "partly": partly, "beside": beside, "off": off}
        for found, line in self.shut():
            fields[found].append(line)
        for line, group in self.emptied():
            (nobody if group is None or group in self.filled else unfilled).append(line)
        for found, line in (*self.idle(), *self.health()):
            fields[found].append(line)
        is_ending = any(item.tags.get(tags.APPLIED) == tags.DESTROYING for item in self.live)
        if self.lost and not is_ending:  # an unfinished destroy has deleted them
            verb = "resource is" if len(self.lost) == 1 else "resources are"
            partly.append(f"{len(self.lost)} {verb} missing; plan shows what apply would make")
        parts = (nobody, partly, beside, off, unfilled)
        return Service(*(tuple(map(printable, lines)) for lines in parts))

    def missing(self) -> Iterator[str]:
        """The missing load balancers, listeners and DNS names. A missing load balancer's own listeners and names aren't listed."""
        for address in sorted(self.lost):
            state = self.desired[address].state
            parent = (
                state.load_balancer
                if isinstance(state, Frontend)
                else state.alias
                if isinstance(state, DnsName)
                else None
            )
            # parts of a load balancer that is missing, or has lost its tags, aren't read
            is_told = isinstance(parent, Address) and (parent not in self.number or self._is_without_listener(parent))
            if isinstance(state, Balancer | Frontend | DnsName) and not is_told:
                yield f"{address} is missing, so it serves nobody"

    def _is_without_listener(self, balancer: Address) -> bool:
        """Whether a load balancer has no listener at all, which `shut` reports."""
        return not any(item.address == balancer and item.id in self.open for item in self.live)

    @cached_property
    def open(self) -> set[str]:
        """The load balancers that have a listener."""
        return {str(state.load_balancer) for _, state in self.world.listeners}

    def shut(self) -> Iterator[tuple[str, str]]:
        """Load balancers without a listener, and listeners that keep all clients out; with the field of `Service`."""
        meant = {item.state.load_balancer for item in self.desired.values() if isinstance(item.state, Frontend)}
        for item, state in each_of(self.live, Balancer):
            if item.is_leaving:
                continue
            if item.id not in self.open:
                is_off = item.address in self.desired and item.address not in meant
                yield "off" if is_off else "nobody", f"{item.address} has no listener, so it serves nobody"
            doors = [door for door in self.doors if door.item.parent_id == item.id]
            subnets = {str(subnet) for subnet in state.subnets}
            dark = [shut for shut in doors[0].barred if not subnets.isdisjoint(shut.by)] if doors else []
            if dark and len(dark) == len(subnets):
                yield "nobody", f"no subnet of {item.address} has a route to an internet gateway, so it serves nobody"
            closed = {door.item.address: door.item.state for door in doors if len(door.barred) > len(dark)}
            if closed:
                ports = " or ".join(
                    str(state.port) for _, state in sorted(closed.items()) if isinstance(state, Frontend)
                )
                who = "it" if len(closed) == len(doors) else ", ".join(map(str, sorted(closed)))
                text = f"no security group of {item.address} lets clients in on port {ports}"
                yield "nobody", f"{text}, so {who} {'serves' if ',' not in who else 'serve'} nobody"

    def dark(self) -> Iterator[str]:
        """Subnets of load balancers from which clients get no answer, while other subnets answer."""
        for item, state in each_of(self.live, Balancer):
            door = next((door for door in self.doors if door.item.parent_id == item.id), None)
            subnets = {str(subnet) for subnet in state.subnets}
            dark = [shut for shut in (door.barred if door else ()) if not subnets.isdisjoint(shut.by)]
            if 0 < len(dark) < len(subnets):
                yield from (f"{shut.text}, so clients get no answer from it" for shut in dark)

    @cached_property
    def filled(self) -> set[Address]:
        """The groups for which the spec declares targets that aren't stopped."""
        resting = {item.address for item in self.live if item.status in ("stopping", "stopped")}
        return {
            state.target_group
            for _, state in each_of(self.desired.values(), Member)
            if state.target not in resting and isinstance(state.target_group, Address)
        }

    def emptied(self) -> Iterator[tuple[str, Address | None]]:
        """Groups that get requests and have no target, in words; each with its address if the spec declares it."""
        for item in self.live:
            if not isinstance(item.state, Pool) or item.id not in self.askers or self.world.targets.get(item.id):
                continue
            asking = self.askers[item.id]
            if item.address not in self.desired or self.number[item.address] > 1:
                verb = "forwards" if len(asking) == 1 else "forward"
                yield (
                    f"{item.address} ({item.id}) has no targets, and {', '.join(asking)} {verb} to it, so it serves nobody",
                    None,
                )
            elif item.address in self.filled:
                yield f"{item.address} has no targets, so it serves nobody", item.address
            else:
                yield f"{item.address} gets requests and has no targets, so they are answered with 503", item.address

    def idle(self) -> Iterator[tuple[str, str]]:
        """Groups with targets to which nothing forwards; with the field of `Service`."""
        asked = {str(part.target_group) for item in self.live for part in action_of(item.state).forward}
        served = {item.address for item in self.live if item.id in asked}  # or another one there, as after a swap
        wanted = {part.target_group for item in self.desired.values() for part in action_of(item.state).forward}
        for item in self.live:
            if not isinstance(item.state, Pool) or item.address in served or not self.world.targets.get(item.id):
                continue
            if not item.detail(ServedBy).load_balancers:
                text = "has targets, but no listener or rule forwards to it, so it serves nobody"
                yield "nobody" if item.address in wanted else "beside", f"{item.address} {text}"

    def health(self) -> Iterator[tuple[str, str]]:
        """Groups that a listener or rule names, with targets that aren't healthy, in words; with the field of `Service`."""
        named = {str(part.target_group) for item in self.live for part in action_of(item.state).forward}
        resting = set(self._resting())
        causes = self._causes()
        for group in named & self.world.targets.keys():
            items = self.world.targets[group]
            name, seen = self._name(group), [item.status for item, _ in items]
            ill = [item.status for item, state in items if not is_in_order(item) and str(state.target) not in resting]
            why, gets_requests = ", ".join(sorted(set(ill))), group in self.askers
            if gets_requests and set(seen) == {"unused"}:
                text = f"{len(seen)} of {len(seen)} targets of {name} are unused, so it serves nobody"
                yield "nobody" if ill else "off", text
            elif ill and gets_requests and is_down(seen):
                yield "nobody", ": ".join([f"no target of {name} is healthy ({why})", *causes.get(group, [])[:1]])
            elif ill:
                verb, yet = "isn't" if len(ill) == 1 else "aren't", " yet" * ("initial" in ill)
                text = f"{len(ill)} of {len(items)} targets of {name} {verb} healthy{yet} ({why})"
                empty = self._empty_zones(group) if gets_requests else ""
                is_lacking = empty or (gets_requests and set(ILL) & set(ill))
                yield "partly" if is_lacking else "beside", f"{text}{empty}"
            elif gets_requests and group in causes:
                yield "partly", f"{'; '.join(causes[group])}: the targets of {name} are about to fail their checks"

    def _empty_zones(self, group: str) -> str:
        """The zones with targets of a group of which none answers, or may soon, if nodes there send requests to no other zone; in words."""
        found: dict[str | None, set[str]] = defaultdict(set)
        for item, state in self.world.targets[group]:
            found[target_zone(self.world, item, state)].add(item.status)
        reaches = (reach for door in self.doors for reach in door.reaches if reach.group == group)
        empty = {zone for reach in reaches for zone, part in reach.zones.items() if reach.count and not part.count}
        return "".join(f"; none in {zone}, {ALONE}" for zone in sorted(empty) if zone in found and is_down(found[zone]))

    def _causes(self) -> dict[str, list[str]]:
        """Why requests don't reach targets of a group, by the group's id."""
        found: dict[str, list[Shut]] = defaultdict(list)
        for door in self.doors:
            for reach in door.reaches:
                found[reach.group] += reach.cut
        return {group: [shut.text for shut in join(dict.fromkeys(shuts))] for group, shuts in found.items() if shuts}

    def _resting(self) -> Iterator[str]:
        """The ids of instances that don't run, which the spec allows."""
        for item, _ in each_of(self.live, Server):
            wanted = self.desired.get(item.address)
            state = wanted.state if wanted else None
            is_to_run = isinstance(state, Server) and state.state == "running"
            if self.desired and not is_in_order(item) and not is_to_run:
                yield item.id

    def _name(self, group: str) -> str:
        """The name of a group for a text; two groups at one address, as after a swap that failed, get different names."""
        item = self.world.get(group)
        if item is None or self.number[item.address] < 2:
            return str(item.address if item else group)
        word, then = ("leftover", ", which apply deletes,") if group in self.going else ("new", ", at weight 0,")
        word, then = ("serving", "") if group in self.askers else (word, then)
        return f"the {word} {item.address} ({item.id.split('/')[1]}){then}"


def checks_after(plan: Plan) -> int:
    """The seconds until health checks have noticed that a plan has blocked requests to targets, or opened a way to unhealthy ones; 0 if the
    plan can do neither.

    A target's state changes after as many checks as its threshold says (ELB, "Health checks for Application Load Balancer target groups"):
    one more interval may pass before the first check, the last may take its whole time-out, and AWS shows the state later.
    """
    shut = any(_takes_away(step) for step in plan.steps)
    may_mend = any(step.plays(*_LEADING) for step in plan.steps) and any(item.status in ILL for item in plan.live)
    checks = [state.health_check or {} for _, state in each_of(plan.live, Pool)] if shut or may_mend else []
    names = ("unhealthy_threshold_count",) * shut + ("healthy_threshold_count",) * may_mend
    times = [
        int(check.get("interval_seconds", 30)) * (int(check.get(name, 5)) + 1) + int(check.get("timeout_seconds", 5))
        for check in checks
        for name in names
    ]
    return max(times) + _SHOWN if times else 0


_SHOWN = 15
"""Seconds until a security group's rule takes effect, and AWS shows the result of the checks."""
_LEADING: Final = (Balancer, Routes, Permissions, Server, Gateway)
"""The parts in the service on which it depends whether requests reach targets."""


def _takes_away(step: Step) -> bool:
    """Whether a step removes members of a collection, such as rules of a security group, without which requests may not get through."""
    if step.action == "delete":
        return step.plays(Routes, Permissions)
    fields = (
        step.observed.state.removed_late if step.observed and step.action == "update" and step.plays(*_LEADING) else ()
    )
    return any(
        change.path in fields and not set(change.before or ()) <= set(change.after or ()) for change in step.changes
    )


def find_needed(
    resources: Iterable[Observed], desired: Mapping[Address, Desired], lost: Collection[Address]
) -> set[Address]:
    """The entries that doors need which don't answer now: doors that are lost themselves, and the load balancers and target groups of other
    doors, each with all resources that it refers to, and its members."""
    world = World(resources)
    names = {item.id: item.address for item in world.items.values()}
    roots = {address for address in lost if isinstance(desired[address].state, Balancer | Frontend | DnsName)}
    for door in find_doors(world):
        dark = [reach.group for reach in door.reaches if reach.is_known and not reach.healthy]
        roots |= {names[known] for known in (*dark, *([door.balancer] if door.barred else ())) if known in names}
        if door.barred or len(dark) == len(door.reaches) > 0:
            roots.add(door.item.address)
    members: dict[Address, list[Address]] = defaultdict(list)
    for address, item in desired.items():
        parents = (item.carrier,) if item.carrier else item.state.subnets if isinstance(item.state, Routes) else ()
        for parent in parents or ():
            if isinstance(parent, Address):
                members[parent].append(address)
    found: set[Address] = set()
    left = [address for address in roots if address in desired]
    while left:
        address = left.pop()
        if address not in found:
            found.add(address)
            left += [item for item in (*references(desired[address].state), *members[address]) if item in desired]
    return found
