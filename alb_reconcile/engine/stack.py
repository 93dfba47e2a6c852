"""Plans and applies a stack: `plan_stack` reads, decides, looks and orders; `apply_stack` carries out and checks the result.

No other part of the product plans or changes a stack (adoption changes tags only).
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.engine.applied_tags import begin_destroying, begin_making, write_applied_tags
from alb_reconcile.engine.blockers import CUT_OFF, LIFT, by_key, refused
from alb_reconcile.engine.discover import discover, resolve_further_images
from alb_reconcile.engine.doors import find_cut
from alb_reconcile.engine.looks import look_ahead, look_at_steps
from alb_reconcile.engine.lost_tags import find_untagged, second_ones
from alb_reconcile.engine.plan.held import Waiting
from alb_reconcile.engine.plan.limits import find_refusal
from alb_reconcile.engine.plan.planner import make_plan
from alb_reconcile.engine.plan.situation import Situation, situate
from alb_reconcile.engine.preconditions import lift_protection
from alb_reconcile.engine.service import checks_after, find_closed
from alb_reconcile.engine.standby import describe_standby, find_standby, without_standby
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.engine.world import World
from alb_reconcile.kinds import is_in_order, load_kinds
from alb_reconcile.kinds.base import Serves
from alb_reconcile.kinds.context import Prove, Run
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import InterruptedRun, PlanError, ReconcileError, RefusedError
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Balancer, Member

if TYPE_CHECKING:
    from alb_reconcile.engine.apply import Event, Outcome

SETTLE_TIMEOUT: Final = 180.0
"""Seconds for which AWS's reads may lag behind its writes."""


@dataclass(frozen=True)
class Options:
    """How a stack is planned. `allow` is what the user allows (`--allow`): how many deletions, replacements and so on."""

    allow: Mapping[str, int] = field(default_factory=dict)
    check: bool = True
    """Whether to refuse damage, and what AWS would refuse; a plan that is only shown needs no permission of the user."""
    eager: bool = False
    """Whether the plan is going to be carried out: then everything that a creation may need is read at once."""
    now: datetime | None = None
    """The (aware) time of the plan, at which the policy's windows must be open; None for the moment at which the plan is made."""


@dataclass(frozen=True)
class StackPlan:
    """A stack as it was read, and the plan for it."""

    situation: Situation
    plan: Plan
    protected: Mapping[str, str] = field(default_factory=dict)
    """Why a step can't be done before a protection is lifted, or before others no longer use its resource, by step key; only for steps that
    were chosen to be carried out."""
    waiting: Waiting = field(default_factory=Waiting)
    """The parts that the plan was made without, since they wait; the situation has them all the same."""
    blockers: tuple[str, ...] = ()
    """Resources outside the stack that would stop a destroy half-way, in words."""

    @property
    def target(self) -> DesiredStack:
        """The desired stack."""
        return self.situation.target

    @property
    def discovery(self) -> Discovery:
        """What was read of the stack from AWS."""
        return self.situation.discovery


Choice = Callable[[StackPlan], tuple[tuple[Step, ...], Waiting]]
"""A function that chooses the steps of a plan that may be carried out, and the parts that the plan is to be made without."""


async def plan_stack(
    aws: Aws,
    target: DesiredStack,
    options: Options | None = None,
    *,
    shared: SharedReads | None = None,
    choose: Choice | None = None,
) -> StackPlan:
    """Read the stack and plan, under the stack's policy. Changes nothing. Look-ups must have been resolved (`engine.lookups`).

    `shared` has the reads that several stacks share. For a plan that isn't checked, `choose` gives the steps that may be carried out: for
    these, AWS is asked which resources are protected, and which are used by others. Raises RefusedError, PlanError, AwsError.
    """
    options = options or Options()
    situation = await _read(aws, target, options, shared)
    if options.check:
        return await plan_allowed(aws, situation, options.allow)
    try:
        plan = make_plan(situation)
    except (PlanError, RefusedError):  # AWS may know the cause, such as a subnet that has lost its tags
        plan = make_plan(await look_ahead(aws, situation))
    planned = StackPlan(situation, plan)
    return await _without_what_waits(aws, planned, choose) if choose else planned


async def _read(aws: Aws, target: DesiredStack, options: Options, shared: SharedReads | None) -> Situation:
    discovery = await discover(
        aws, target.stack, target.desired, account_ids=target.account_ids, everything=target.destroy, shared=shared,
        eager=options.eager,
    )  # fmt: skip
    discovery = replace(discovery, keeps_unsupported=not options.allow.get("remove-unsupported"))
    now = options.now or datetime.now(UTC)
    if not target.destroy and (standby := find_standby(discovery, now)).groups:
        discovery = without_standby(discovery, standby)
        target = replace(target, remarks=(*target.remarks, describe_standby(standby)))
    return await resolve_further_images(aws, situate(target, discovery, now))


async def plan_allowed(aws: Aws, situation: Situation, allow: Mapping[str, int]) -> StackPlan:
    """The plan, if AWS, other users of the resources and the limits allow it. Raises PlanError; RefusedError with all objections."""
    situation = await look_ahead(aws, situation)
    target, plan = situation.target, make_plan(situation)
    blockers, warnings = await look_at_steps(aws, situation, plan)
    refusals = [] if target.destroy else [*refused(blockers, "", allow), *refused(blockers, CUT_OFF, allow)]
    refusals += [find_refusal(plan, target, allow, situation.now), *refused(blockers, LIFT, allow)]
    if any(refusals):
        raise RefusedError("\n".join(filter(None, refusals)))
    told = () if target.destroy else find_standing(situation).service.nobody
    plan = replace(plan, warnings=tuple(dict.fromkeys((*plan.warnings, *told, *warnings))))
    left = tuple(item.text for item in blockers if target.destroy and item.word != LIFT)
    return StackPlan(situation, lift_protection(plan, by_key(blockers, LIFT)), blockers=left)


async def _without_what_waits(aws: Aws, planned: StackPlan, choose: Choice) -> StackPlan:
    """Plan repeatedly, until no additional step has to wait. Returns the last plan, and AWS's objections to steps that may be carried
    out."""
    situation, is_asked = planned.situation, False
    while True:
        steps, waiting = choose(planned)
        if waiting != planned.waiting:
            held = situate(situation.target, situation.discovery, situation.now, waiting.paths)
            planned, is_asked = StackPlan(situation, make_plan(held), waiting=waiting), False
        elif is_asked:
            return planned
        else:
            chosen = replace(planned.plan, steps=steps)
            (found, _), untagged = await asyncio.gather(
                look_at_steps(aws, situation, chosen), find_untagged(aws, situation)
            )
            protected = by_key(found, "", CUT_OFF) | second_ones(untagged, planned.plan.steps) | by_key(found, LIFT)
            planned, is_asked = replace(planned, protected=protected), True


@dataclass(frozen=True)
class Goal:
    """When a run has reached its goal: by default when nothing is left to do."""

    choose: Choice | None = None
    """The choice of steps for the plans after the run, as for `plan_stack`."""
    is_reached: Callable[[StackPlan], bool] = lambda found: found.plan.is_empty
    is_applied: Callable[[StackPlan], bool] = lambda found: True
    """Whether the resources' tags may say that the whole spec is applied."""
    without: Callable[[StackPlan], Collection[str]] = lambda found: ()
    """The ids of the resources for which the run doesn't wait until they serve."""


@dataclass(frozen=True)
class Applied:
    """How a run went.

    `found` is the last plan after the run; None if a step wasn't done: then no plan is made. `error` ended the run after its steps.
    """

    outcomes: "tuple[Outcome, ...]" = ()
    found: StackPlan | None = None
    is_reached: bool = False
    problems: tuple[str, ...] = ()
    """What doesn't serve at the end of the run, in words."""
    began: float = 0.0
    """When the run began, on AWS's clock."""
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds since the run began: `ready`, until a load balancer was first seen active with a healthy target behind it (unless one was
    before), and `converged`, until everything was as wanted; only the times for which the run waited."""
    entrance: Address | None = None
    """The load balancer that was ready first."""
    error: ReconcileError | None = None


@dataclass(frozen=True)
class Awaited:
    """A load balancer, or one target of a group, for which a run waits at its end until it serves."""

    address: Address
    within: Address
    """The target group of a target; for a load balancer, the load balancer itself."""
    text: str
    """What is waited for, in words; empty when it serves."""
    then: str = "healthy"
    """AWS's word for its state when it serves."""


async def apply_stack(
    aws: Aws,
    planned: StackPlan,
    *,
    on_event: "Callable[[Event], None]" = lambda _: None,
    on_outcomes: "Callable[[tuple[Outcome, ...]], None]" = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
    on_wait: Callable[[Awaited], None] = lambda _: None,
    timeout: float | None = 900,
    goal: Goal | None = None,
    prove: Prove | None = None,
) -> Applied:
    """Carry out a plan, plan again until the stack is as wanted, tag it with the applied spec, and wait until the stack serves.

    `on_event` gets the changes of steps' states, `on_outcomes` how all steps have ended, after the last one; `warn` gets warnings about
    tags that couldn't be written, `on_wait` the state of each thing for which the run waits at its end: for at most `timeout` seconds, and
    not at all with None. `prove` asks a new version before requests move to it. From the first step on nothing is raised, so that what was done is always reported. Before that, AwsError is
    raised if the tags that mark the beginning can't be written.
    """
    from alb_reconcile.engine.apply import apply_plan  # a plan doesn't need it

    goal, target = goal or Goal(), planned.target
    own = (item.id for item in planned.discovery.resources if item.owner == target.stack)
    applied = Applied(found=planned, is_reached=True, began=aws.now())
    balancers = (item for item in planned.discovery.resources if isinstance(item.state, Balancer))
    active = {item.id: applied.began for item in balancers if is_in_order(item)}
    run = Run(aws, target.stack, began=applied.began, own=frozenset(own), warn=warn, prove=prove)
    run.targets.ready.update(active)
    if planned.plan.steps:
        if target.destroy:
            warning = await begin_destroying(aws, target.stack, planned.discovery)
        else:
            warning = await begin_making(aws, target.stack, planned.plan, target.desired, planned.discovery)
        if warning:
            warn(warning)
        applied = Applied(await apply_plan(planned.plan, run, on_event), began=applied.began)
        on_outcomes(applied.outcomes)
        if any(item.how != "done" for item in applied.outcomes):
            return applied
    try:
        if timeout is not None and not target.destroy and (seconds := checks_after(planned.plan)):
            await _let_checks_see(aws, planned, seconds, on_wait)
        if planned.plan.steps:
            applied = await _look_until_reached(aws, planned, goal, applied, timeout)
        if target.destroy or not applied.is_reached or applied.found is None:
            return applied
        if goal.is_applied(applied.found):
            discovery = applied.found.discovery
            if warning := await write_applied_tags(aws, target.stack, target.desired, discovery):
                warn(warning)
        if timeout is None:
            return applied
        problems = await _wait_until_serving(run, applied.found, timeout, goal, on_wait)
        ready = None if find_ready(planned.discovery) else find_ready(applied.found.discovery, run.targets.ready)
        moments = ({"ready": ready[0]} if ready else {}) | ({} if problems else {"converged": aws.now()})
        times = {name: moment - applied.began for name, moment in moments.items()}
        return replace(applied, problems=tuple(problems), times=times, entrance=ready[1] if ready else None)
    except ReconcileError as error:
        return replace(applied, error=error)


async def _let_checks_see(aws: Aws, planned: StackPlan, seconds: int, on_wait: Callable[[Awaited], None]) -> None:
    """Wait until health checks have noticed the plan's changes of what reaches targets."""
    asked = {part.target_group for item in planned.plan.live for part in action_of(item.state).receiving}
    groups = sorted({planned.plan.names[str(group)] for group in asked if str(group) in planned.plan.names})
    for text in (f"its checks to see what was changed of the ways to its targets (now {seconds} s to go)", ""):
        for group in groups:
            on_wait(Awaited(group, group, text, "checked"))
        await aws.sleep(seconds if text else 0)


async def _look_until_reached(
    aws: Aws, planned: StackPlan, goal: Goal, applied: Applied, timeout: float | None
) -> Applied:
    """Plan the stack again until nothing is left to do, at most for as long as AWS's reads may lag behind its writes."""

    async def look() -> StackPlan:
        return await plan_stack(aws, planned.target, Options(check=False), choose=goal.choose)

    found = await repeat_until(aws, look, goal.is_reached, SETTLE_TIMEOUT)
    if timeout is not None and checks_after(planned.plan):  # an unreachable target may be shown as healthy
        found = await repeat_until(aws, look, lambda item: not _is_doubtful(item), SETTLE_TIMEOUT)
    return replace(applied, found=found, is_reached=goal.is_reached(found))


def _is_doubtful(found: StackPlan) -> bool:
    """Whether AWS shows a target as healthy that no check can reach, by the resources that were read."""
    cut = find_cut(World(found.discovery.resources))
    return any(item.id in cut and item.status == "healthy" for item in found.discovery.resources)


async def _wait_until_serving(
    run: Run,
    found: StackPlan,
    timeout: float,
    goal: Goal,
    on_wait: Callable[[Awaited], None],
) -> list[str]:
    """Wait until the stack's load balancers are active and the targets that they forward to are healthy.

    Returns what doesn't serve by the end of the wait, in words; `run.targets.ready` gets the time at which each other resource served.
    """

    names = {item.id: item.address for item in found.discovery.resources}
    cut = find_cut(World(found.discovery.resources))

    async def wait(kind: Serves, item: Observed) -> None:
        within = names.get(item.parent_id or "", item.address)
        known = Awaited(item.address, within, "not looked at yet", "active" if within == item.address else "healthy")
        on_wait(known)
        own = replace(run, say=lambda text: on_wait(replace(known, text=text)))
        await kind.wait_until_serving(own, item, timeout)
        run.targets.ready.setdefault(item.id, run.aws.now())
        on_wait(replace(known, text=""))

    kinds = load_kinds()
    without = goal.without(found)
    waits = []
    for item in awaited(found.discovery):
        kind: object = kinds[item.address.kind]
        if item.id not in without and isinstance(kind, Serves) and (item.id not in cut or item.status == "healthy"):
            waits.append(wait(kind, item))
    problems = find_closed(found.discovery.resources, found.target.desired)
    for result in await asyncio.gather(*waits, return_exceptions=True):
        if isinstance(result, ReconcileError) and not isinstance(result, InterruptedRun):
            problems.append(str(result))
        elif result is not None:
            raise result
    return problems


def find_ready(discovery: Discovery, seen: Mapping[str, float] | None = None) -> tuple[float, Address] | None:
    """When a load balancer was first ready together with a target that gets its requests, and which load balancer. `seen` has the times at
    which each was ready, by id; without `seen`, all count that were ready when they were read."""
    by_id = {item.id: item for item in discovery.resources}
    if seen is None:
        seen = {item.id: 0.0 for item in discovery.resources if item.status and is_in_order(item)}
    behind: dict[Ref | None, float] = {}
    for key, moment in sorted(seen.items(), key=itemgetter(1)):
        if key in by_id:
            behind.setdefault(by_id[key].parent_id, moment)
    found = []
    for item in discovery.resources:
        groups = [behind[part.target_group] for part in action_of(item.state).receiving if part.target_group in behind]
        while (parent := by_id.get(item.parent_id or "")) is not None:
            item = parent
        if groups and item.id in seen:
            found.append((max(seen[item.id], min(groups)), item.address))
    return min(found, default=None)


def awaited(discovery: Discovery, resting: Collection[str] | None = None) -> Iterable[Observed]:
    """The load balancers and the targets that get requests, without those that are `resting`.

    By default targets are left out if the spec doesn't want their instances to run (`state: any`), or if the instances were just
    terminated.
    """
    serving = {str(item.target_group) for found in discovery.resources for item in action_of(found.state).forward}
    ended = ("stopped", "stopping", "shutting-down", "terminated")
    if resting is None:
        resting = {item.id for item in discovery.resources if item.status in ended}
    for item in discovery.resources:
        gets_requests = (
            isinstance(item.state, Member)
            and item.parent_id in serving
            and not item.is_leaving
            and str(item.state.target) not in resting
        )
        if isinstance(item.state, Balancer) or gets_requests:
            yield item
