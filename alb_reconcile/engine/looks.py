"""Runs all looks at AWS that come before a change, for what would stop a run half-way or is probably not meant."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.blockers import Blocker, find_blockers
from alb_reconcile.engine.lookalikes import find_alike
from alb_reconcile.engine.lost_tags import find_untagged
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.engine.preconditions import check_preconditions, find_protected
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.plan import Plan

Look = Callable[[Aws, Situation], Awaitable[Iterable[Finding | str]]]
"""A check that returns findings against entries of the spec, and warnings (texts)."""
StepLook = Callable[[Aws, Situation, Plan], Awaitable[Iterable[Blocker | str]]]
"""A check that returns obstacles to steps of a plan, and warnings (texts)."""
LOOKS: Final[tuple[Look, ...]] = (find_alike, check_preconditions, find_untagged)
"""The checks of resources that are to be made or changed: none needs an order of steps, and none changes a decision."""
STEP_LOOKS: Final[tuple[StepLook, ...]] = (find_blockers, find_protected)
"""The checks of resources that are taken away by the steps that may be carried out: only an ordered plan has these steps."""


async def look_ahead(aws: Aws, situation: Situation) -> Situation:
    """The same situation, with findings and warnings about resources that are to be made or changed."""
    found = [item for part in await asyncio.gather(*(ask(aws, situation) for ask in LOOKS)) for item in part]
    discovery = situation.discovery
    findings = (*discovery.findings, *(item for item in found if isinstance(item, Finding)))
    warnings = (*discovery.warnings, *(item for item in found if isinstance(item, str)))
    return replace(situation, discovery=replace(discovery, findings=findings, warnings=warnings))


async def look_at_steps(aws: Aws, situation: Situation, plan: Plan) -> tuple[list[Blocker], list[str]]:
    """The obstacles to the steps of a plan, and warnings."""
    found = [item for part in await asyncio.gather(*(ask(aws, situation, plan) for ask in STEP_LOOKS)) for item in part]
    return [item for item in found if isinstance(item, Blocker)], [item for item in found if isinstance(item, str)]
