"""Decides what becomes of each resource, one by one and without an order: made, changed, replaced, deleted or left."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Final, TypeVar

from alb_reconcile.engine.plan.duplicates import find_strange
from alb_reconcile.engine.plan.pending_launches import Unseen
from alb_reconcile.engine.standby import past_ids
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of, extra_tags, fixed, settle, unsupported, with_others
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE, Decision, Decisions, named_ids, subnets_of
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import (
    Change,
    Desired,
    Lookups,
    Observed,
    Properties,
    bind,
    diff,
    each_of,
    field_names,
    keep,
    references,
    stops,
    with_fields,
)
from alb_reconcile.model.service import Balancer, Entrance, Member, PublicAddress, Server

Held = Mapping[str, frozenset[str]]
"""The paths of properties that aren't changed, since their changes wait for a user's decision; by id."""
_P = TypeVar("_P", bound=Properties)
Rank = tuple[bool, bool, bool, int, int, str, str]
_BY_OTHERS: Final = ("",)
"""Used in place of the paths if a replacement isn't forced by the resource's own changes."""
_HEAVY: Final = 1000
"""The weight of a load balancer among the resources that name a VPC."""


class Ranking:
    """Ranks the resources at one address of a stack. The one with the lowest rank is the entry's: a plan keeps it, `export` writes it."""

    def __init__(self, stack: str, live: Iterable[Observed], desired: Mapping[Address, Desired]) -> None:
        here = [item for item in live if not item.is_leaving]
        healthy = [(item.id, state) for item, state in each_of(here, Member) if item.status == "healthy"]
        forwarded = {str(part.target_group) for item in here for part in action_of(item.state).receiving}
        self._serving = {text for known, state in healthy for text in (known, str(state.target))}
        self._serving |= {str(state.target_group) for _, state in healthy}.intersection(forwarded)
        self._mentions = Counter(text for item in here for text in named_ids(item.state))
        for item, _ in each_of(here, Balancer):
            # the VPC with a load balancer stays: a load balancer can't move, and clients know its DNS name
            self._mentions[item.detail(Entrance).vpc] += _HEAVY
        self._strange = find_strange(stack, here, desired)
        # a name covers all ids that were at its address, and those of failed versions may have gone since then
        self._past = past_ids(here)

    def of(self, item: Observed, *, is_replaced: bool, changes: int = 0) -> Rank:
        """The rank of a resource. In this order, resources come first that the stack has made and that didn't stand by, that need no
        replacement, that serve, that most others name, that need the fewest changes, and that are oldest."""
        idle = item.id not in self._serving
        return (
            item.id in self._strange | self._past,
            is_replaced,
            idle,
            -self._mentions[item.id],
            changes,
            item.created,
            item.id,
        )


def decide(
    target: DesiredStack, discovery: Discovery, forced: Mapping[str, str], unseen: Iterable[Unseen], held: Held
) -> Decisions:
    """Match desired and existing resources by address and compare them. Resources in `forced` are replaced, too; it has the reasons by
    id."""
    stack, desired = target.stack, target.desired
    result = Decisions(stack, live=tuple(item for item in discovery.resources if not item.is_gone))
    for item in discovery.resources:
        result.seen_ids.setdefault(item.address, []).append(item.id)
    ranking = Ranking(stack, result.live, desired)
    candidates: dict[Address, list[Observed]] = defaultdict(list)
    for item in result.live:
        if item.owner == stack and not item.is_leaving:
            candidates[item.address].append(item)
    owned = {item.id: item.address for item in result.live if item.owner == stack}
    facts = Lookups(
        images=discovery.images, desired=desired, addresses=owned, keeps_unsupported=discovery.keeps_unsupported
    )
    order = TopologicalSorter(
        {address: {other for other in references(item.state) if other in desired} for address, item in desired.items()}
    )
    for address in order.static_order():
        wanted = desired[address]
        options: dict[Rank, Decision] = {}
        for item in candidates.get(address, ()):
            option = _compare(wanted, item, result.ids, facts, held.get(item.id, frozenset()))
            _keep_in_its_vpc(option, result, discovery)
            if item.id in forced and not option.forces:
                option.forces, option.reason = _BY_OTHERS, forced[item.id]
            options[ranking.of(item, is_replaced=bool(option.forces), changes=len(option.changes))] = option
        best = options[min(options)] if options else None
        if (best is None or best.forces) and rests(wanted, result):
            result.resting.append(wanted)
            result.kept.append(
                f"{address}: its instance is stopped, as state: any allows; it is registered once it runs"
            )
            continue
        if best is None:
            result.desired[address] = Decision(wanted, settle(bind(wanted.state, result.ids), None, facts))
            continue
        result.desired[address] = best
        if not best.forces and best.found:
            result.ids[address] = best.found.id
            if kept := unsupported(best.state):
                result.kept.append(_tell_kept(address, kept))
    _choose_places(result, unseen, discovery)
    _collect_deletions(stack, desired, result)
    return result


def _tell_kept(address: Address, kept: Mapping[str, tuple[str, ...]]) -> str:
    words = ", ".join(text for texts in kept.values() for text in texts)
    return f"{address} has what no spec can say, and it stays: {words}; --allow remove-unsupported=1 removes it"


def rests(wanted: Desired, result: Decisions) -> bool:
    """Whether a registration is wanted for an instance that doesn't run, which the spec allows: AWS would refuse the registration."""
    if not isinstance(wanted.state, Member) or not isinstance(wanted.state.target, Address):
        return False
    item = result.desired.get(wanted.state.target)
    if item is None or item.found is None or item.forces or not isinstance(item.desired.state, Server):
        return False
    if stops(item.changes, type(item.desired.state)):
        return False  # the update starts the instance at its end
    return item.desired.state.state is None and item.found.status in ("stopped", "stopping")


def _keep_in_its_vpc(option: Decision, result: Decisions, discovery: Discovery) -> None:
    """Replace a load balancer if its wanted subnets are in another VPC: a load balancer can't move to another VPC."""
    wanted, found = option.desired.state, option.found
    if not isinstance(wanted, Balancer) or found is None or option.forces:
        return
    vpcs = {result.location_of(subnet, discovery).vpc for subnet in wanted.subnets}
    if vpcs.isdisjoint({found.detail(Entrance).vpc, None}):
        option.forces, option.reason = _BY_OTHERS, "a load balancer can't move to another VPC"


def _compare(
    wanted: Desired, found: Observed, ids: Mapping[Address, str], facts: Lookups, held: frozenset[str]
) -> Decision:
    ways, held = held & wanted.state.ways, held - wanted.state.ways  # of held routes only others' stay
    said, wanted = wanted, replace(wanted, state=keep(wanted.state, found.state, held)) if held else wanted
    absent = [
        name for name in wanted.state.defaulted if getattr(wanted.state, name) is getattr(found.state, name) is None
    ]
    state = replace(wanted.state, **{key: getattr(wanted.creation, key) for key in absent}) if absent else wanted.state
    bound = settle(bind(state, ids), found, facts)
    if fields := field_names(type(state)) if wanted.lifecycle.keep_others else ways:
        bound = _with_others(bound, state, found, facts, fields)
    every = (*diff(bound, found.state), *(_tag_changes(said, found) if wanted.spec_digest else ()))
    changes = tuple(change for change in every if change.path not in held)
    return Decision(wanted, bound, found, changes, forcing(wanted, bound, found, changes))


def _with_others(bound: _P, unbound: Properties, found: Observed, facts: Lookups, fields: Iterable[str]) -> _P:
    """Desired properties with the members that others have added to these fields. The spec's own members are recognised even if they name a
    resource that is replaced, or that exists twice.

    A member that names a resource of the stack which is no longer in the spec isn't kept: it is of no use without that resource.
    """
    ids: dict[Address, list[str]] = defaultdict(list)
    for text, address in facts.addresses.items():
        ids[address].append(text)
    going = {text for address, texts in ids.items() if address not in facts.desired for text in texts}
    kept: list[set[tuple[str, object]]] = []
    for number in range(max(map(len, ids.values()))):
        own = settle(bind(unbound, {key: texts[number % len(texts)] for key, texts in ids.items()}), found, facts)
        both = with_others(own, found.state)
        pairs = ((name, getattr(both, name), getattr(own, name)) for name in fields)
        kept.append({(name, item) for name, has, mine in pairs if has != mine for item in has if item not in mine})
    others: dict[str, list[object]] = defaultdict(list)
    for name, item in set.intersection(*kept):
        if going.isdisjoint(named_ids(item)):
            others[name].append(item)
    joined = {name: sorted((*getattr(bound, name), *items), key=str) for name, items in others.items()}
    return replace(bound, **{name: tuple(items) for name, items in joined.items()})


def forcing(wanted: Desired, state: Properties, found: Observed, changes: Iterable[Change]) -> tuple[str, ...]:
    """The paths of changes that AWS can't make in place, given the existing resource."""
    immutable = fixed(state, found)
    if wanted.lifecycle.type_change == "in-place":
        immutable -= state.stopped_on
    return tuple(change.path for change in changes if immutable.intersection((change.path, change.top)))


def _tag_changes(wanted: Desired, found: Observed) -> tuple[Change, ...]:
    changes = [
        Change(f"tags.{key}", there, value)
        for key, value in sorted(wanted.tags.items())
        if (there := found.differing_tag(key, value)) != value
        and not (key == "Name" and _keeps_its_name(wanted, found))
    ]
    image = extra_tags(wanted.state, found.tags).get(tags.IMAGE)
    if image not in (None, found.tags.get(tags.IMAGE)):
        changes.append(Change(f"tags.{tags.IMAGE}", found.tags.get(tags.IMAGE), image))
    before, after = found.tags.get(tags.PREVENT_DESTROY) == "true", wanted.lifecycle.prevent_destroy
    if after is not None and before != after:
        changes.append(Change("prevent_destroy", before, after))
    return tuple(changes)


def _keeps_its_name(wanted: Desired, found: Observed) -> bool:
    """Whether a resource keeps its Name: the spec gives no other one, and the resource was adopted, or has the same Name as the instances
    with which it was launched.

    For a kind that AWS names, the spec's `name` is that name.
    """
    is_given = "name" in wanted.declared and "name" not in field_names(type(wanted.state))
    is_shared = tags.LAUNCH in found.tags and found.tags.get("Name") == wanted.tags["Name"].rpartition("-")[0]
    return not is_given and (found.tags.get(tags.NAME) == tags.KEPT or is_shared)


def _choose_places(result: Decisions, unseen: Iterable[Unseen], discovery: Discovery) -> None:
    """Choose a subnet for each new instance: the one of a launch that AWS doesn't show yet, or one in the zone of a volume that is kept for
    it; otherwise the subnet with the fewest instances of its entry, and of several such subnets the first in the spec. The replacement of
    an instance stays in the instance's subnet if the spec allows it."""
    groups: dict[str | None, Counter[str]] = defaultdict(Counter)
    instances = list(each_of(result.desired.values(), Server))
    perhaps = {address: launch.place for launch in unseen for address in launch.members}
    zones = {address: zone for (address, _), (_, zone) in discovery.kept.items()}
    for item, state in instances:
        if zone := zones.get(item.desired.address):
            near = (subnet for subnet in state.subnets if result.location_of(subnet, discovery).zone == zone)
            perhaps[item.desired.address] = tuple(map(str, near))
    now = {
        address: tuple(map(str, subnets_of(item.found.state))) if item.found else perhaps.get(address, ())
        for item, _ in instances
        for address in [item.desired.address]
    }
    for item, _ in instances:
        groups[item.desired.lifecycle.group].update(now[item.desired.address])
    for item, state in instances:
        if item.found and not item.forces:
            continue
        count, there = groups[item.desired.lifecycle.group], now[item.desired.address]
        count.subtract(there)
        same = [subnet for subnet in state.subnets if subnet in there]
        order = [str(bind(subnet, result.ids)) for subnet in subnets_of(item.desired.state)]
        places = [subnet for name in order for subnet in same or state.subnets if str(subnet) == name]
        place = min(places or state.subnets, key=lambda subnet: count[str(subnet)])
        count[str(place)] += 1
        item.state = with_fields(state, subnets=(place,))
        item.changes = tuple(
            replace(change, after=(place,)) if change.path == "subnets" else change for change in item.changes
        )


def _collect_deletions(stack: str, desired: Mapping[Address, Desired], result: Decisions) -> None:
    # a replaced resource is deleted by its replacement
    decided = {item.found.id for item in result.desired.values() if item.found}
    owned = {item.id: item for item in result.live}
    for item in result.live:
        if item.id in decided or item.is_leaving:
            continue
        reason = _why_it_goes(stack, item, desired, result, owned)
        if reason:
            result.to_delete[item.id] = (item, reason)
    for item in [item for item in result.live if item.is_leaving]:
        wanted = result.desired.get(item.address)
        if isinstance(item.state, Member) and wanted and wanted.state == item.state:
            continue  # it is registered again, which ends the draining
        gone = result.to_delete.keys() | {d.found.id for d in result.desired.values() if d.found and d.forces}
        if gone.intersection(named_ids(item.state)):
            result.to_delete[item.id] = (item, f"already {item.status}")


def _why_it_goes(
    stack: str, item: Observed, desired: Mapping[Address, Desired], result: Decisions, owned: Mapping[str, Observed]
) -> str:
    """The reason to delete a resource that the spec doesn't declare; empty if it stays."""
    parent = owned.get(item.parent_id or "")
    carrier = desired.get(parent.address) if parent else None
    if item.owner == stack:
        if item.address in result.desired:
            return DUPLICATE
        if carrier and not item.state.service:
            return _why_a_member_goes(item, carrier, result, owned)
        return "no longer in the spec"
    if item.owner is None and parent and parent.owner != stack:  # a foreign listener's rule is treated like it
        return "" if parent.owner else _why_it_goes(stack, parent, desired, result, owned)
    if item.owner is None:
        return "" if carrier and carrier.lifecycle.keep_others else _not_in_the_spec(carrier)
    result.kept.append(f"{item.address} belongs to the stack {item.owner} and is left alone")
    return ""


def _why_a_member_goes(item: Observed, carrier: Desired, result: Decisions, owned: Mapping[str, Observed]) -> str:
    """The reason to delete a member without tags, which is managed as its entry says; empty if the member stays."""
    if isinstance(item.state, PublicAddress):
        return "its address goes" if _goes(owned.get(str(item.state.elastic_ip)), result) else ""
    if not isinstance(item.state, Member):
        return ""
    if not carrier.lifecycle.members:
        return "its instance goes" if _goes(owned.get(str(item.state.target)), result) else ""
    group = result.desired.get(carrier.address)
    if group and group.forces and group.found and group.found.id == item.state.target_group:
        return "its target group is replaced"
    stranger = str(item.state.target) not in owned
    return "" if stranger and carrier.lifecycle.keep_others else _not_in_the_spec(carrier if stranger else None)


def _goes(item: Observed | None, result: Decisions) -> bool:
    """Whether a resource of the stack is no longer in the spec, is replaced, or is a duplicate."""
    kept = result.desired.get(item.address) if item else None
    return item is not None and (kept is None or bool(kept.forces) or kept.found is not item)


def _not_in_the_spec(carrier: Desired | None) -> str:
    """The reason, with the setting that would keep the member, since it may be another team's."""
    return "not in the spec" + (f"; others: keep in {carrier.address} would leave it" if carrier else "")
