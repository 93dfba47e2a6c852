"""What a refusal advises, done as a user would do it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from alb_reconcile.model.errors import AwsError, PlanError, RefusedError
from tests.adoption.adopting import Keeper
from tests.kinds.example import path_in_spec, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Spec
    from tests.properties.changes import Change
    from tests.properties.watched import WatchedWorld

Apply = Callable[["Spec"], None]
REFUSALS = (AssertionError, AwsError, PlanError, RefusedError)


class Advice:
    """A refusal of the way from one spec to another, which differ in these changes."""

    def __init__(self, before: Spec, after: Spec, changes: tuple[Change, ...], error: PlanError | RefusedError) -> None:
        self.before, self.after, self.changes, self.error = before, after, changes, error
        self.text = str(error)

    def lead(self, world: WatchedWorld, apply: Apply) -> Spec:
        """Do what the refusal says. Returns the spec that is applied in the end, which need not be the wished one to the letter.

        Raises AssertionError where it advises nothing that a test could do, or that leads nowhere.
        """
        moves = re.findall(r"alb-reconcile move \S+ ([^\n,]+)", self.text)
        for names in moves:
            Keeper(world).move(self.after, *names.split())
            world.clock.advance(world.strict.lag)
        last: Exception | None = None
        for way in self._ways():
            kept = world.moment()
            try:
                for spec in way:
                    apply(spec)
            except REFUSALS as error:
                world.go_back(kept)
                last = error
                continue
            return way[-1]
        raise AssertionError(f"{self.text}\nThat was followed, and then: {last}") from self.error

    def _ways(self) -> Iterator[list[Spec]]:
        """Specs to apply one after the other."""
        if "alb-reconcile move" in self.text:
            yield [self.after]
        if names := re.findall(r"^(\S+): .* change name, too$", self.text, re.MULTILINE):
            other = copy.deepcopy(self.after)
            for address in names:
                entry = place_of(other, path_in_spec(address))
                entry["name"] = f"{entry['name']}-2"
            yield [other]
        if re.search(r"in two (steps|applies)|first apply", self.text):
            for change in self.changes:  # one of them alone first
                if change.is_possible(self.before):
                    yield [change.made(self.before), self.after]
