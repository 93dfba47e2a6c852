"""Leaves the old version of a deployment where it is (`rollout.keep`): in the forward at weight 0, so that its health is checked, with its targets."""

from dataclasses import replace

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.engine.plan.zero_downtime.attach import MOST_GROUPS
from alb_reconcile.engine.plan.zero_downtime.proofs import rollouts_of
from alb_reconcile.engine.standby import used_by
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Forward
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed, diff, each_of
from alb_reconcile.model.service import Member, Pool, Router, Server


def keep_old(graph: Graph) -> None:
    """Take the deletions of the old version out of a plan, and leave its group in each forward that had it. Assumes that the plan has all
    steps, and no edges. Raises RefusedError where clients stick to a group."""
    kept = _kept(graph)
    if not kept:
        return
    graph.standby |= kept
    homes = {known: set[str]() for known in graph.registered}
    for known, items in graph.registered.items():
        homes[known] |= {str(state.target_group) for _, state in each_of(items, Member)}
    stays: list[Observed] = []
    for step in list(graph.steps.values()):
        found, action = step.observed, step.action
        if action == "delete" and found is not None:
            is_member = isinstance(found.state, Member) and str(found.state.target_group) in kept
            is_home = isinstance(found.state, Server) and bool(homes.get(found.id)) and homes[found.id] <= kept.keys()
            if found.id in kept or is_member or is_home:
                graph.drop(step.key)
                stays.append(found)
        elif action == "update" and step.plays(Router):
            graph.steps[step.key] = _with_old(step, kept)
    names = ", ".join(sorted({str(graph.groups[known].address) for known in kept}))
    longest = max(kept.values())
    graph.decisions.kept.append(
        f"the old {names} stands by for {f'{longest // 60} minutes' if longest >= 120 else f'{longest} s'} with its instances, which cost as long: rollback moves the "
        "requests back to it"
    )

    graph.used |= used_by(stays, graph.decisions.live)


def keep_used(graph: Graph) -> None:
    """Take the steps out of a plan that delete what a version uses that stands by, or remove members of it. Assumes that the plan's updates
    are split. A later plan has these steps, when nothing stands by any more."""
    left = [step for step in graph.steps.values() if step.takes_away and step.id in graph.used]
    for step in left:
        graph.drop(step.key)
    if left:
        names = ", ".join(sorted({str(step.address) for step in left}))
        graph.decisions.kept.append(
            f"{names}: what is to go is still used by the version that stands by, and goes after it"
        )


def keep_standby(graph: Graph) -> None:
    """Let each change of a forward leave the groups there that stand by already, the latest ones first, as many as there is room for. Assumes
    that the plan is made otherwise."""
    for step in graph.forwarding("update"):
        groups = graph.discovery.standby.get(str(step.id), ())
        if not groups or step.state is None or not (action := action_of(step.state)).forward:
            continue
        there = {str(part.target_group) for part in action.forward}
        rest = [known for known in groups if known not in there]
        room = max(MOST_GROUPS - len(there), 0)
        old = tuple(Forward(known, 0) for known in rest[:room])
        if rest[room:]:
            graph.decisions.kept.append(
                f"{step.address} has no room for {len(rest[room:])} of the versions that stand by, since AWS allows five groups: requests can't be "
                "moved back to the oldest any more"
            )
        state = replace(step.state, **{step.state.action_field: replace(action, forward=(*action.forward, *old))})
        graph.steps[step.key] = replace(step, state=state)


def _kept(graph: Graph) -> dict[str, int]:
    """The old groups that are to stand by, and for how many seconds."""
    kept: dict[str, int] = {}
    changed = {step.id for step in graph.of(Router, "update")}
    leaving = changed | {step.id for step in graph.of(Router, "delete")}
    for step in _old_groups(graph):
        seconds = max((rollout.keep for rollout in rollouts_of(graph, step.address)), default=0)
        users = [
            item
            for item in graph.decisions.live
            if any(part.target_group == step.id for part in action_of(item.state).receiving)
        ]
        is_left = all(item.id in leaving for item in users) and any(item.id in changed for item in users)
        if not seconds or not step.id or not is_left:
            continue
        for item in users:
            if action_of(item.state).stickiness_seconds:
                raise RefusedError(
                    f"{item.address} lets clients stick to a target group, and weight 0 doesn't turn them away, so the old version can't stand "
                    "by; write rollout: {keep: 0s}"
                )
        kept[step.id] = seconds
    return kept


def _old_groups(graph: Graph) -> list[Step]:
    """The steps that end old groups: those that are replaced, and those that an unfinished run was to replace, beside which the new one is."""
    left = [step for step in graph.of(Pool, "delete") if step.reason == DUPLICATE]
    return [*graph.of(Pool, "replace"), *(step for step in left if _is_good(step))]


def _is_good(step: Step) -> bool:
    """Whether the group is of a version that no requests were taken back from."""
    return step.observed is not None and not step.observed.tags.get(tags.REJECTED)


def _with_old(step: Step, kept: dict[str, int]) -> Step:
    """A listener's or rule's step that leaves the old groups in the forward at weight 0."""
    if step.observed is None or step.state is None:
        return step
    before, action = action_of(step.observed.state).forward, action_of(step.state)
    wanted = {str(part.target_group) for part in action.forward}
    old = tuple(
        Forward(part.target_group, 0)
        for part in before
        if str(part.target_group) in kept and str(part.target_group) not in wanted
    )
    if not old or not action.forward:
        return step
    state = replace(step.state, **{step.state.action_field: replace(action, forward=(*action.forward, *old))})
    tagged = [change for change in step.changes if change.path.startswith("tags.") or change.path == "prevent_destroy"]
    return replace(step, state=state, changes=(*diff(state, step.observed.state), *tagged))
