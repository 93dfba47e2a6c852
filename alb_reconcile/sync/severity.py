"""Weighs a step: which action it counts as, which isn't always the action that the step names."""

from collections.abc import Collection, Set

from alb_reconcile.model.abilities import with_others
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Properties, stops
from alb_reconcile.model.service import Member, Server
from alb_reconcile.model.steps import Associate


def weigh(step: Step, names: Collection[str], dead: Collection[str] = ()) -> str:
    """The action that a step counts as: a step that stops, starts or drains an instance weighs as much as a replacement, one that takes
    ways away (`Properties.ways`) as much as a deletion. `names` are the stack's own ids.

    Nothing is drained where the instance is one of the `dead`.
    """
    registration = step.observed.state if step.observed and step.plays(Member) else None
    if isinstance(registration, Member) and step.action in ("replace", "delete"):
        if str(registration.target) in dead or (step.part_of is None and step.action == "delete" and _is_leaving(step)):
            return "update"
        return "replace"
    if step.part_of is not None or step.detail(Associate).taken_from:
        return "replace"
    if step.plays(Server) and step.action == "update":
        is_switched = any(change.path == "state" for change in step.changes)
        return (
            "replace" if is_switched or (step.observed and stops(step.changes, type(step.observed.state))) else "update"
        )
    return "delete" if step.action == "update" and _takes_ways(step, names) else step.action


def _takes_ways(step: Step, names: Collection[str]) -> bool:
    """Whether a step takes away routes or permissions that others may use."""
    wanted, found = step.state, step.observed
    if wanted is None or found is None:
        return False
    both, changed = with_others(wanted, found.state), wanted.ways.intersection(change.path for change in step.changes)
    return any({*(getattr(both, name) or ())}.difference(getattr(wanted, name) or (), names) for name in changed)


def verbs_of(kind: type[Properties], may: Set[str]) -> Set[str]:
    """The operations on a kind with steps that may count as these actions."""
    makes_anew = "replace" in may or (issubclass(kind, Member) and "update" in may)  # of an instance that has gone
    return (may | ({"create", "delete"} if makes_anew else set())) - {"replace"}


def _is_leaving(step: Step) -> bool:
    return step.observed is not None and step.observed.is_leaving
