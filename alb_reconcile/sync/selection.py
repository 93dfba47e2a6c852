"""Selects the steps of a plan that an unattended run may carry out, and says why the others wait for a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from alb_reconcile.engine.plan.held import Waiting
from alb_reconcile.engine.plan.limits import find_losses
from alb_reconcile.engine.plan.pauses import Pauses
from alb_reconcile.engine.preconditions import may_be_protected
from alb_reconcile.engine.service import ILL
from alb_reconcile.engine.standby import find_standby
from alb_reconcile.journal.record import NO_USE, NOTHING_THERE
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.display import short_id
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.drift_policy import DEFAULTS, Care, DriftPolicy
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Desired, each_of
from alb_reconcile.model.service import Member
from alb_reconcile.model.steps import SetPriorities
from alb_reconcile.sync.dependents import Dependents
from alb_reconcile.sync.severity import weigh
from alb_reconcile.sync.waiting import alone, find_waiting, place

NEVER_APPLIED: Final = f"{NOTHING_THERE}, as it was never applied, or was destroyed: run apply once, or remove the spec"
"""The reason why all steps of a stack without resources wait, unless the history knows a better one."""


@dataclass(frozen=True)
class Selection:
    """A plan's steps, sorted out: `steps` may be done, in an order that keeps `needs`; `withheld` has by key the reasons of steps that
    wait for a person; `ignored` steps are never reported."""

    plan: Plan
    steps: tuple[Step, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    causes: Mapping[str, str] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)
    """What the plan is to be made without."""

    @property
    def left(self) -> tuple[Step, ...]:
        """The withheld steps."""
        return tuple(step for step in self.plan.steps if step.key in self.withheld)

    def keep(self, keys: set[str], reason: str) -> Selection:
        """The selection with only those of its steps; its other steps, and steps that need them, wait for the given reason."""
        dropped = {step.key: reason for step in self.steps if step.key not in keys}
        if not dropped:
            return self
        return _close(self.plan, {**self.withheld, **dropped}, self.ignored, self.causes)

    def because(self, text: str) -> Selection:
        """The selection with one reason for all that waits: nothing of the stack is there, and the text; unchanged if the text is empty."""
        return replace(self, withheld=dict.fromkeys(self.withheld, NOTHING_THERE + text)) if text else self

    def adding(self, text: str) -> Selection:
        """The selection with the text behind each reason."""
        return replace(self, withheld={key: reason + text for key, reason in self.withheld.items()})


def select(
    plan: Plan,
    discovery: Discovery,
    policy: DriftPolicy,
    causes: Mapping[str, str],
    *,
    barred: Mapping[str, str],
    apply_changes: bool,
    now: datetime,
    waiting: Waiting,
) -> Selection:
    """Sort a plan's steps out. `barred` has by key reasons why steps must not be done at all; `waiting` is what the plan was made
    without."""
    pauses, over = Pauses(discovery.resources, plan.ids, now), find_standby(discovery, now, is_over=True)
    dead = frozenset(item.id for item in discovery.resources if item.is_gone or item.is_leaving)
    withheld: dict[str, str] = {}
    ignored: set[str] = set()
    for step in plan.steps:
        weight = weigh(step, plan.names, dead)
        care, said = _care(plan, policy, step, weight)
        if care == "ignore":
            ignored.add(step.key)
        elif step.key in barred:
            withheld[step.key] = barred[step.key]
        elif pause := pauses.reason(step):
            withheld[step.key] = pause
        elif step.action == "delete" and (step.id in over.ids or step.address.name == tags.CHECK_NAME):
            causes = {**causes, step.key: "drift"}  # it stood by until then, or a killed run has left it
        elif causes[step.key] == "spec" and not apply_changes:
            withheld[step.key] = "the spec has changed"
        elif care == "report":
            is_usual = DEFAULTS.get(said) == "report" or policy.care.get(said) != "report"
            what = _TAKING if (weight, step.action) == ("delete", "update") else _WORDS[weight]
            why = f"{what} requires manual action" if is_usual else f"the spec's `sync.report` has {said}"
            withheld[step.key] = why
        elif why := waiting.dependents.get((place(step), causes[step.key]), ""):
            withheld[step.key] = why
        if step.key in withheld and step.reason == DUPLICATE:
            withheld[step.key] = f"{DUPLICATE}{_beside(step, discovery)}; {withheld[step.key]}"

    def parts(step: Step) -> set[str]:
        """The paths of those changes for which an update waits."""
        single = alone(step)
        lost = find_losses(replace(plan, steps=(*(item for item in plan.steps if item != step), *single)))
        return {
            item.changes[0].path
            for item in single
            if _care(plan, policy, item, weigh(item, plan.names, dead))[0] != "correct"
            or (step.key in barred and (item.key in lost or may_be_protected(item)))
        }

    roots = withheld.keys() | ignored
    withheld |= {part.step.key: part.reason for part in waiting.parts if part.reason}
    ignored |= {part.step.key for part in waiting.parts if not part.reason}
    causes = {**causes, **{part.step.key: part.cause for part in waiting.parts}}
    whole = replace(plan, steps=(*plan.steps, *(part.step for part in waiting.parts)))
    closed = _close(whole, withheld, frozenset(ignored), causes)
    found = find_waiting(plan, waiting, roots, closed.withheld, causes, parts)
    if found == waiting:  # a part that waits for another may be free once the other is taken out
        found = find_waiting(plan, waiting, closed.withheld, closed.withheld, causes, parts)
    return replace(closed, waiting=found)


def _beside(step: Step, discovery: Discovery) -> str:
    """For one of several resources at an address, whether it serves, and which of the others are unhealthy."""
    health: dict[str, set[str]] = defaultdict(set)
    for item, state in each_of(discovery.resources, Member):
        for name in (item.id, str(state.target)):
            health[name].add(item.status)
    others = [item.id for item in discovery.resources if item.address == step.address and item.id != step.id]
    ill = [_told_from(step.id or "", other) for other in others if not health[other].isdisjoint(ILL)]
    if "healthy" in health[step.id or ""]:
        return f", which still serves, while {' and '.join(ill)}{NO_USE}" if ill else ", which serves"
    return "" if health[step.id or ""].isdisjoint(ILL) else ", which is unhealthy"


def _told_from(one: str, other: str) -> str:
    """The other resource's id, with its group if the same target is in two groups."""
    group = f" in {short_id(other.partition('|')[0])}" if short_id(one) == short_id(other) else ""
    return short_id(other) + group


_WORDS: Final = {
    "create": "creating it",
    "update": "changing it",
    "replace": "replacing, stopping, starting or draining it",
    "delete": "deleting it",
}
_TAKING: Final = "taking away what others may depend on"


def _care(plan: Plan, policy: DriftPolicy, step: Step, weight: str) -> tuple[Care, str]:
    """How the spec wants a step's resource to be handled, and the key that says so; for an order of rules, `report` unless all its
    rules agree."""
    if not isinstance(step.details, SetPriorities):
        names = _names(step.address, step.desired, step.carried_by)
        return policy.of(names, weight), policy.key(names, weight)
    rules = [_names(plan.names.get(arn) or step.address, None, step.carried_by) for arn, _ in step.details.priorities]
    said = {policy.of(names, weight): policy.key(names, weight) for names in rules}
    return said.popitem() if len(said) == 1 else ("report", said.get("report", weight))


def _names(address: Address, wanted: Desired | None, kind: str) -> tuple[str, ...]:
    """The names by which the spec may mention a resource, the closest first: its address, its entry's address, its kind."""
    names = [str(address)]
    if wanted is not None and wanted.carrier is not None:
        names.append(str(wanted.carrier))
    owner = (wanted and wanted.carrier) or address
    if entry := _entry_of(owner) or _entry_of(address):
        names.append(str(entry))
    return (*names, kind)


def _entry_of(address: Address) -> Address | None:
    kind = load_kinds().get(address.kind)
    return kind.entry_of(address.name) if kind else None


def _close(plan: Plan, withheld: Mapping[str, str], ignored: frozenset[str], causes: Mapping[str, str]) -> Selection:
    """Withhold also the steps that can't, or shouldn't, be done without the withheld steps."""
    out = Dependents(plan, causes, ignored).entangled(withheld)
    left = [step for step in plan.steps if step.key in out or step.key in ignored]
    moved = {entry for step in left for entry in _entries(plan, step)}
    keys = {step.key for step in plan.steps}.difference(out, ignored)
    chosen = tuple(
        replace(
            step,
            needs={key: how for key, how in step.needs.items() if key in keys},
            # while a part of an entry waits, the entry's digest has to keep telling so
            refresh=None if step.refresh and step.refresh[0].address in moved else step.refresh,
        )
        for step in plan.steps
        if step.key in keys
    )
    return Selection(plan, chosen, out, ignored, causes)


def _entries(plan: Plan, step: Step) -> Iterator[Address]:
    """The entries that have a digest which covers a step."""
    if step.desired is not None:
        yield step.desired.carrier or step.address
    elif step.observed is not None and step.observed.state.parent is not None:
        parent = plan.names.get(str(getattr(step.observed.state, step.observed.state.parent)))
        if parent is not None:
            yield parent
