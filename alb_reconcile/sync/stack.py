"""Corrects one stack unattended: reads it and selects steps, reads it again, applies what may be applied, and checks the result."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.applied_tags import find_lost
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.engine.lookalikes import find_alike
from alb_reconcile.engine.plan.held import Waiting
from alb_reconcile.engine.plan.limits import find_damage, find_forbidden
from alb_reconcile.engine.service import ILL, Service, find_needed
from alb_reconcile.engine.stack import Choice, Goal, Options, StackPlan, apply_stack, plan_allowed, plan_stack
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.journal.record import ADVICE, DESTROY_BEGUN, NO_USE
from alb_reconcile.kinds.context import Prove
from alb_reconcile.kinds.display import short_id
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import PlanError, ReconcileError, RefusedError, ignoring
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Balancer, Gateway, Member, Permissions, Router, Routes
from alb_reconcile.sync.drift import find_causes, find_said, is_absent, is_applied, is_ending, new_names
from alb_reconcile.sync.selection import NEVER_APPLIED, Selection, select

SIGHTING_INTERVAL: Final = 30.0
"""Seconds between the reads that have to see a difference before it is corrected (`sightings`)."""
NEVER_RECORDED: Final = (
    "no tag says that this stack has been applied: run apply once, so that what is missing later counts as drift"
)
HINT: Final = (
    ". history says when it was last in sync, and CloudTrail who changed it. If a run was cut short, nobody did."
)
REFUSED: Final = "the spec has changed, and apply refuses it as a whole: plan says why"
MISSING: Final = (
    "it is missing, and the spec has changed since it was applied: run apply, which makes it as the spec says now"
)
MADE_AS_NOW: Final = "it was missing, and is made as the spec says now, which isn't applied: nothing tells how it was"
UNRECORDED: Final = (
    "the spec has changed since it was applied, in nothing that AWS shows: run apply once to record that"
)


@dataclass(frozen=True)
class Ways:
    """How a stack is synced: whether a changed spec is applied, and how many seconds it may take to serve."""

    apply_changes: bool = False
    timeout: float = 900
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    prove: Prove | None = None


@dataclass(frozen=True)
class Survey:
    """A stack as it was seen, and what may be done about it. `is_applied`: its tags say that the spec was applied as it is now."""

    planned: StackPlan
    selection: Selection
    is_applied: bool
    is_ending: bool = False
    """Whether a destroy of the stack was begun."""
    warning: str = ""

    @cached_property
    def service(self) -> Service:
        """What clients get, whatever the cause."""
        return service_of(self.planned)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the stack that are no differences."""
        plan = self.selection.plan
        found = [*self.planned.situation.target.remarks, *unhealthy(self.planned)]
        found += [ADVICE] * any(NO_USE in reason for reason in self.selection.withheld.values())
        if not self.is_applied and not self.is_ending and (said := find_said(self.planned)):
            if said == {""}:
                found.append(NEVER_RECORDED)
            elif plan.is_empty:
                found.append(UNRECORDED)
        return (*found, *self.planned.discovery.warnings, *filter(None, [self.warning]))

    def at_rest(self) -> "Ending":
        """The ending of a run that does nothing."""
        return Ending(self.selection, problems=self.service.nobody, not_ready=self.service.partly, notes=self.notes)


@dataclass(frozen=True)
class Ending:
    """How a run over a stack ended. `selection` is what is left at the end, `outcomes` how the steps of `acted` went; `problems` says
    what doesn't serve, `not_ready` what serves only in part, `error` what ended the run early."""

    selection: Selection
    acted: Selection | None = None
    outcomes: tuple[Outcome, ...] = ()
    problems: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)
    """Further remarks on steps, by key."""
    error: ReconcileError | None = None

    @property
    def is_failed(self) -> bool:
        """Whether something that was to be done wasn't."""
        undone = any(item.how != "done" for item in self.outcomes)
        return bool(self.problems) or undone or self.error is not None


def service_of(planned: StackPlan) -> Service:
    """What clients get of a stack as it was read. A resource that a protection keeps from being created counts as there, without its
    tags."""
    untagged = {
        step.address for step in planned.plan.steps if step.action == "create" and step.key in planned.protected
    }
    return find_standing(planned.situation, untagged).service


async def survey(aws: Aws, target: DesiredStack, ways: Ways, shared: SharedReads | None = None) -> Survey:
    """Look at a stack, and sort out what may be done. `shared` has reads for several stacks.

    Where changed specs are applied and this spec's changes make no difference, the tags are updated to say that it is applied. Raises
    what `plan_stack` raises.
    """
    found = await _look(aws, target, ways, shared)
    if found.selection.steps:
        return found
    if is_absent(found.planned):
        found = replace(found, selection=found.selection.because(await _tell_alike(aws, found.planned)))
    warnings: list[str] = []
    idle = replace(found.planned, plan=replace(found.planned.plan, steps=()))
    goal = Goal(is_applied=lambda _: _may_be_called_applied(ways, found))
    applied = await apply_stack(aws, idle, goal=goal, warn=warnings.append, timeout=None)
    if applied.error is not None:
        raise applied.error
    is_told = found.is_applied or (_may_be_called_applied(ways, found) and not warnings)
    return replace(found, is_applied=is_told, warning="; ".join(warnings))


async def _tell_alike(aws: Aws, planned: StackPlan) -> str:
    """A text about similar resources without the stack's tags; resources that these credentials may not read aren't mentioned."""
    with ignoring("UnauthorizedOperation"):
        told = "; ".join(await find_alike(aws, planned.situation))
        return f" by its tags: {told.replace('this plan makes new ones; ', '')}" if told else ""
    return ""


async def correct(
    aws: Aws, target: DesiredStack, ways: Ways, first: Survey, on_event: Callable[[Event], None]
) -> Ending:
    """Look again, and do what may be done. `first` is what was seen before, perhaps some time ago.

    Raises what `plan_stack` raises as long as nothing was changed; from then on the ending says what went wrong.
    """
    seen = await _see_again(aws, target, ways, first)
    chosen = seen.selection
    if not chosen.steps:
        return seen.at_rest()
    # the tags of new resources mustn't say that the spec is applied if it isn't
    planned = replace(seen.planned, plan=replace(chosen.plan, steps=chosen.steps, says_applied=seen.is_applied))
    # of a step in two parts the second part may wait
    left = [step for step in chosen.left if step.key not in {part.step.key for part in planned.waiting.parts}]
    acted = {step.address for step in chosen.steps} - {step.address for step in left}

    sorted_out: list[Survey] = []

    def sort_out(found: StackPlan) -> Survey:
        """The survey of one read, made once: two answers about one read mustn't contradict each other when a window closes meanwhile."""
        if not sorted_out or sorted_out[-1].planned is not found:
            sorted_out.append(_sort_out(found, ways))
        return sorted_out[-1]

    def undone(found: StackPlan) -> list[str]:
        """The steps that could be done now: further steps may have become possible, for example once a terminated instance has gone."""
        steps = sort_out(found).selection.steps
        return [str(step.address) for step in steps if step.address in acted]

    def rest(found: StackPlan) -> Survey:
        last = sort_out(found)
        reason = "it appeared after this run began; the next one looks again"
        return replace(last, selection=last.selection.keep(set(), reason))

    goal = Goal(
        choose=_chooser(ways),
        is_reached=lambda found: not undone(found),
        is_applied=lambda found: _may_be_called_applied(ways, rest(found), was_applied=seen.is_applied),
        without=lambda found: _unawaited(seen, rest(found).selection),
    )
    warnings: list[str] = []
    applied = await apply_stack(
        aws, planned, on_event=on_event, warn=warnings.append, timeout=ways.timeout, goal=goal, prove=ways.prove
    )
    remarks = new_names(chosen.plan, applied.outcomes, applied.found)
    if applied.found is None or applied.error is not None:
        # what was done is reported whatever came after it, for example a lost lease
        return Ending(chosen, chosen, applied.outcomes, remarks=remarks, error=applied.error or aws.halted)
    if not applied.is_reached:
        problem = f"all steps are done, but these still differ from the spec: {', '.join(undone(applied.found)[:10])}"
        last = sort_out(applied.found)
        return Ending(last.selection, chosen, applied.outcomes, (problem,), (), last.notes, remarks)
    last = rest(applied.found)
    is_told = last.is_applied or (goal.is_applied(applied.found) and not warnings)
    last = replace(last, is_applied=is_told, warning="; ".join(warnings))
    problems = (*(f"not healthy: {item}" for item in applied.problems), *last.service.nobody)
    ended = "; ".join(text for text in seen.service.nobody if text not in last.service.nobody)
    made = {item.step.key for item in applied.outcomes if item.how == "done"}
    for key in () if ways.apply_changes else made & _changed_and_missing(seen.planned, needed=True):
        remarks[key] = "; ".join(filter(None, [remarks.get(key), MADE_AS_NOW]))
    before = [f"when this round began: {ended}{HINT}"] if ended else []
    before += filter(None, [seen.warning])
    if ended and (done := [item.step for item in applied.outcomes if item.how == "done" and is_entrance(item.step)]):
        key, told = min(done, key=lambda step: not _is_about(step, ended)).key, f"when this round began: {ended}"
        remarks[key] = "; ".join(filter(None, [remarks.get(key), told]))
    partly = last.service.partly
    return Ending(last.selection, chosen, applied.outcomes, problems, partly, (*before, *last.notes), remarks)


def _may_be_called_applied(ways: Ways, found: Survey, *, was_applied: bool = False) -> bool:
    """Whether the resources' tags may say that the spec is applied: it is applied now, or was before the resource with the tag was
    deleted."""
    selection = found.selection
    waits = selection.withheld.keys() | selection.ignored
    moved = any(selection.causes.get(key) == "spec" for key in waits)
    return (ways.apply_changes and not waits and not found.is_ending) or (was_applied and not moved)


async def _look(aws: Aws, target: DesiredStack, ways: Ways, shared: SharedReads | None = None) -> Survey:
    planned = await plan_stack(aws, target, Options(check=False, now=ways.now()), shared=shared, choose=_chooser(ways))
    return _sort_out(planned, ways)


def _chooser(ways: Ways) -> Choice:
    """A function that chooses the steps that may be carried out, by what is known before AWS is asked which resources it protects.

    Limits apply to the steps that are left then: a step on a protected resource must not count against them.
    """

    def choose(planned: StackPlan) -> tuple[tuple[Step, ...], Waiting]:
        selection = _select(planned, ways, ways.now())
        return selection.steps, selection.waiting

    return choose


def _sort_out(planned: StackPlan, ways: Ways) -> Survey:
    now = ways.now()
    selection = _select(planned, ways, now)
    if damage := find_damage(planned.plan, selection.steps, planned.target.policy, {}, now):
        selection = selection.keep(set(), _by_hand(damage))
    return Survey(planned, selection, is_applied(planned), is_ending(planned.target.stack, planned.discovery))


def _select(planned: StackPlan, ways: Ways, now: datetime) -> Selection:
    target, discovery, plan = planned.target, planned.discovery, planned.plan
    causes = find_causes(planned)
    barred = {key: _by_hand(text) for key, text in find_forbidden(plan, target.policy).items()}
    if is_ending(target.stack, discovery):
        barred = dict.fromkeys((step.key for step in plan.steps), DESTROY_BEGUN)
    elif is_absent(planned):
        barred = dict.fromkeys((step.key for step in plan.steps), NEVER_APPLIED)
    elif not ways.apply_changes:
        barred |= dict.fromkeys(_changed_and_missing(planned, needed=False), MISSING)
    barred |= planned.protected  # no person is present to say that a protection may be lifted
    return select(
        plan, discovery, target.sync, causes, barred=barred, apply_changes=ways.apply_changes, now=now,
        waiting=planned.waiting,
    )  # fmt: skip


def _changed_and_missing(planned: StackPlan, *, needed: bool) -> set[str]:
    """The steps that create a missing resource of an entry that has changed since it was applied. If `needed`, those without which a load
    balancer serves no requests, which are done all the same; else the others: a version that was never applied isn't started next to
    serving instances."""
    plan, discovery = planned.plan, planned.discovery
    lost = find_lost(plan.stack, plan.desired, discovery)
    changed = {address for address, is_same in lost.items() if not is_same}
    wanted = find_needed(discovery.resources, plan.desired, lost.keys()) if changed else set()
    return {
        step.key
        for step in plan.steps
        if step.action == "create" and step.address in changed and (step.address in wanted) is needed
    }


def _by_hand(text: str) -> str:
    """A refusal's text as a reason: its `--allow` options are options of `apply`."""
    return text.replace("\n", "; ").replace("--allow", "apply --allow")


async def _see_again(aws: Aws, target: DesiredStack, ways: Ways, first: Survey) -> Survey:
    """The survey of the newest read, with only those steps that each of the wanted reads has shown."""
    wanted = target.sync.sightings
    seen = [first]
    for number in range(1, max(wanted, 2)):
        if number < wanted:
            await aws.sleep(SIGHTING_INTERVAL)
        seen.append(await _look(aws, target, ways))
    last = seen[-1]
    last = await _without_what_apply_refuses(aws, last)
    if wanted < 2:  # the first read may be some time old; only the second one counts
        return last
    constant = set.intersection(*({(step.key, step.changes) for step in item.selection.steps} for item in seen))
    reason = "not every read showed it; the next round looks again"
    return replace(last, selection=last.selection.keep({key for key, _ in constant}, reason))


async def _without_what_apply_refuses(aws: Aws, found: Survey) -> Survey:
    """The survey without the steps of a changed spec that `apply` refuses as a whole: half of a refused change isn't applied."""
    keys, causes = {step.key for step in found.selection.steps}, found.selection.causes
    changed = {key for key in keys if causes[key] == "spec"}
    if changed:
        try:
            await plan_allowed(aws, found.planned.situation, {})
        except (PlanError, RefusedError) as error:
            told = f"apply refuses the changed spec: {_by_hand(str(error))}"  # once; the steps are many
            return replace(found, selection=found.selection.keep(keys - changed, REFUSED), warning=told)
    return found


def is_entrance(step: Step) -> bool:
    """Whether a step is about a resource that lets requests in, answers them, or routes the answers back."""
    return step.plays(Balancer, Router, Member, Gateway, Routes, Permissions)


def _is_about(step: Step, outage: str) -> bool:
    """Whether an outage's text mentions a step's resource, or the resource's parent."""
    state = step.desired and step.desired.state
    parent = getattr(state, state.parent) if state and state.parent else None
    return not {str(step.address), str(parent)}.isdisjoint(outage.split())


def unhealthy(planned: StackPlan) -> tuple[str, ...]:
    """What doesn't serve as it should, in words; targets of a group that gets no requests aren't mentioned."""
    found = planned.discovery.resources
    asked = {str(part.target_group) for item in found for part in action_of(item.state).receiving}
    there = Counter(item.address for item in found if not item.is_gone)
    return tuple(
        f"{item.address}{f' {short_id(item.id)}' * (there[item.address] > 1)} is {item.status}"
        for item in found
        if (_is_unhealthy(item) and item.parent_id in asked)
        or (isinstance(item.state, Balancer) and item.status == "failed")
    )


def _is_unhealthy(item: Observed) -> bool:
    return isinstance(item.state, Member) and item.status in ILL


def _unawaited(seen: Survey, rest: Selection) -> set[str]:
    """The registrations that no step waits for: those that were unhealthy before and weren't touched, and those that are to go, but not
    by this run."""
    touched = {step.address for step in seen.selection.steps}
    unhealthy = {
        item.id for item in seen.planned.discovery.resources if _is_unhealthy(item) and item.address not in touched
    }
    going = {step.id for step in rest.left if step.id and step.plays(Member) and step.action in ("delete", "replace")}
    groups = {part.step.id for part in seen.planned.waiting.parts}
    going |= {item.id for item in seen.planned.discovery.resources if item.parent_id in groups}
    return unhealthy | going
