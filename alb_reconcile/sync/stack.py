"""One stack, corrected without anybody who watches: look and sort out; then look again, apply what may be, and look whether it
is so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from alb_reconcile.engine.applied_tags import keep_books
from alb_reconcile.engine.apply import Event, Outcome, apply_plan
from alb_reconcile.engine.converge import PATIENCE, look, wait_until_serving
from alb_reconcile.engine.deletion_protection import find_locked
from alb_reconcile.engine.plan.limits import check_damage, find_protected
from alb_reconcile.engine.plan.planner import Options
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ReconcileError, RefusedError
from alb_reconcile.sync.drift import find_causes, is_applied, is_ending
from alb_reconcile.sync.selection import Selection, select

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.kinds.shared_reader import Shared
    from alb_reconcile.model.address import Address
    from alb_reconcile.model.target import Target

SIGHTING_INTERVAL: Final = 30.0
"""Seconds between the reads that have to see a difference before it is corrected (`sightings`)."""


@dataclass(frozen=True)
class Ways:
    """How a stack is synced: whether a changed spec is applied, and how many seconds it may take to serve."""

    apply_changes: bool = False
    timeout: float = 900
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Survey:
    """A stack as it was seen: what there is, and what may be done about it. `is_applied`: it is known to have been applied
    as the spec is now."""

    discovery: Discovery
    selection: Selection
    is_applied: bool
    is_ending: bool = False
    """Whether a destroy of it was begun."""
    warning: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is no difference, but worth a word."""
        plan = self.selection.plan
        found = [
            f"{item.address} is {item.status}"
            for item in self.discovery.resources
            if (isinstance(item.state, Registration) and item.status in ("unhealthy", "unavailable"))
            or (item.address.kind == "load_balancer" and item.status == "failed")
        ]
        if plan.is_empty and plan.total and not self.is_applied:
            found.append(
                "it isn't known to have been applied as it is: run apply once, so that what is missing later is drift"
            )
        return (*found, self.warning) if self.warning else tuple(found)


@dataclass(frozen=True)
class Ending:
    """How it went. `selection` is what is left in the end, `outcomes` how the steps went that were carried out, of
    `acted`; `problems` are what doesn't serve, in words, and `error` is what ended it early."""

    selection: Selection
    acted: Selection | None = None
    outcomes: tuple[Outcome, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: ReconcileError | None = None

    @property
    def is_failed(self) -> bool:
        """Whether something that was to be done wasn't."""
        undone = any(item.how != "done" for item in self.outcomes)
        return bool(self.problems) or undone or self.error is not None


async def survey(aws: Aws, target: Target, ways: Ways, shared: Shared | None = None) -> Survey:
    """Look at a stack, and sort out what may be done. `shared` has reads for several stacks.

    Where a changed spec is applied and makes no difference, that is written down. Raises what `look` raises.
    """
    found = await _look(aws, target, ways, shared)
    if not found.selection.steps:
        return replace(found, warning=await _keep_books(aws, target, ways, found))
    return found


async def correct(
    aws: Aws, target: Target, ways: Ways, first: Survey, note: Callable[[Event], None]
) -> Ending:
    """Look again, and do what may be done. `first` is what was seen before, perhaps some time ago.

    Raises what `look` raises as long as nothing was changed; from then on the ending says what went wrong.
    """
    seen = await _see_again(aws, target, ways, first)
    chosen = seen.selection
    if not chosen.steps:
        return Ending(chosen, notes=seen.notes)
    run = Run(aws, target.stack)
    # what is made anew mustn't say of a spec that isn't applied that it is
    said = chosen.plan.applied if seen.is_applied else ""
    outcomes = await apply_plan(replace(chosen.plan, steps=chosen.steps, applied=said), run, note)
    if any(item.how != "done" for item in outcomes):
        return Ending(chosen, chosen, outcomes, error=aws.halted)  # a lost lease, say
    try:
        return await _conclude(run, target, ways, seen, outcomes)
    except ReconcileError as error:  # what was done is to be told, whatever came after it
        return Ending(chosen, chosen, outcomes, error=error)


async def _conclude(
    run: Run, target: Target, ways: Ways, seen: Survey, outcomes: tuple[Outcome, ...]
) -> Ending:
    chosen = seen.selection
    # of a step in two parts the second one may wait
    acted = {step.address for step in chosen.steps} - {step.address for step in chosen.left}
    last = await _settle(run.aws, target, ways, acted)
    if undone := [str(step.address) for step in last.selection.steps if step.address in acted]:
        problem = f"still not as the spec wants it, though all was done: {', '.join(undone[:10])}"
        return Ending(last.selection, chosen, outcomes, (problem,), last.notes)
    rest = last.selection.keep(set(), "it has come up since this run began; the next one looks again")
    last = replace(last, selection=rest)
    last = replace(last, warning=await _keep_books(run.aws, target, ways, last, was_applied=seen.is_applied))
    problems = await wait_until_serving(
        run, last.discovery, ways.timeout, lambda _: None, without=_unawaited(seen, rest, outcomes)
    )
    return Ending(rest, chosen, outcomes, tuple(f"not serving: {item}" for item in problems), last.notes)


async def _keep_books(
    aws: Aws, target: Target, ways: Ways, found: Survey, *, was_applied: bool = False
) -> str:
    """Write down that the spec is applied, where it is: now, or before what carried the word was taken away.

    Returns a warning where that is denied.
    """
    selection = found.selection
    waits = selection.withheld.keys() | selection.ignored
    moved = any(selection.causes.get(key) == "spec" for key in waits)
    if (ways.apply_changes and not waits and not found.is_ending) or (was_applied and not moved):
        return await keep_books(aws, target.stack, target.desired, found.discovery)
    return ""


async def _look(aws: Aws, target: Target, ways: Ways, shared: Shared | None = None) -> Survey:
    discovery, plan = await look(aws, load_kinds(), target, Options(check=False), shared)
    causes = find_causes(plan, target.desired, discovery)
    known = is_applied(target.stack, target.desired, discovery)
    ending = is_ending(target.stack, discovery)
    barred = {key: _by_hand(text) for key, text in find_protected(plan, target.policy).items()}
    if ending:
        barred = dict.fromkeys(
            (step.key for step in plan.steps), "its destroy was begun: finish that, or run apply"
        )

    def sort_out(barred: Mapping[str, str]) -> Selection:
        return select(
            plan, discovery, target.sync, causes, barred=barred, apply_changes=ways.apply_changes, now=ways.now()
        )  # fmt: skip

    selection = sort_out(barred)
    locked = await find_locked(aws, selection.steps)  # nobody is there to say that it may be lifted
    if locked:
        selection = sort_out({**barred, **locked})
    try:
        check_damage(plan, selection.steps, target.policy, {}, ways.now())
    except RefusedError as error:
        selection = selection.keep(set(), _by_hand(str(error)))
    return Survey(discovery, selection, known, ending)


def _by_hand(text: str) -> str:
    """A refusal as a reason: what a user may allow is for `apply`."""
    return text.replace("\n", "; ").replace("--allow", "apply --allow")


async def _see_again(aws: Aws, target: Target, ways: Ways, first: Survey) -> Survey:
    """What is to be done by the newest read of all that are wanted, if every one has shown it."""
    wanted = target.sync.sightings
    seen = [first]
    for number in range(1, max(wanted, 2)):
        if number < wanted:
            await aws.sleep(SIGHTING_INTERVAL)
        seen.append(await _look(aws, target, ways))
    last = seen[-1]
    if wanted < 2:  # the first read may be some time old; only the second one counts
        return last
    constant = set.intersection(
        *({(step.key, step.changes) for step in item.selection.steps} for item in seen)
    )
    reason = "not every read has shown it; the next round looks again"
    return replace(last, selection=last.selection.keep({key for key, _ in constant}, reason))


async def _settle(aws: Aws, target: Target, ways: Ways, acted: Collection[Address]) -> Survey:
    """Read again until nothing is left of what was done, for as long as reads may lag. Returns the last look.

    Other steps may have become possible meanwhile, for example once an instance that was being terminated has gone.
    """
    started, pause = aws.now(), 1.0
    while True:
        found = await _look(aws, target, ways)
        undone = any(step.address in acted for step in found.selection.steps)
        if not undone or aws.now() - started > PATIENCE:
            return found
        await aws.sleep(pause)
        pause = min(pause * 2, 15)


def _unawaited(seen: Survey, rest: Selection, outcomes: tuple[Outcome, ...]) -> set[str]:
    """The registrations that nobody waits for: those that were ill before and weren't touched, and those that are to go,
    but not by this run."""
    touched = {item.step.address for item in outcomes}
    ill = {
        item.id
        for item in seen.discovery.resources
        if isinstance(item.state, Registration)
        and item.status in ("unhealthy", "unavailable")
        and item.address not in touched
    }
    return ill | {step.id for step in rest.left if step.id and step.action in ("delete", "replace")}
