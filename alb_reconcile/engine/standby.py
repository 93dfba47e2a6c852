"""Finds what stands by after a deployment (`rollout.keep`): the old version's target groups, in their forwards at weight 0, and their instances.

While it stands by, a plan is made without it, so that nothing of it is changed or deleted. When its time is over, it is a duplicate like others.
"""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.service import Member, Pool, Router, Server


@dataclass(frozen=True)
class Standby:
    """What stands by, or has stood by: the end of its time (ISO 8601) by target group's ARN, and the ids of all that belongs to it."""

    groups: Mapping[str, str]
    ids: frozenset[str]

    def until(self) -> str:
        """The latest end."""
        return max(self.groups.values(), default="")


def find_standby(discovery: Discovery, now: datetime, *, is_over: bool = False) -> Standby:
    """What stands by now; with `is_over`, all that has, whose time is over. A group that gets requests doesn't stand by."""
    all_groups = _past_groups(discovery.resources)
    groups = {known: until for known, until in all_groups.items() if (until <= _iso(now)) == is_over}
    if is_over:
        return Standby(groups, frozenset(_with_instances(discovery.resources, groups)))
    over = {known for known in all_groups if known not in groups}
    # what is in a group whose time is over and in one that stands by stands by
    rest = _with_instances(discovery.resources, all_groups) - _with_instances(discovery.resources, over)
    return Standby(groups, frozenset(item for item in rest if item.partition("|")[0] not in over))


def past_ids(items: Collection[Observed]) -> set[str]:
    """The ids of all that stands by, or has stood by."""
    return _with_instances(items, _past_groups(items))


def _past_groups(items: Collection[Observed]) -> dict[str, str]:
    """The ARNs of the groups that stand by, or have, and until when."""
    serving = serving_customers(items)
    tagged = {item.id: item.tags.get(tags.STANDBY, "") for item, _ in each_of(items, Pool)}
    return {known: until for known, until in tagged.items() if until and known not in serving}


def _with_instances(items: Collection[Observed], groups: Container[str]) -> set[str]:
    """The ids of groups, of their targets, and of the instances that are in no other groups."""
    homes: dict[str, set[bool]] = defaultdict(set)
    found = {item.id for item, _ in each_of(items, Pool) if item.id in groups}
    for item, state in each_of(items, Member):
        is_there = str(state.target_group) in groups
        homes[str(state.target)].add(is_there)
        if is_there:
            found.add(item.id)
    return found | {item.id for item, _ in each_of(items, Server) if homes[item.id] == {True}}


def serving_customers(items: Iterable[Observed]) -> set[str]:
    """The ARNs of the target groups that get requests of others than a run that asks a new version."""
    routers = (item for item in items if item.address.name != tags.CHECK_NAME and not item.is_gone)
    return {str(part.target_group) for item in routers for part in action_of(item.state).receiving}


def without_standby(discovery: Discovery, standby: Standby) -> Discovery:
    """What was read, as if nothing stood by."""
    if not standby.groups:
        return discovery
    rest = tuple(_without(item, standby) for item in discovery.resources if item.id not in standby.ids)
    latest = sorted(standby.groups, key=lambda known: standby.groups[known], reverse=True)
    forwards = {
        item.id: {str(part.target_group) for part in action_of(item.state).forward} for item in discovery.resources
    }
    there = {key: tuple(known for known in latest if known in forward) for key, forward in forwards.items()}
    used = used_by((item for item in discovery.resources if item.id in standby.ids), discovery.resources)
    return replace(
        discovery, resources=rest, standby={key: groups for key, groups in there.items() if groups}, used=used
    )


def used_by(users: Iterable[Observed], items: Iterable[Observed]) -> frozenset[str]:
    """The ids of the items that others of them name, directly or through further ones, each with its parts, such as a security group's rules."""
    there = {item.id: item for item in items}
    parts = defaultdict(set)
    for item in there.values():
        parts[item.parent_id].add(item.id)
    used: set[str] = set()
    ahead = list(users)
    while ahead:
        item = ahead.pop()
        more = (there.keys() & set(named_ids(item.state)) | parts[item.id]) - used
        used |= more
        ahead += [there[known] for known in more]
    return frozenset(used)


def _without(item: Observed, standby: Standby) -> Observed:
    """A listener or rule without the groups that stand by in its forward."""
    if not isinstance(item.state, Router) or not item.state.action_field:
        return item
    action = action_of(item.state)
    forward = tuple(part for part in action.forward if part.weight or str(part.target_group) not in standby.groups)
    if forward == action.forward:
        return item
    return replace(item, state=replace(item.state, **{item.state.action_field: replace(action, forward=forward)}))


def describe_standby(standby: Standby, *, is_over: bool = False) -> str:
    """What stands by, or has, and what that means, for the reader of a plan or a status."""
    if is_over:
        return f"the version before stood by until {standby.until()}, and its instances still cost: the next apply or sync ends it"
    return (
        f"the version before stands by until {standby.until()}, and its instances cost as long: rollback moves the requests back to it, and "
        "after that time the next apply or sync ends it"
    )


def _iso(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
