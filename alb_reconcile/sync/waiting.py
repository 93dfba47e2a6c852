"""What of a plan waits for a person and holds back nothing else: the plan is made again without it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from alb_reconcile.engine.plan.held import Part, Waiting
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import keep, references
from alb_reconcile.sync.dependents import Dependents

_OWN_TAGS: Final = "tags.alb-reconcile:"
"""What a resource was made with, such as its image."""


def place(step: Step) -> str:
    """By what a step is found again in the next plan: its resource."""
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
    """What the plan was made without, and what it is to be made without as well: of the steps that wait, by key, the replacements,
    and `parts` of the updates (paths); all of a resource's update where a part of it waits already."""
    result, held = {part.step.key: part for part in waiting.parts}, waiting.paths
    known = {part.step.id: part.step.key for part in waiting.parts if part.step.changes}
    pairs = {step.part_of: step for step in plan.steps if step.part_of is not None}
    replaced = {step.address for step in plan.steps if step.action == "replace"}
    taken: list[Step] = []
    for step in plan.steps:
        pair = pairs.get(step.key)
        if not step.id or (step.key not in keys and (pair is None or pair.key not in keys)):
            continue
        out = {change.path for change in step.changes if step.action == "update" or change.path in step.forces}
        if replaced.intersection(references([change.after for change in step.changes if change.path in out])):
            continue  # it follows from another one's replacement, and goes with that
        if step.action == "replace" and out:
            out |= {change.path for change in step.changes if change.path.startswith(_OWN_TAGS)}
        elif step.id not in known:
            same = [other for other in plan.steps if other.id == step.id and other.action == "update"]
            waits = {path for other in same if other.key in keys for path in parts(other)}
            out &= waits if any(change.path not in waits for other in same for change in other.changes) else set()
        changes = tuple(change for change in step.changes if change.path in out - held.get(step.id, frozenset()))
        if not changes:
            continue
        # what isn't withheld of an update has the step's own key
        key = known.setdefault(step.id, step.key.replace("update:", "withheld:", 1))
        new = Part(replace(step, key=key, changes=(), refresh=None), reasons.get(step.key, ""), causes[step.key])
        part = result.get(key, new)
        result[key] = part._replace(step=replace(part.step, changes=(*part.step.changes, *changes)))
        taken.append(step)
        if pair is not None:
            result[pair.key] = Part(pair, reasons.get(pair.key, ""), causes[pair.key])
            taken.append(pair)
    if not taken:
        return waiting
    return Waiting(tuple(result.values()), {**waiting.dependents, **_dependents(plan, taken, causes)})


def _dependents(plan: Plan, taken: Collection[Step], causes: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """What waits for a change, and what the spec wants together with a replacement; drift is corrected without that."""
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
