"""One stack, corrected without anybody who watches: look, sort out, look again, apply what may be, and look whether it is so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from alb_reconcile.apply import Event, Outcome, apply_plan
from alb_reconcile.bookkeeping import keep_books
from alb_reconcile.converge import PATIENCE, look, wait_until_serving
from alb_reconcile.errors import RefusedError
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.plan.causes import find_causes
from alb_reconcile.plan.limits import check_damage, find_protected
from alb_reconcile.plan.planner import Options
from alb_reconcile.plan.selection import Selection, select
from alb_reconcile.run import Run

if TYPE_CHECKING:
    from collections.abc import Collection

    from alb_reconcile.aws import Aws
    from alb_reconcile.converge import Target
    from alb_reconcile.discover import Discovery
    from alb_reconcile.shared import Shared
    from alb_reconcile.values import Address

SIGHTING_INTERVAL: Final = 30.0
"""Seconds between the reads that have to see a difference before it is corrected (`sightings`)."""


@dataclass(frozen=True)
class Ending:
    """How it went. `selection` is what is left in the end, `outcomes` how the steps went that were carried out, of
    `acted`; `problems` are what doesn't serve, in words."""

    selection: Selection
    acted: Selection | None = None
    outcomes: tuple[Outcome, ...] = ()
    problems: tuple[str, ...] = ()
    ill: tuple[str, ...] = ()
    """Registered targets that aren't healthy: no difference, but worth a word."""

    @property
    def is_failed(self) -> bool:
        """Whether something that was to be done wasn't."""
        return bool(self.problems) or any(item.how != "done" for item in self.outcomes)


@dataclass(frozen=True)
class Ways:
    """How a stack is synced: whether a changed spec is applied, how long it may take to serve, and whose turn it is."""

    turns: AbstractAsyncContextManager[object]
    """Held while something is changed."""
    apply_changes: bool = False
    timeout: float = 900
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


async def sync_stack(
    aws: Aws, target: Target, ways: Ways, shared: Shared | None, note: Callable[[Event], None]
) -> Ending:
    """Correct what may be corrected of one stack, and tell what is left.

    `shared` has reads for several stacks; before anything is changed the stack is read again for itself. Raises what
    `look` raises, InterruptedRun too; for a step's failure nothing is raised.
    """
    discovery, found = await _look(aws, target, ways, shared)
    if not found.steps:
        if ways.apply_changes and not found.withheld:
            await keep_books(aws, target.stack, target.desired, discovery)
        return Ending(found, ill=_ill(discovery))
    async with ways.turns:
        chosen = await _see_again(aws, target, ways, found)
        if not chosen.steps:
            return Ending(chosen, ill=_ill(discovery))
        run = Run(aws, target.stack)
        outcomes = await apply_plan(replace(chosen.plan, steps=chosen.steps), run, note)
        if any(item.how != "done" for item in outcomes):
            return Ending(chosen, chosen, outcomes)
        # of a step in two parts the second one may wait
        acted = {step.address for step in chosen.steps} - {step.address for step in chosen.left}
        discovery, rest = await _settle(aws, target, ways, acted)
        if undone := [str(step.address) for step in rest.steps if step.address in acted]:
            text = ", ".join(undone[:10])
            return Ending(
                rest, chosen, outcomes, (f"still not as the spec wants it, though all was done: {text}",)
            )
        rest = rest.keep(set(), "it has come up since this run began; the next one looks again")
        if ways.apply_changes and not rest.withheld:
            await keep_books(aws, target.stack, target.desired, discovery)
        problems = await wait_until_serving(run, _staying(discovery, rest), ways.timeout, lambda _: None)
        return Ending(rest, chosen, outcomes, tuple(f"not serving: {item}" for item in problems))


async def _look(
    aws: Aws, target: Target, ways: Ways, shared: Shared | None = None
) -> tuple[Discovery, Selection]:
    discovery, plan = await look(aws, load_kinds(), target, Options(check=False), shared)
    causes = find_causes(plan, target.desired, discovery)
    if not any(item.owner == target.stack and not item.is_gone for item in discovery.resources):
        causes = dict.fromkeys(causes, "spec")  # it was never applied, or somebody took all of it
    selection = select(
        plan,
        discovery,
        target.sync,
        causes,
        barred=find_protected(plan, target.policy),
        apply_changes=ways.apply_changes,
        now=ways.now(),
    )
    try:
        check_damage(plan, selection.steps, target.policy, {}, ways.now())
    except RefusedError as error:
        return discovery, selection.keep(set(), f"beyond a limit: {error}")
    return discovery, selection


async def _see_again(aws: Aws, target: Target, ways: Ways, found: Selection) -> Selection:
    """What is to be done by the newest read of all that are wanted, if every one has shown it."""
    seen = [found]
    for number in range(1, max(target.sync.sightings, 2)):
        if number < target.sync.sightings:
            await aws.sleep(SIGHTING_INTERVAL)
        _, selection = await _look(aws, target, ways)
        seen.append(selection)
    if target.sync.sightings < 2:  # the first read may be some time old; only the second one counts
        return seen[-1]
    constant = set.intersection(*({(step.key, step.changes) for step in item.steps} for item in seen))
    return seen[-1].keep(
        {key for key, _ in constant}, "not every read has shown it; the next round looks again"
    )


async def _settle(
    aws: Aws, target: Target, ways: Ways, acted: Collection[Address]
) -> tuple[Discovery, Selection]:
    """Read again until nothing is left of what was done, for as long as reads may lag. Returns the last look.

    Other steps may have become possible meanwhile, for example once an instance that was being terminated has gone.
    """
    started, pause = aws.now(), 1.0
    while True:
        discovery, selection = await _look(aws, target, ways)
        undone = any(step.address in acted for step in selection.steps)
        if not undone or aws.now() - started > PATIENCE:
            return discovery, selection
        await aws.sleep(pause)
        pause = min(pause * 2, 15)


def _staying(discovery: Discovery, rest: Selection) -> Discovery:
    """The stack without the targets that are to go, but not by this run: strangers, and those of instances that are gone,
    needn't become healthy."""
    going = {step.id for step in rest.left if step.action in ("delete", "replace")}
    kept = (
        item
        for item in discovery.resources
        if item.id not in going or not isinstance(item.state, Registration)
    )
    return replace(discovery, resources=tuple(kept))


def _ill(discovery: Discovery) -> tuple[str, ...]:
    return tuple(
        f"{item.address} is {item.status}"
        for item in discovery.resources
        if isinstance(item.state, Registration) and item.status in ("unhealthy", "initial", "unavailable")
    )
