"""Asks AWS, before a run, what the run would fail at: resources that can't be made, quotas that are exceeded, and protections."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.tasks import set_off
from alb_reconcile.engine.blockers import LIFT, Blocker
from alb_reconcile.engine.plan.preflight.free_addresses import full_subnets
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, HasPreconditions, Intent, Protected, StopProtected
from alb_reconcile.kinds.quotas import Quota, Unread, over_quota, read_quota
from alb_reconcile.model.abilities import action_of, settle
from alb_reconcile.model.address import Ref
from alb_reconcile.model.decisions import Decision, Decisions, subnets_of
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Lookups, Properties, bind
from alb_reconcile.model.service import Balancer, Segment


async def check_preconditions(aws: Aws, situation: Situation) -> list[Finding | str]:
    """Findings about the resources that are to be made or changed, and a warning if quotas can't be read.

    Asks nothing if no resource is to be made or changed. Problems aren't found if these credentials can't read them; then AWS's calls
    show them later.
    """
    decisions, discovery = situation.decisions, situation.discovery
    desired = {address: item.desired for address, item in decisions.desired.items()}
    facts = Lookups(images=discovery.images, desired=desired)
    intents: dict[str, list[Intent]] = {}
    for address, item in decisions.desired.items():
        if item.found is None or item.changes or item.forces:
            intents.setdefault(address.kind, []).append(_intent(item, decisions, discovery, facts))
    zones = set_off(_read_zones(aws, [item for part in intents.values() for item in part]))
    checks = [
        kind.check_preconditions(aws, intents[name], desired, zones)
        for name, kind in load_kinds().items()
        if name in intents and isinstance(kind, HasPreconditions)
    ]
    parts = await asyncio.gather(check_quotas(aws, situation, intents), *checks)
    found = [*(item for part in parts for item in part), *full_subnets(decisions, discovery)]
    unread = [item.text for item in found if isinstance(item, Unread)]
    return [*(item for item in found if not isinstance(item, Unread)), *unread[:1]]


async def _read_zones(aws: Aws, intents: Iterable[Intent]) -> tuple[str, ...]:
    """The region's zones (DescribeAvailabilityZones), if a subnet is to be made."""
    if not any(item.fields is None and isinstance(item.wanted, Segment) for item in intents):
        return ()
    with ignoring("UnauthorizedOperation"):  # AWS refuses a wrong zone later
        found = await aws.pages("ec2", "describe_availability_zones", "AvailabilityZones")
        open_ones = [zone for zone in found if zone.get("State", "available") == "available"]
        return tuple(sorted(zone[key] for zone in open_ones for key in ("ZoneName", "ZoneId") if zone.get(key)))
    return ()


def _intent(item: Decision, decisions: Decisions, discovery: Discovery, facts: Lookups) -> Intent:
    is_made = item.found is None or bool(item.forces)
    wanted: Properties = item.state
    if is_made:
        wanted = settle(bind(item.desired.creation, decisions.ids), None, facts)
    zones = {zone for subnet in subnets_of(item.state) if (zone := decisions.location_of(subnet, discovery).zone)}
    known = item.found.id if item.found and not is_made else ""
    fields = None if is_made else frozenset(change.top for change in item.changes)
    paths = frozenset() if is_made else frozenset(change.path for change in item.changes)
    return Intent(item.desired, wanted, fields, bool(item.forces), paths, tuple(sorted(zones)), known, decisions.stack)


async def find_protected(aws: Aws, situation: Situation, plan: Plan) -> list[Blocker]:
    """The steps for which a protection must be lifted: deletions, replacements, and updates that switch it off; by step key.

    Asks AWS only about resources that are deleted or replaced, and only for what hasn't been read.
    """
    asked = [
        (step, kind, found, paths)
        for step in plan.steps
        if (kind := _protecting(step)) and (found := step.observed) and (paths := _unprotected_by(step, kind))
    ]
    answers = await asyncio.gather(*(kind.find_protections(aws, found) for _, kind, found, _ in asked))
    reasons: dict[str, str] = {}
    for (step, kind, _, paths), on in zip(asked, answers, strict=True):
        if names := " and ".join(name for path, name in kind.protections.items() if path in on and path in paths):
            text = f"{step.address} ({step.id}) {'has' if step.action == 'delete' else 'would lose its'} {names}"
            reasons |= dict.fromkeys(filter(None, (step.key, step.part_of)), text)
    for key, text in (await _find_stop_protected(aws, plan.steps)).items():
        reasons[key] = f"{reasons[key]} and has {text.rpartition(' has ')[2]}" if key in reasons else text
    return [Blocker(frozenset([key]), text, LIFT) for key, text in reasons.items()]


async def _find_stop_protected(aws: Aws, steps: Iterable[Step]) -> dict[str, str]:
    """The updates that have to stop an instance which is protected from being stopped, by step key."""
    asked = [(step, kind, step.observed) for step in steps if (kind := _stopping(step)) and step.observed]
    answers = await asyncio.gather(*(kind.is_stop_protected(aws, found) for _, kind, found in asked))
    told = ((step, f"{step.address} ({step.id}) has {kind.stop_protection}") for step, kind, _ in asked)
    return {step.key: text for (step, text), is_on in zip(told, answers, strict=True) if is_on}


def may_be_protected(step: Step) -> bool:
    """Whether a step does something that a protection may prevent."""
    kind = _protecting(step)
    return bool(kind and _unprotected_by(step, kind)) or _stopping(step) is not None


def _stopping(step: Step) -> StopProtected | None:
    kind: object = load_kinds().get(step.address.kind)
    is_stopping = step.action == "update" and isinstance(kind, StopProtected) and kind.stops(step.changes)
    return kind if is_stopping and isinstance(kind, StopProtected) else None


def _protecting(step: Step) -> Protected | None:
    kind = load_kinds().get(step.address.kind)
    return kind if isinstance(kind, Protected) else None


def _unprotected_by(step: Step, kind: Protected) -> Collection[str]:
    """The protections of a kind that a step switches off or has to overcome."""
    if step.action == "delete":
        return () if step.observed is None or step.observed.is_leaving else kind.protections
    off = {change.path for change in step.changes if change.after in (False, "false")}
    return off & kind.protections.keys() if step.action == "update" else ()


def lift_protection(plan: Plan, protected: Mapping[str, str]) -> Plan:
    """The plan, with steps that lift the protections that `find_protected` has found, by their keys."""
    return replace(plan, steps=tuple(_lifting(step, protected.get(step.key)) for step in plan.steps))


def _lifting(step: Step, text: str | None) -> Step:
    if step.action == "delete" and text:
        what = text.rpartition(" has ")[2]
    elif text and (stopping := _stopping(step)) and text.endswith(f" has {stopping.stop_protection}"):
        what = f"{stopping.stop_protection} for a while"
    else:
        return step
    return replace(step, lifts_protection=True, effects=(*step.effects, f"lifts its {what}"))


_REGION: Final = "this region"


_Use = tuple[Intent, str, int, int]
"""The first resource that would be made in a place; the place; how many resources it has, and how many more it would have."""


async def check_quotas(aws: Aws, situation: Situation, intents: Mapping[str, Sequence[Intent]]) -> list[Finding]:
    """Findings about the quotas that would be exceeded, or that can't be read."""
    account = _Account(aws, situation.decisions, situation.discovery)
    kinds = ((kind, intents[name]) for name, kind in load_kinds().items() if name in intents)
    found = await asyncio.gather(*(account.check(kind, quota, items) for kind, items in kinds for quota in kind.quotas))
    return [finding for part in found for finding in part]


class _Account:
    def __init__(self, aws: Aws, decisions: Decisions, discovery: Discovery) -> None:
        self.aws, self.decisions, self.discovery = aws, decisions, discovery
        self.states: dict[Ref, Properties] = {item.id: item.state for item in decisions.live}
        self.states.update((address, item.state) for address, item in decisions.desired.items())
        self.entrances: dict[Ref, Ref | None] = {}
        for ref, state in self.states.items():
            self.entrances |= {part.target_group: self.entrance(ref) for part in action_of(state).forward}

    def entrance(self, ref: Ref) -> Ref:
        """The load balancer that a listener or rule belongs to."""
        state = self.states.get(ref)
        while state is not None and state.parent and not isinstance(state, Balancer):
            ref = getattr(state, state.parent)
            state = self.states.get(ref)
        return ref

    def place(self, ref: Ref, within: Sequence[str]) -> Ref | None:
        """The place that a resource is in (such as its VPC), by the fields that lead there; a target group is in the load balancer that
        forwards to it."""
        found: Ref | None = ref if within else _REGION
        for field in within:
            found = getattr(self.states.get(found), field, None) or self.entrances.get(found) if found else None
        return found

    async def check(self, kind: AnyKind, quota: Quota, intents: Sequence[Intent]) -> list[Finding]:
        is_read = not quota.usual and any(item.fields is None for item in intents)
        limit = set_off(read_quota(self.aws, quota.service, quota.code)) if is_read else None
        if quota.path:
            held = [item for item in intents if item.fields is None or quota.path in item.fields]
            uses: list[_Use] = [(item, "", 0, quota.count(getattr(item.wanted, quota.path) or ())) for item in held]
        else:
            uses = await self._count(kind, quota, [item for item in intents if item.fields is None])
        over = [use for use in uses if use[2] + use[3] > quota.usual]
        if not (limit or over):
            return []
        own = await (limit or read_quota(self.aws, quota.service, quota.code))
        return [
            finding
            for first, place, there, more in over
            for finding in over_quota(first.desired, quota.what, own, there, more, place, quota.path)
        ]

    async def _count(self, kind: AnyKind, quota: Quota, made: Sequence[Intent]) -> list[_Use]:
        """The uses of a quota, by place. A resource that replaces another one there isn't counted: the old one may be deleted first."""
        joining: dict[Ref, list[Intent]] = defaultdict(list)
        for item in made:
            if not quota.counts(item.wanted):
                continue
            found = self.decisions.desired[item.desired.address].found
            place = self.place(item.desired.address, quota.within)
            if place and (not quota.within or found is None or self.place(found.id, quota.within) != place):
                joining[place].append(item)
        known = [place for place in joining if isinstance(place, str)]
        own = [item for item in self.decisions.live if item.address.kind == kind.name and not item.is_leaving]
        own = [item for item in own if quota.counts(item.state)]
        there = Counter(self.place(item.id, quota.within) for item in own)
        there[_REGION] += sum(name == kind.name for name, _ in self.discovery.taken)
        if kind.listing and known:
            where = {kind.listing.vpc_filter: known} if quota.within else None
            rows = await self.aws.pages("ec2", kind.listing.operation, kind.listing.key, where=where)
            there = Counter(row["VpcId"] if quota.within else _REGION for row in rows if _counts(kind, quota, row))
        names = {item.id: str(item.address) for item in self.decisions.live}
        return [(items[0], names.get(str(at), str(at)), there[at], len(items)) for at, items in joining.items()]


def _counts(kind: AnyKind, quota: Quota, row: Mapping[str, Any]) -> bool:
    """Whether a resource that EC2 lists counts for a quota."""
    return quota.counts(row) and str(row.get("State", "")).lower() not in kind.properties.gone
