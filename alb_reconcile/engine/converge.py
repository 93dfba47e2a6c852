"""After a run: has everything become as wanted, and does it serve?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alb_reconcile.engine.deletion_protection import settle_locks
from alb_reconcile.engine.discover import discover, resolve_images
from alb_reconcile.engine.plan.planner import Options, make_plan
from alb_reconcile.engine.plan.zero_downtime.forwards import action_of
from alb_reconcile.kinds.instance import RESOLVE, Instance
from alb_reconcile.kinds.load_balancer import wait_until_active
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.errors import InterruptedRun, ReconcileError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.kinds.base import Kind
    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.shared_reader import Shared
    from alb_reconcile.model.discovery import Discovery
    from alb_reconcile.model.plan import Plan
    from alb_reconcile.model.target import Target

PATIENCE: Final = 180.0
"""Seconds for which AWS's reads may lag behind its writes."""


async def look(
    aws: Aws,
    kinds: Mapping[str, type[Kind]],
    target: Target,
    options: Options,
    shared: Shared | None = None,
) -> tuple[Discovery, Plan]:
    """Read the stack and plan, under the stack's policy; `shared` has reads for several stacks.

    Raises what `discover`, `make_plan` and `settle_locks` raise.
    """
    discovery = await discover(
        aws,
        kinds,
        target.stack,
        target.desired,
        account_ids=target.account_ids,
        everything=target.destroy,
        shared=shared,
    )
    options = replace(options, destroy=target.destroy, policy=target.policy)
    plan = make_plan(target.stack, target.region, target.desired, discovery, options)
    missing = sorted(
        {step.state.image_id for step in plan.steps if isinstance(step.state, Instance)}
        - set(discovery.images.values())
    )
    images = await resolve_images(aws, [image for image in missing if image.startswith(RESOLVE)])
    if images:  # of instances that turned out to be replaced
        discovery = replace(discovery, images={**discovery.images, **images})
        plan = make_plan(target.stack, target.region, target.desired, discovery, options)
    if options.check:
        plan = await settle_locks(aws, plan, options.allow)
    return discovery, plan


async def verify(aws: Aws, kinds: Mapping[str, type[Kind]], target: Target) -> tuple[Discovery, Plan]:
    """Read everything again until nothing is left to do, for as long as reads may lag. Returns the last look."""
    started, pause = aws.now(), 1.0
    while True:
        discovery, plan = await look(aws, kinds, target, Options(check=False))
        if plan.is_empty or aws.now() - started > PATIENCE:
            return discovery, plan
        await aws.sleep(pause)
        pause = min(pause * 2, 15)


async def wait_until_serving(
    run: Run,
    discovery: Discovery,
    timeout: float,
    say: Callable[[str], None],
    *,
    without: Collection[str] = (),
) -> list[str]:
    """Wait until the stack's load balancers are active and the targets that they forward to are healthy, but for those
    registrations (by id) that nobody waits for.

    Returns what isn't by then, in words.
    """
    run = replace(run, say=say)
    serving = {item.target_group for found in discovery.resources for item in action_of(found.state).forward}
    waits = [
        wait_until_active(run, item.id, timeout)
        for item in discovery.resources
        if item.address.kind == "load_balancer"
    ]
    # whom nobody wants to run (`state: any`) nobody waits for, nor whom somebody has just terminated
    ended = ("stopped", "stopping", "shutting-down", "terminated")
    resting = {item.id for item in discovery.resources if item.status in ended}
    waits += [
        item.state.wait_until_healthy(run, timeout)
        for item in discovery.resources
        if isinstance(item.state, Registration)
        and item.state.target_group in serving
        and not item.is_leaving
        and item.state.target not in resting
        and item.id not in without
    ]
    results = await asyncio.gather(*waits, return_exceptions=True)
    problems = []
    for result in results:
        if isinstance(result, ReconcileError) and not isinstance(result, InterruptedRun):
            problems.append(str(result))
        elif result is not None:
            raise result
    return problems
