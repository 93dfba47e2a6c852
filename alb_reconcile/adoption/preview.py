"""What the next plan would be, if some tags were others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alb_reconcile.engine.discover import _account, _foreign, _images, _zones
from alb_reconcile.engine.plan.planner import Options, make_plan
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.adoption.hypothetical import Imagination
    from alb_reconcile.kinds.base import AnyKind
    from alb_reconcile.model.address import Address
    from alb_reconcile.model.target import Target


@dataclass(frozen=True)
class Outlook:
    """The plan that comes after a change of tags, or why there would be none."""

    account: str
    plan: Plan | None = None
    refusal: str = ""

    @property
    def entries(self) -> frozenset[Address]:
        """The entries whose digest that plan would write anew: they aren't as the spec says."""
        found = set()
        for step in self.plan.steps if self.plan else ():
            wish = step.desired
            if wish is not None and step.action in ("create", "update", "replace"):
                found.add(wish.carrier or wish.address)
        return frozenset(found)


async def imagine(
    reader: Imagination,
    kinds: Mapping[str, AnyKind],
    target: Target,
    imagined: Mapping[str, Mapping[str, str]],
) -> Outlook:
    """Plan as if the resources with these ids carried these tags. Nothing is written."""
    reader.claims, reader.imagined = False, imagined
    discovery = await _discover(reader, kinds, target)
    try:
        plan = make_plan(target.stack, target.region, target.desired, discovery, Options(check=False))
    except (PlanError, RefusedError) as error:
        return Outlook(discovery.account, refusal=str(error))
    return Outlook(discovery.account, plan)


async def check_account(reader: Imagination, target: Target) -> str:
    """The account's number. Raises RefusedError if it isn't one of the spec's `account_ids`."""
    return await _account(reader.aws, target.account_ids)


async def _discover(reader: Imagination, kinds: Mapping[str, AnyKind], target: Target) -> Discovery:
    """As `discover`, through a reader that sees other tags than there are; whoever cancels that ends the reads."""
    own = {name: asyncio.ensure_future(kind.discover(reader)) for name, kind in kinds.items()}
    account, foreign, images, zones, *parts = await asyncio.gather(
        check_account(reader, target),
        _foreign(reader),
        _images(reader.aws, target.desired.values(), own["instance"]),
        _zones(reader.aws, target.desired, own["subnet"]),
        *own.values(),
    )
    taken = {
        (kind, str(item[f"{name}Name"])): str(item[f"{name}Arn"])
        for kind, name, items in (
            ("load_balancer", "LoadBalancer", await reader.load_balancers()),
            ("target_group", "TargetGroup", await reader.target_groups()),
        )
        for item in items
        if not reader.ours(item["Tags"])
    }
    resources = tuple(item for part in parts for item in part)
    return Discovery(account, resources, images, taken, zones, foreign)
