"""Finds replacements and parts of updates that wait for a person, and their dependents: the plan is then made without these."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.held import HeldPart, Waiting
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Change, keep, references
from alb_reconcile.sync.dependents import Dependents

_OWN_TAGS: Final = "tags.alb-reconcile:"
"""Tags that say what a resource was made with, such as its image."""


def place(step: Step) -> str:
    """The name by which a step is found again in the next plan: its resource's id or address."""
    return step.id or str(step.address)


def alone(step: Step) -> list[Step]:
    """An update, as one step for each of its changes."""
    found = step.observed.state if step.observed else None
    paths = {change.path for change in step.changes}
    return [
        replace(
            step, key=f"{step.key} {change.path}", changes=(change,),
            state=keep(step.state, found, paths - {change.path}) if step.state and found else step.state,
        )
        for change in step.changes
    ]  # fmt: skip


def find_waiting(
    plan: Plan,
    waiting: Waiting,
    keys: Collection[str],
    reasons: Mapping[str, str],
    causes: Mapping[str, str],
    parts: Callable[[Step], set[str]],
) -> Waiting:
    """The parts that the plan was made without, and those of the steps with these keys that it is to be made without as well.

    `reasons` and `causes` are by key; `parts` gives the paths of those changes for which an update waits.
    """
    result, held = {part.step.key: part for part in waiting.parts}, waiting.paths
    known = {part.step.id: part.step.key for part in waiting.parts if part.step.changes}
    pairs = {step.part_of: step for step in plan.steps if step.part_of is not None}
    taken: list[Step] = []
    for step in plan.steps:
        pair = pairs.get(step.key)
        if not step.id or (step.key not in keys and (pair is None or pair.key not in keys)):
            continue
        paths = _stays(plan, step) if step.id in known or step.action == "replace" else _part(plan, step, keys, parts)
        changes = tuple(item for item in step.changes if item.path in paths - held.get(step.id, frozenset()))
        if not changes:
            continue
        # the rest of an update has the step's own key
        key = known.setdefault(step.id, step.key.replace("update:", "withheld:", 1))
        new = HeldPart(replace(step, key=key, changes=(), refresh=None), reasons.get(step.key, ""), causes[step.key])
        part = result.get(key, new)
        result[key] = part._replace(step=replace(part.step, changes=(*part.step.changes, *changes)))
        taken.append(step)
        if pair is not None:
            result[pair.key] = HeldPart(pair, reasons.get(pair.key, ""), causes[pair.key])
            taken.append(pair)
    if not taken:
        return waiting
    return Waiting(tuple(result.values()), {**waiting.dependents, **_dependents(plan, taken, causes)})


def _stays(plan: Plan, step: Step) -> set[str]:
    """The paths that keep their found values if a step isn't done: of an update, all its paths; of a replacement, the paths that force it,
    and the tool's own tags.

    Empty if a change refers to a resource that a step replaces: a plan without that replacement doesn't have the change.
    """
    changes = [item for item in step.changes if step.action == "update" or item.path in step.forces]
    replaced = {other.address for other in plan.steps if other.action == "replace"}
    if not changes or replaced.intersection(references([item.after for item in changes])):
        return set()
    return {item.path for item in step.changes if item in changes or item.path.startswith(_OWN_TAGS)}


def _part(plan: Plan, step: Step, keys: Collection[str], parts: Callable[[Step], set[str]]) -> set[str]:
    """The paths for which an update waits; none where the whole update of its resource would wait."""
    same = [other for other in plan.steps if other.id == step.id and other.action == "update"]
    waits = {path for other in same if other.key in keys for path in parts(other)}
    is_part = any(change.path not in waits or _adds_a_way(other, change) for other in same for change in other.changes)
    return waits & _stays(plan, step) if is_part else set()


def _adds_a_way(step: Step, change: Change) -> bool:
    """Whether a change adds something of its own, so that it is made although what others have added stays."""
    return bool(step.state and change.path in step.state.ways and {*change.after} - {*(change.before or ())})


def _dependents(plan: Plan, taken: Collection[Step], causes: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """The reasons of steps that wait for a change, and of changes of the spec that wait for a replacement; drift is corrected without
    the replacement."""
    changed = {step.key: "" for step in taken if step.action == "update"}
    for_changed = Dependents(plan, causes).entangled(changed)
    of_all = Dependents(plan, causes).entangled({step.key: "" for step in taken})
    ids = {step.id for step in taken}
    return {
        (place(step), causes[step.key]): of_all[step.key]
        for step in plan.steps
        if step.key in of_all and step.id not in ids
        if step.key in for_changed or causes[step.key] == "spec"
    }
