"""Moves requests back to the version that stands by: one change of weights for each listener and rule, whatever the spec says."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from alb_reconcile.engine.apply import OnEvent, Outcome, apply_plan
from alb_reconcile.engine.standby import serving_customers
from alb_reconcile.kinds._health import read_health
from alb_reconcile.kinds.context import Run
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Forward
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Act, Plan, Step
from alb_reconcile.model.resource import Change, Desired, Lifecycle, Observed, each_of
from alb_reconcile.model.service import Member, Pool, Router, Server


@dataclass(frozen=True)
class Rollback:
    """The steps that move requests back."""

    plan: Plan
    old: Mapping[str, str]
    """The addresses of the groups to which requests go back, by ARN."""
    left: frozenset[str]
    """The ARNs of the groups that lose the requests."""
    values: Mapping[str, str]
    """The variables (`--set`) that the old version's instances were given, where the version that is left was given others."""


def plan_rollback(target: DesiredStack, discovery: Discovery) -> Rollback:
    """The rollback of a stack. Raises RefusedError where no version stands by."""
    groups = {item.id: item for item, _ in each_of(discovery.resources, Pool)}
    old = {known: item for known, item in groups.items() if item.tags.get(tags.STANDBY)}
    routers = [item for item in discovery.resources if isinstance(item.state, Router) and not item.is_gone]
    probes = [item for item in routers if item.address.name == tags.CHECK_NAME]
    steps = [Step("delete", item.address, item.id, observed=item, act=Act.CLEAN_UP) for item in probes]
    heirs: dict[str, str] = {}
    rest = []
    for item in (item for item in routers if item not in probes):
        forward, turned = _turned(action_of(item.state).forward, old, groups)
        heirs |= turned
        if turned:
            steps.append(_step(target, item, forward))
        elif item.owner == target.stack:
            rest.append(item)
    for item in rest:  # listeners and rules that are younger than what stands by, or that somebody has changed
        before = action_of(item.state).forward
        if any(part.weight and str(part.target_group) in heirs for part in before):
            steps.append(_step(target, item, _led_back(before, heirs)))
    if not heirs:
        raise RefusedError(
            f"no version of {target.stack} stands by, so there is nothing to go back to at once; apply the version before, which is made beside "
            "this one"
        )
    told = {known: str(old[known].address) for known in heirs.values()}
    names = {item.id: item.address for item in discovery.resources}
    plan = Plan(
        target.stack, target.region, discovery.account, tuple(steps), live=discovery.resources, ids={}, names=names,
        desired=target.desired, secret_headers=target.secret_headers, total=len(discovery.resources),
    )  # fmt: skip
    values, left = _values_of(discovery, frozenset(heirs.values())), _values_of(discovery, frozenset(heirs))
    return Rollback(plan, told, frozenset(heirs), dict(values.items() - left.items()))


def _values_of(discovery: Discovery, groups: frozenset[str]) -> dict[str, str]:
    """The variables that the instances in some target groups (ARNs) were given."""
    members = {
        str(state.target) for _, state in each_of(discovery.resources, Member) if str(state.target_group) in groups
    }
    servers = (item for item, _ in each_of(discovery.resources, Server) if item.id in members)
    return {name: text for item in servers for name, text in tags.values_in(item.tags)}


def _turned(
    forward: tuple[Forward, ...], old: Mapping[str, Observed], groups: Mapping[str, Observed]
) -> tuple[tuple[Forward, ...], dict[str, str]]:
    """A forward in which groups that stand by have the weights of those that took over from them; and the ARNs of these groups, by those that
    took over."""
    weights = {str(part.target_group): part.weight for part in forward}
    heirs: dict[str, str] = {}
    for known in sorted(
        old.keys() & weights.keys(), key=lambda known: old[known].tags[tags.STANDBY]
    ):  # the latest one wins
        for other, weight in weights.items():
            if weights[known] == 0 and weight and other in groups and groups[other].address == old[known].address:
                heirs[other] = known
    for new, known in heirs.items():
        weights[known], weights[new] = weights[new], 0
    return tuple(part._replace(weight=weights[str(part.target_group)]) for part in forward), heirs


def _led_back(forward: tuple[Forward, ...], heirs: Mapping[str, str]) -> tuple[Forward, ...]:
    """A forward in which groups that stand by take the place of those that took over from them."""
    return tuple(part._replace(target_group=heirs.get(str(part.target_group), part.target_group)) for part in forward)


def _step(target: DesiredStack, item: Observed, forward: tuple[Forward, ...]) -> Step:
    field = item.state.action_field
    before = action_of(item.state)
    state = replace(item.state, **{field: replace(before, forward=forward)})
    known = target.desired.get(item.address) or Desired(item.address, state, state, {}, Lifecycle(), "")
    change = Change(f"{field}.forward", before.forward, forward)
    return Step(
        "update", item.address, item.id, changes=(change,), desired=known, state=state, observed=item, act=Act.MOVE
    )


def find_newcomers(discovery: Discovery) -> dict[str, str]:
    """The target groups that stand in a forward beside another one of their address, get no requests yet, and don't stand by: their addresses,
    by ARN."""
    actions = [action_of(item.state) for item in discovery.resources if not item.is_gone]
    there = {str(part.target_group) for action in actions for part in action.forward}
    there -= serving_customers(discovery.resources)
    groups = [item for item, _ in each_of(discovery.resources, Pool)]
    count = Counter(item.address for item in groups)
    new = (item for item in groups if item.id in there and count[item.address] > 1)
    return {item.id: str(item.address) for item in new if not item.tags.get(tags.STANDBY)}


async def abort(run: Run, discovery: Discovery, moment: str) -> list[str]:
    """Mark the versions that are being made beside others, so that a run that goes on meanwhile moves no requests to them. Returns their
    groups' addresses. Needs no lock: the run reads the mark right before it moves requests.

    Raises RefusedError where there is no such version, AwsError.
    """
    found = find_newcomers(discovery)
    if not found:
        raise RefusedError(
            f"no version of {run.stack} stands beside another one without requests, so there is nothing to abort; while a run still makes its "
            "instances, interrupt it, or abort again when they are registered"
        )
    for known in sorted(found):
        await run.tag(known, {tags.REJECTED: f"was aborted at {moment}"})
    return sorted(found.values())


async def roll_back(run: Run, found: Rollback, moment: str, on_event: OnEvent) -> tuple[Outcome, ...]:
    """Carry a rollback out. Raises RefusedError where the old version has no healthy target; AwsError."""
    for known, name in found.old.items():
        health = await read_health(run, known)
        if not any(item["State"] == "healthy" for item in health.values()):
            states = ", ".join(sorted({item["State"] for item in health.values()})) or "no targets"
            raise RefusedError(
                f"the old {name} has no healthy target ({states}), so it can't serve; apply the version before instead"
            )
    for known in sorted(found.left):  # first, so that no other run begins it again meanwhile
        await run.tag(known, {tags.REJECTED: f"was rolled back at {moment}"})
    outcomes = await apply_plan(found.plan, run, on_event)
    if all(item.how == "done" for item in outcomes):
        for known in sorted(found.old):
            await run.tag(known, {tags.STANDBY: ""})
    return outcomes
