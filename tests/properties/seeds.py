"""Random trials by number: a few that are always the same, many others with SOAK=n, and a failed one again with SEED=n."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from hypothesis import Phase
from moto.core import responses
from moto.moto_api._internal import mock_random
from moto.utilities import aws_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NUMBER = os.environ.get("SOAK", "")
"""The number from which all seeds of a long run follow; empty in the suite."""
SOAK = bool(_NUMBER)
PHASES = (Phase.generate, Phase.shrink) if SOAK else (Phase.generate,)
"""Of Hypothesis: at length, what fails is made small, for five minutes at most."""
_AGAIN = os.environ.get("SEED")
_TOLD = 5
"""Failures that are told in full."""


def sampled(names: Iterable[str], one_in: int) -> list[object]:
    """Cases by name, of which each so many-th is quick, and the others are slow. Which ones are depends on their own names alone, so that
    another case changes none."""
    return [pytest.param(name, marks=pytest.mark.slow if crc32(name.encode()) % one_in else ()) for name in names]


def seeds(suite: int, soak: int) -> Iterator[int]:
    """The seeds of one test: the first ones, and at length any."""
    if _AGAIN is not None:
        yield int(_AGAIN)
    elif SOAK:
        first = first_seed(os.environ.get("PYTEST_CURRENT_TEST", ""))
        yield from range(first, first + soak)
    else:
        yield from range(suite)


def first_seed(name: str, suite: int = 0) -> int:
    """A long run's first seed of a test or a shard; in the suite the given one."""
    return random.Random(f"{_NUMBER} {name.partition(' (')[0]}").randrange(10**9) if SOAK else suite


def draw_from(number: int) -> None:
    """What the program and the emulator draw themselves from now on: pauses, and ids. Not those of requests: what a process has asked
    once it may know for good, and so ask less in what it tries later."""
    for module in (aws_headers, responses):
        vars(module)["gen_amzn_requestid_long"] = _request_id
    random.seed(number)
    mock_random.seed(number)


def _request_id(headers: dict[str, Any] | None = None) -> str:
    found = "0" * 52
    if headers is not None:
        headers["x-amzn-requestid"] = found
    return found


def try_seeds(suite: int, soak: int, trial: Callable[[random.Random], None]) -> None:
    """Make a trial with each seed. All that is random is drawn from it: what the trial draws, the program's own pauses, and the ids
    that the emulator gives.

    Raises AssertionError with every seed that failed, and what was wrong with the first of them.
    """
    wrong: list[str] = []
    for number in seeds(suite, soak):
        draw_from(number)
        try:
            trial(random.Random(number))
        except AssertionError as error:
            wrong.append(f"SEED={number}: {error}" if len(wrong) < _TOLD else f"SEED={number}")
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    at_length = f"PYTHONHASHSEED=0 SOAK={_NUMBER} " if SOAK else ""
    assert not wrong, f"again: {at_length}SEED=n pytest '{test}'\n\n" + "\n\n".join(wrong)
