"""Finds the resources that a tag asks to leave alone for a while: `sync` leaves them, and a plan says so."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Member
from alb_reconcile.model.steps import SetPriorities
from alb_reconcile.model.text import printable


class Pauses:
    """The tags that ask to leave resources alone for a while."""

    def __init__(self, resources: Iterable[Observed], ids: Mapping[Address, str], now: datetime) -> None:
        self.live = {item.id: item for item in resources if not item.is_gone}
        self.ids = ids
        self.now = now

    def warnings(self, steps: Iterable[Step]) -> Iterator[str]:
        """Warnings, one for each tag, of the steps that `apply` carries out in spite of a tag, since a user has read the plan."""
        asked: dict[str, list[str]] = defaultdict(list)
        for step in steps:
            if reason := self.reason(step):
                asked[reason].append(str(step.address))
        for reason, addresses in asked.items():
            yield f"{reason}: somebody has asked to leave it alone, and this plan changes {', '.join(dict.fromkeys(addresses))}"

    def reason(self, step: Step) -> str:
        """Why a step waits; empty if no tag asks for it."""
        for item in self._near(step):
            text = item.tags.get(tags.IGNORE_UNTIL)
            if text is not None and (words := self._read(text)):
                return f"{item.address} carries {tags.IGNORE_UNTIL}{words}"
        return ""

    def _read(self, text: str) -> str:
        try:
            until = datetime.fromisoformat(text.strip())
        except ValueError:
            return ", which isn't a time; write 2026-12-01T00:00Z, or remove the tag"
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return f"={printable(text.strip())}" if until > self.now else ""

    def _near(self, step: Step) -> Iterator[Observed]:
        """The step's resource, its parent, the resource that carries its tags, and the instance that the step registers."""
        seen: set[str] = set()
        ids = [step.id, *(arn for arn, _ in step.detail(SetPriorities).priorities)]
        for state in (step.observed.state if step.observed else None, step.desired.state if step.desired else None):
            if state is not None and state.parent is not None:
                ids.append(self._known(getattr(state, state.parent)))
            if isinstance(state, Member):
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
