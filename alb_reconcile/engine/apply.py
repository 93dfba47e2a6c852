"""Carries out a plan: each step runs as soon as the steps that it needs are done, and a failure stops only its dependents."""

import asyncio
import time
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Literal

from alb_reconcile.aws.calls import MADE_FOR
from alb_reconcile.engine.gate import Gate
from alb_reconcile.engine.safety import shift_of
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, HasNodes, Ordered, Prepares
from alb_reconcile.kinds.context import NeverMadeError, Others, Prove, Run, all_of
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of, extra_tags
from alb_reconcile.model.actions import Forward
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import CheckError, InterruptedRun, ReconcileError, RefusedError, WentBackError
from alb_reconcile.model.host import iso
from alb_reconcile.model.machine import find_lack
from alb_reconcile.model.plan import Need, Plan, Step
from alb_reconcile.model.resource import Properties, bind
from alb_reconcile.model.steps import Launch, Proof, SetPriorities, Shift
from alb_reconcile.model.text import printable

How = Literal["done", "failed", "skipped", "interrupted"]
"""The ways in which a step can end."""
What = Literal["started", "waiting"] | How
"""The ways in which a step's state can change."""


@dataclass(frozen=True)
class Event:
    """A change of a step's state: started, waiting, done, failed, skipped or interrupted."""

    what: What
    step: Step
    elapsed: float = 0.0
    """Seconds since the step was started, on AWS's clock."""
    text: str = ""
    """What the step waits for, the id of what it made, its error, or the root cause of a skip."""


@dataclass(frozen=True)
class Outcome:
    """How a step ended: done, failed, skipped or interrupted. An interrupted step has an error only if it had begun."""

    step: Step
    how: How
    error: ReconcileError | None = None
    cause: Step | None = None
    """The failed step that made this one impossible."""


OnEvent = Callable[[Event], None]


class _SkippedError(NeverMadeError):
    """A step can't be finished, since another step wasn't done."""

    def __init__(self, cause: Step) -> None:
        super().__init__(str(cause.address))
        self.cause = cause


async def apply_plan(plan: Plan, run: Run, on_event: OnEvent) -> tuple[Outcome, ...]:
    """Carry out a plan. Never raises for a step's failure: each outcome says how it ended."""
    return await _Application(plan, run, on_event).carry_out()


class _Application:
    def __init__(self, plan: Plan, run: Run, on_event: OnEvent) -> None:
        made = frozenset(step.address for step in plan.steps if step.action != "delete")
        self.steps = {step.key: _among(step, made) for step in plan.steps}
        self.kinds = load_kinds()
        self.run = replace(run, marks={**plan.applied, tags.ZONES: tags.zones_tag(plan.desired)})
        self.on_event = on_event
        self.outcomes: dict[str, Outcome] = {}
        self.gate = Gate(plan)
        self.running: dict[asyncio.Task[str], tuple[Step, float]] = {}
        self.announced: set[str] = set()
        self.there: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Events by step key: set when the resource that the step makes exists, or the step has ended without it."""
        self.news = asyncio.Event()
        """Set when a step has announced the resource that it has made, for steps that only have to name that resource."""
        run.ids.update(plan.ids)
        gone = [step for step in self.steps.values() if step.action == "delete"]
        back = [step.observed for step in gone if step.observed and self._returns(step)]
        run.targets.expect(
            leaving=(step.id for step in gone if step.id and not self._returns(step)),
            resting=(found.id for found in back if found.status == "healthy"),
        )

    def _returns(self, step: Step) -> bool:
        """Whether another step of the same replacement makes the resource that a step deletes, with the same properties."""
        whole = self.steps.get(step.part_of or "")
        return whole is not None and step.observed is not None and whole.state == step.observed.state

    async def carry_out(self) -> tuple[Outcome, ...]:
        try:
            await self._run_all()
        finally:
            for task in self.running:  # tasks are left only if something unforeseen has ended this
                task.cancel()
            await asyncio.gather(*self.running, return_exceptions=True)
        return tuple(self.outcomes[key] for key in self.steps)

    async def _run_all(self) -> None:
        steps = self.steps.values()
        sorter = TopologicalSorter({step.key: step.needs.keys() - step.needing(Need.MADE) for step in steps})
        sorter.prepare()
        for step in steps:
            kind: object = self.kinds[step.carried_by]
            if step.action in ("create", "replace") and isinstance(kind, Prepares):
                kind.prepare(self.run, step.state)
        through: set[str] = set()
        ready: list[str] = []
        while sorter.is_active() or self.running:
            ready += sorter.get_ready()
            beginning = [key for key in ready if self._may_begin(self.steps[key])]
            ready = [key for key in ready if key not in beginning]
            ended = [key for key in beginning if not self._start(self.steps[key])]
            if ended:  # running steps may wait for resources of the skipped ones
                sorter.done(*ended)
            elif self.running:
                self.news.clear()
                news = asyncio.ensure_future(self.news.wait())
                done, _ = await asyncio.wait({*self.running, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                new = {self._finish(task) for task in list(self.running) if task in done}
                new = (new | self.announced) - through
                through |= new
                sorter.done(*new)

    def _may_begin(self, step: Step) -> bool:
        """Whether the steps that a step needs have ended, or have announced their resource if that is enough."""
        return all(key in self.outcomes or self._is_enough(step, key) for key in step.needs)

    def _is_enough(self, step: Step, key: str) -> bool:
        """Whether it is enough that a needed step has announced its resource, though the needed step hasn't ended. A step that takes
        something away waits for the end of steps that make something."""
        if self.steps[key].action == "delete":
            return key in self.announced and step.needs.get(key) is Need.ANNOUNCED
        return not step.takes_away

    def _start(self, step: Step) -> bool:
        """Start a step, unless a step that it needs wasn't done. Returns whether the step runs."""
        enough = {key for key in self.announced if self._is_enough(step, key)}
        ended = (self.outcomes[key] for key in step.needs if key in self.outcomes and key not in enough)
        causes = [outcome for outcome in ended if outcome.how != "done"]
        if causes:
            cause = causes[0].cause or causes[0].step
            self._end(Outcome(step, "skipped", cause=cause), 0.0, str(cause.address))
            return False
        if self.run.aws.stopping.is_set():
            self._end(Outcome(step, "interrupted"), 0.0, "not started")
            return False
        started = self.run.aws.now()
        self.on_event(Event("started", step))
        own = replace(
            self.run,
            say=lambda text: self.on_event(Event("waiting", step, self.run.aws.now() - started, text)),
            others=_Others(step, self),
        )
        task = asyncio.ensure_future(carry_out(step, own, self.kinds[step.carried_by], self.gate))
        self.running[task] = (step, started)
        return True

    def _finish(self, task: asyncio.Task[str]) -> str:
        step, started = self.running.pop(task)
        elapsed = self.run.aws.now() - started
        try:
            self._end(Outcome(step, "done"), elapsed, task.result())
        except _SkippedError as error:
            text = f"{error}; what it has made stays for the next run"
            self._end(Outcome(step, "skipped", cause=error.cause), elapsed, text)
        except ReconcileError as error:
            how: How = "interrupted" if isinstance(error, InterruptedRun) else "failed"
            self._end(Outcome(step, how, error=error), elapsed, str(error))
        except Exception as error:  # a bug in this tool ends only its step; the others and the report continue
            bug = _unexpected(error)
            self._end(Outcome(step, "failed", error=bug), elapsed, str(bug))
        return step.key

    def _end(self, outcome: Outcome, elapsed: float, text: str) -> None:
        self.outcomes[outcome.step.key] = outcome
        if outcome.how == "done":
            self.gate.done(outcome.step)
        self.there[outcome.step.key].set()
        self.on_event(Event(outcome.how, outcome.step, elapsed, text))


@dataclass(frozen=True)
class _Others(Others):
    """How a step communicates with the other steps of its plan."""

    step: Step
    among: _Application

    def announce(self, made: str, *, usable: bool) -> None:
        if self.step.action != "delete":  # the address belongs to the deleted resource's successor
            self.among.run.ids[self.step.address] = made
        self.among.there[self.step.key].set()
        if usable:
            self.among.announced.add(self.step.key)
            self.among.news.set()

    async def made(self, ref: Ref) -> str:
        """The id of the resource, when it exists. Raises _SkippedError if it is never made."""
        if isinstance(ref, str):
            return ref
        for maker in self.step.needing(Need.MADE):
            if self.among.steps[maker].address == ref:
                await self.among.there[maker].wait()
                if ref not in self.among.run.ids:
                    outcome = self.among.outcomes[maker]
                    raise _SkippedError(outcome.cause or outcome.step)
        return self.among.run.ids[ref]

    def coming(self) -> Iterator[Step]:
        behind, ended = {self.step.key}, self.among.outcomes
        for other in self.among.steps.values():  # in a plan each step comes after the steps that it needs
            if not behind.isdisjoint((other.key, *other.needs)):
                behind.add(other.key)
            elif other.key not in ended and other.action != "delete" and other.state:
                yield other

    def next(self) -> Iterator[Step]:
        under_way = {step.key for step, _ in self.among.running.values()}
        begun = under_way | self.among.outcomes.keys()
        for other in self.among.steps.values():
            if other.key not in begun and begun.issuperset(other.needs):
                yield other


def _among(step: Step, made: Collection[Address]) -> Step:
    """The step; if it launches several instances, without those that this run doesn't make, since a run may carry out a part of a plan."""
    if not isinstance(how := step.details, Launch):
        return step
    return replace(step, details=replace(how, together=tuple(item for item in how.together if item[0].address in made)))


def _unexpected(error: Exception) -> ReconcileError:
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"unexpected {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}"
    bug = ReconcileError(find_lack(error) or printable(f"{what}; this is a bug, please report it"))
    bug.__cause__ = error
    return bug


async def carry_out(step: Step, run: Run, kind: AnyKind, gate: Gate | None = None) -> str:
    """Carry out one step. Returns the id of the resource that it made or changed. It must run in a task of its own, so that its calls
    are attributed to the step."""
    MADE_FOR.set(step.key)
    run = replace(run, step=step)
    for other in load_kinds().values() if step.old_nodes else ():
        if isinstance(other, HasNodes):
            await other.wait_for_old_nodes(run, step.old_nodes)
    seconds, settled = step.pause
    if seconds:
        run.say(f"{seconds} s, until {settled}")
        await run.aws.sleep(seconds)
    if gate is not None:
        await gate.hold(run, step)
    await _prepare_shift(run, shift_of(step))
    if isinstance(step.details, SetPriorities) and isinstance(kind, Ordered):
        await kind.set_order(run, step.details)
        return step.id or ""
    if step.action == "delete":
        if step.observed is not None:
            await kind.delete(run, step.observed)
        return step.id or ""
    if step.desired is None or step.state is None:
        raise AssertionError(f"{step.key} says nothing of what is wanted")
    wanted = bind(step.state, run.ids)
    if step.needing(Need.MADE):  # these fields stay addresses: the kind asks for an id when it needs it
        wanted = replace(wanted, **{name: getattr(step.state, name) for name in wanted.needed_late})
    if step.action == "update" and step.observed is not None:
        fields = step.tops | {change.path for change in step.changes}
        observed = replace(step.observed, tags={**step.observed.tags, **step.desired.tags})
        await kind.update(run, wanted, observed, fields)
        for proof in shift_of(step).proofs:
            await _prove_moved(run, kind, wanted, fields, proof)
            await _forgive(run, proof)
        await _write_tags(step, run)
        return step.observed.id
    made = await kind.create(run, wanted, step.desired)
    run.ids[step.address] = made
    await _write_tags(step, run)
    return made


async def _prepare_shift(run: Run, shift: Shift) -> None:
    """Ask new versions, and let old ones stand by, before requests move."""
    for proof in shift.proofs:
        await _prove(run, proof)
    for proof in shift.proofs:
        await _refuse_aborted(run, proof)
    for group, seconds in shift.standby:  # before the move, so that no later run takes the group for a duplicate
        await run.tag(group, {tags.STANDBY: iso(time.time() + seconds)})


async def _prove(run: Run, proof: Proof) -> None:
    """Ask a new version, once in a run whichever steps move requests to it. Raises RefusedError, and what `run.prove` raises."""
    prove = run.prove
    if not proof.checks:
        return
    if prove is None:
        raise RefusedError(
            f"{proof.group} is to be asked before requests move to it, which this command can't do; run apply"
        )
    bound = proof._replace(group=str(bind(proof.group, run.ids)))
    run.say(f"{len(proof.checks)} checks of {proof.group}, which no other request reaches yet")
    await run.shared.once(f"prove {bound.group}", lambda: _asked(run, prove, bound))


async def _prove_moved(run: Run, kind: AnyKind, moved: Properties, fields: frozenset[str], proof: Proof) -> None:
    """Ask a new version in the way of the requests that have moved to it. If it answers wrongly, they go back at once.

    Raises WentBackError.
    """
    step, group = run.step, str(bind(proof.group, run.ids))
    if not proof.checks or run.prove is None or step.observed is None or not shift_of(step).standby:
        return  # what doesn't stand by has left the forward, and its targets aren't checked any more
    moves = run.shared.of(_Moves, group)
    moves.back.append(lambda: _move_back(run, kind, moved, fields))
    if not moves.failed:
        run.say(f"{len(proof.checks)} checks of {proof.group}, in the way of all requests")
        wrong = await _wrong(run, run.prove, proof._replace(group=group, moved=step.observed.id))
        moves.failed = (
            moves.failed or wrong
        )  # the requests of another listener or rule may have been answered wrongly meanwhile
    if not moves.failed:
        return
    while moves.back:
        await moves.back.pop()()
    await run.tag(group, {tags.REJECTED: f"failed its checks at {iso(time.time())}"})
    for old, _ in shift_of(step).standby:
        await run.tag(old, {tags.STANDBY: ""})
    raise WentBackError(f"{moves.failed}. The requests have gone back to the old version")


async def _wrong(run: Run, prove: Prove, proof: Proof) -> str:
    """What a version answers wrongly; empty if nothing."""
    try:
        await prove(run.aws, run.stack, proof)
    except CheckError as error:
        return str(error)
    return ""


async def _forgive(run: Run, proof: Proof) -> None:
    """Take the mark from a version that has been tried again."""
    if proof.rejected:
        await run.tag(str(bind(proof.group, run.ids)), {tags.REJECTED: ""})


class _Moves:
    """What a run has moved to a new version: how it goes back, and what the version answered wrongly."""

    def __init__(self) -> None:
        self.back: list[Callable[[], Awaitable[None]]] = []
        self.failed = ""


async def _move_back(run: Run, kind: AnyKind, moved: Properties, fields: frozenset[str]) -> None:
    """Give a listener or rule the weights that it had. All groups that are in its forward now stay there."""
    step = run.step
    if step.observed is None:
        return
    field, before = step.observed.state.action_field, action_of(step.observed.state)
    had = {str(part.target_group) for part in before.forward}
    groups = (str(bind(part.target_group, run.ids)) for part in action_of(moved).forward)
    more = tuple(Forward(known, 0) for known in groups if known not in had)
    state = replace(step.observed.state, **{field: replace(before, forward=(*before.forward, *more))})
    alone = replace(run, step=replace(step, details=None))
    await kind.update(alone, state, replace(step.observed, state=moved), fields)


async def _refuse_aborted(run: Run, proof: Proof) -> None:
    """Raise CheckError if a user has aborted the deployment since it was planned (ELBv2 DescribeTags)."""
    group = str(bind(proof.group, run.ids))
    if failed := run.shared.of(_Moves, group).failed:
        raise CheckError(f"{failed}. No more requests move to the new version")
    answer = await run.aws.call("elbv2", "describe_tags", ResourceArns=[group])
    found = tags.from_list(answer["TagDescriptions"][0]["Tags"]).get(tags.REJECTED, "")
    if found and found != proof.rejected:
        raise CheckError(f"the new version {found}, so no request moves to it; the old version serves on")


async def _asked(run: Run, prove: Prove, proof: Proof) -> None:
    """Ask a new version. If it answers wrongly, its group is marked, so that no later run moves requests to it unasked. At one listener one
    version after the other is asked: what finds the rule of another one there takes it for a killed run's."""
    try:
        async with run.shared.of(asyncio.Lock, f"asks {proof.listener}"):
            await prove(run.aws, run.stack, proof)
    except CheckError:
        await run.tag(str(proof.group), {tags.REJECTED: f"failed its checks at {iso(time.time())}"})
        raise


async def _write_tags(step: Step, run: Run) -> None:
    """Write the tags that changed, and the entry's bookkeeping, in one call for each resource, or for all that get the same tags."""
    changed: dict[str, str] = {}
    for change in step.changes if step.action == "update" else ():
        if change.path.startswith("tags."):
            changed[change.path.removeprefix("tags.")] = change.after
        elif change.path == "prevent_destroy":
            changed[tags.PREVENT_DESTROY] = str(change.after).lower()
    wished = step.desired.tags if step.desired else {}
    declared = {key: text for key, text in changed.items() if key in wished and key != "Name"}
    if declared and step.observed:
        await all_of(*(run.tag(item, declared) for item in step.observed.attached))
    if step.refresh is not None:
        wanted, found = step.refresh
        own = changed if step.observed is found else {}
        more = {**extra_tags(wanted.state, found.tags), **tags.readdressed(wanted, found.tags)}
        await run.tag(found.id, {**own, **more, tags.SPEC: tags.spec_tag(wanted)})
        if own:
            return
    if changed and step.observed is not None:
        await run.tag(step.observed.id, changed)
