"""Which steps of a plan an unattended run may carry out, and why the others wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from alb_reconcile import tags
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.plan.model import Plan, Step
from alb_reconcile.values import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alb_reconcile.correction import Correction
    from alb_reconcile.discover import Discovery
    from alb_reconcile.kind import Observed

_STOPS: Final = frozenset({"instance_type", "state"})
"""Properties of an instance that are changed by stopping or starting it."""


@dataclass(frozen=True)
class Selection:
    """A plan's steps, sorted out: `steps` may be done, in an order that keeps `needs`; `withheld` has a reason by key for
    those that wait for a person; `ignored` are those that nobody is to hear of."""

    plan: Plan
    steps: tuple[Step, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    causes: Mapping[str, str] = field(default_factory=dict)

    @property
    def left(self) -> tuple[Step, ...]:
        """The withheld steps."""
        return tuple(step for step in self.plan.steps if step.key in self.withheld)

    def keep(self, keys: set[str], reason: str) -> Selection:
        """Do only those of the steps; the others, and what needs them, wait for the given reason."""
        dropped = {step.key: reason for step in self.steps if step.key not in keys}
        if not dropped:
            return self
        return _close(self.plan, {**self.withheld, **dropped}, self.ignored, self.causes)


def select(
    plan: Plan,
    discovery: Discovery,
    correction: Correction,
    causes: Mapping[str, str],
    *,
    barred: Mapping[str, str],
    apply_changes: bool,
    now: datetime,
) -> Selection:
    """Sort a plan's steps out. `barred` has reasons why steps must not be done at all, by key."""
    pauses = _Pauses(discovery, plan, now)
    withheld: dict[str, str] = {}
    ignored: set[str] = set()
    for step in plan.steps:
        weight = weigh(step)
        care = correction.of(_names(step), weight)
        if care == "ignore":
            ignored.add(step.key)
        elif step.key in barred:
            withheld[step.key] = barred[step.key]
        elif pause := pauses.reason(step):
            withheld[step.key] = pause
        elif causes[step.key] == "spec" and not apply_changes:
            withheld[step.key] = "spec not applied"
        elif care == "report":
            withheld[step.key] = f"{_WORDS[weight]} is left to a person"
    return _close(plan, withheld, frozenset(ignored), causes)


_WORDS: Final = {
    "create": "making it",
    "update": "changing it",
    "replace": "replacing, stopping, starting or draining",
    "delete": "deleting it",
}


def weigh(step: Step) -> str:
    """The action that a step counts as: what stops, starts or drains an instance weighs as much as a replacement."""
    if step.part_of is not None:
        return "replace"
    if step.address.kind == "instance" and step.action == "update":
        return "replace" if _STOPS.intersection(change.path for change in step.changes) else "update"
    if step.address.kind == "registration" and step.action == "delete":
        return "delete" if step.observed is not None and step.observed.is_leaving else "replace"
    return step.action


def _names(step: Step) -> tuple[str, ...]:
    """By what the spec may speak of a step's resource, the closest first: its address, its entry's, its kind."""
    address = step.address
    names = [str(address)]
    if address.kind == "instance":
        names.append(str(Address("instance", address.name.rpartition("-")[0])))
    if step.desired is not None and step.desired.carrier is not None:
        names.append(str(step.desired.carrier))
    elif address.kind == "registration":
        names.append(str(Address("target_group", address.name.partition("/")[0])))
    return (*names, "rule" if address.kind == "rule_priorities" else address.kind)


def _close(
    plan: Plan, withheld: Mapping[str, str], ignored: frozenset[str], causes: Mapping[str, str]
) -> Selection:
    """Withhold what can't be done, or shouldn't be, without what is withheld."""
    out = dict(withheld)
    steps = {step.key: step for step in plan.steps}

    def is_out(key: str) -> bool:
        return key in out or key in ignored

    while more := dict(_entangled(plan, steps, is_out)):
        out |= more
    left = [steps[key] for key in out] + [steps[key] for key in ignored]
    moved = {step.desired.carrier or step.address for step in left if step.desired is not None}
    chosen = tuple(
        # while a part of an entry waits, its digest has to go on telling that
        replace(step, refresh=None) if step.refresh and step.refresh[0].address in moved else step
        for step in plan.steps
        if not is_out(step.key)
    )
    return Selection(plan, chosen, out, ignored, causes)


def _entangled(
    plan: Plan, steps: Mapping[str, Step], is_out: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    pairs = {step.part_of: step.key for step in plan.steps if step.part_of is not None}
    going = {step.id for step in plan.steps if is_out(step.key) and step.action == "delete"}
    heirs: dict[str, Step] = {}  # what is withheld and follows a step, directly or not
    for step in reversed(plan.steps):
        heir = step if is_out(step.key) else heirs.get(step.key)
        if heir is not None:
            heirs |= dict.fromkeys(step.needs, heir)
    wanted = {key for step in plan.steps if not is_out(step.key) for key in step.needs}
    for step in plan.steps:
        if is_out(step.key):
            continue
        other = step.part_of or pairs.get(step.key)
        missing = next((steps[key] for key in step.needs if is_out(key)), None)
        parked = going.intersection(arn for arn, _ in step.notes.get("priorities", ()))
        if other is not None and is_out(other):
            yield step.key, f"{steps[other].address} is replaced whole or not at all"
        elif missing is not None:
            yield step.key, f"it needs {missing.address}, which waits"
        elif parked:
            yield step.key, "it would move a rule that is left to a person"
        elif step.notes.get("attach") and step.key not in wanted and step.key in heirs:
            # a target group put beside others for a while, so that targets become healthy of which none comes
            yield step.key, f"it only makes ready for {heirs[step.key].address}, which waits"
        elif weigh(step) in ("replace", "delete") and step.key in heirs:
            # what takes something away may do so only to make way for what is withheld
            yield step.key, f"it may only make way for {heirs[step.key].address}, which waits"


class _Pauses:
    """Who has asked, by a tag on a resource, that it be left alone for a while."""

    def __init__(self, discovery: Discovery, plan: Plan, now: datetime) -> None:
        self.live = {item.id: item for item in discovery.resources if not item.is_gone}
        self.ids = plan.ids
        self.now = now

    def reason(self, step: Step) -> str:
        """Why a step waits; empty if nobody has asked."""
        for item in self._near(step):
            text = item.tags.get(tags.IGNORE_UNTIL)
            if text is not None and (words := self._read(text)):
                return f"{item.address} carries {tags.IGNORE_UNTIL}{words}"
        return ""

    def _read(self, text: str) -> str:
        try:
            until = datetime.fromisoformat(text.strip())
        except ValueError:
            return ", which is no time; write 2026-12-01T00:00Z, or remove the tag"
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return f"={until.astimezone(UTC):%Y-%m-%dT%H:%MZ}" if until > self.now else ""

    def _near(self, step: Step) -> Iterator[Observed]:
        """The resource itself, what it is in, what carries it, and the instance that it registers."""
        seen: set[str] = set()
        ids = [step.id, *(arn for arn, _ in step.notes.get("priorities", ()))]
        for state in (
            step.observed.state if step.observed else None,
            step.desired.state if step.desired else None,
        ):
            if state is not None and state.parent is not None:
                ids.append(self._known(getattr(state, state.parent)))
            if isinstance(state, Registration):
                ids.append(self._known(state.target))
        if step.desired is not None and step.desired.carrier is not None:
            ids.append(self.ids.get(step.desired.carrier))
        while ids:
            item = self.live.get(str(ids.pop()))
            if item is None or item.id in seen:
                continue
            seen.add(item.id)
            yield item
            if item.state.parent is not None:
                ids.append(str(getattr(item.state, item.state.parent)))

    def _known(self, ref: object) -> str | None:
        return self.ids.get(ref) if isinstance(ref, Address) else str(ref)
