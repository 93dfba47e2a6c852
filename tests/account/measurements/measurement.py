"""What a measurement is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.account.bench import Bench


@dataclass(frozen=True)
class Measurement:
    """A name, a question, and who asks it. `on_service`: it needs the demo to run."""

    name: str
    question: str
    measure: Callable[[Bench], str]
    on_service: bool


def measurement(
    *, on_service: bool, into: list[Measurement]
) -> Callable[[Callable[[Bench], str]], Callable[[Bench], str]]:
    """A function becomes one, under its own name; its docstring is the question."""

    def make(function: Callable[[Bench], str]) -> Callable[[Bench], str]:
        question = " ".join((function.__doc__ or "").split())
        into.append(Measurement(function.__name__.replace("_", "-"), question, function, on_service))
        return function

    return make
