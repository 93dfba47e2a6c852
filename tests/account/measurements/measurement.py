"""What a measurement is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.account.answers import Facts
from tests.account.bench import Bench

Measure = Callable[[Bench], "str | Facts"]
SHORT = {
    "balancers": "load balancer", "addresses": "public IPv4 address", "instances": "t3.micro",
    "endpoints": "interface endpoint in a zone",
}  # fmt: skip
"""Rows of costs.PRICES."""


@dataclass(frozen=True)
class Measurement:
    """A name, a question, and who asks it. `on_service`: it needs the demo to run; `ends_it`: and leaves nothing of it.

    `needs`: what it makes beside that costs something (`costs.PRICES`).
    """

    name: str
    question: str
    function: Measure
    on_service: bool
    needs: Mapping[str, int]
    ends_it: bool

    def measure(self, bench: Bench) -> Facts:
        """The answer; nothing where this account can't be asked."""
        told = self.function(bench)
        return {"": told} if isinstance(told, str) else told


def measurement(
    *, on_service: bool, into: list[Measurement], ends_it: bool = False, **needs: int
) -> Callable[[Measure], Measure]:
    """A function becomes one, under its own name; its docstring is the question. `needs`: counts by the words in SHORT."""

    def make(function: Measure) -> Measure:
        question = " ".join((function.__doc__ or "").split())
        made = {SHORT[name]: count for name, count in needs.items()}
        into.append(Measurement(function.__name__.replace("_", "-"), question, function, on_service, made, ends_it))
        return function

    return make
