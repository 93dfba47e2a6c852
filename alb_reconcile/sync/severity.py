"""How grave a step is, which isn't always what its action says."""

from collections.abc import Collection
from typing import Final

from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.plan import Step

_STOPS: Final = frozenset({"instance_type", "state"})
"""Properties of an instance that are changed by stopping or starting it."""


def weigh(step: Step, dead: Collection[str] = ()) -> str:
    """The action that a step counts as: what stops, starts or drains an instance weighs as much as a replacement.

    Nothing is drained where the instance is one of the `dead`.
    """
    registration = step.observed.state if step.observed and step.address.kind == "registration" else None
    if isinstance(registration, Registration) and step.action in ("replace", "delete"):
        if str(registration.target) in dead or (step.part_of is None and step.action == "delete" and _is_leaving(step)):
            return "update"
        return "replace"
    if step.part_of is not None:
        return "replace"
    if step.address.kind == "instance" and step.action == "update":
        return "replace" if _STOPS.intersection(change.path for change in step.changes) else "update"
    return step.action


def _is_leaving(step: Step) -> bool:
    return step.observed is not None and step.observed.is_leaving
