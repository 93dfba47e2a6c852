"""What a plan would make beyond the account's quotas: counted from what was read, and from what else EC2 has there."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.plan.decide import Decisions
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, Intent
from alb_reconcile.kinds.quotas import Quota, over_quota, read_quota
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Ref
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import Properties

_REGION: Final = "this region"


_Use = tuple[Intent, str, int, int]
"""The first of those that would be in a place; the place; how many there are, and how many more there would be."""


async def check_quotas(
    aws: Aws, decisions: Decisions, discovery: Discovery, intents: Mapping[str, Sequence[Intent]]
) -> list[Finding]:
    """The quotas that would be exceeded. What can't be read isn't found."""
    account = _Account(aws, decisions, discovery)
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
            balancer = self.place(ref, ("load_balancer",)) or self.place(ref, ("listener", "load_balancer"))
            self.entrances |= {part.target_group: balancer for part in action_of(state).forward}

    def place(self, ref: Ref, within: Sequence[str]) -> Ref | None:
        """Where a resource is, by the fields that lead there; a target group is where a load balancer forwards to it."""
        found: Ref | None = ref if within else _REGION
        for field in within:
            found = getattr(self.states.get(found), field, None) or self.entrances.get(found) if found else None
        return found

    async def check(self, kind: AnyKind, quota: Quota, intents: Sequence[Intent]) -> list[Finding]:
        is_read = not quota.usual and any(item.fields is None for item in intents)
        limit = asyncio.ensure_future(read_quota(self.aws, "vpc", quota.code)) if is_read else None
        if quota.path:
            held = [item for item in intents if item.fields is None or quota.path in item.fields]
            uses: list[_Use] = [(item, "", 0, quota.count(getattr(item.wanted, quota.path) or ())) for item in held]
        else:
            uses = await self._count(kind, quota, [item for item in intents if item.fields is None])
        over = [use for use in uses if use[2] + use[3] > quota.usual]
        own = await (limit or read_quota(self.aws, "vpc", quota.code)) if limit or over else None
        return [
            finding
            for first, place, there, more in over
            for finding in over_quota(first.desired, quota.what, own, there, more, place, quota.path)
        ]

    async def _count(self, kind: AnyKind, quota: Quota, made: Sequence[Intent]) -> list[_Use]:
        """By place. Whoever takes another one's place in it isn't counted: they may go in turn."""
        joining: dict[Ref, list[Intent]] = defaultdict(list)
        for item in made:
            found = self.decisions.desired[item.desired.address].found
            place = self.place(item.desired.address, quota.within)
            if place and (not quota.within or found is None or self.place(found.id, quota.within) != place):
                joining[place].append(item)
        known = [place for place in joining if isinstance(place, str)]
        own = [item for item in self.decisions.live if item.address.kind == kind.name and not item.is_leaving]
        there = Counter(self.place(item.id, quota.within) for item in own)
        there[_REGION] += sum(name == kind.name for name, _ in self.discovery.taken)
        if kind.listing and known:
            where = {kind.listing.vpc_filter: known} if quota.within else None
            rows = await self.aws.pages("ec2", kind.listing.operation, kind.listing.key, where=where)
            there = Counter(row["VpcId"] if quota.within else _REGION for row in rows)
        names = {item.id: str(item.address) for item in self.decisions.live}
        return [(items[0], names.get(str(at), str(at)), there[at], len(items)) for at, items in joining.items()]
