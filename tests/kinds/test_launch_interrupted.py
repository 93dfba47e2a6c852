"""Alike instances of one subnet, whose launch was interrupted: nobody is launched twice, whatever reads show."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, World
from tests.kinds.hand import Hand
from tests.kinds.many import HOUR, ever_launched, members, numbers, rows, targets, web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.slow


def hide(here: World, hides: Callable[[Mapping[str, Any]], bool]) -> None:
    """Reads don't show some instances for a minute."""
    until = here.clock.now() + 60

    def drop(answer: Any) -> None:
        for reservation in answer["Reservations"] if here.clock.now() < until else ():
            reservation["Instances"] = [item for item in reservation["Instances"] if not hides(item)]

    Hand(here).answers("describe_instances", drop)


class Killed(BaseException):
    """The end of a process."""


def kill(here: World, last: str, *, after: int, spec: Spec, **options: Any) -> None:
    """Apply, and be killed as soon as so many calls of an operation have been made."""
    real, made = here._call, list[Any]()

    def end(answer: Any) -> None:
        made.append(answer)
        if len(made) >= after:
            raise Killed

    Hand(here).answers(last, end)
    with suppress(Killed):
        here.apply(spec, **options)
    here._call = real  # type: ignore[method-assign]
    assert len(made) >= after


HIDDEN: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "all": lambda _: False,
    "none": lambda _: True,
    "but two of five": lambda item: item["AmiLaunchIndex"] in (1, 3),
    "the last only": lambda item: item["AmiLaunchIndex"] < 4,
}
AFTERWARDS = {
    "the same": lambda: web(10),
    "fewer": lambda: web(6),
    "more": lambda: web(12),
    "another version": lambda: web(10, "two"),
    "fewer of another version": lambda: web(4, "two"),
    "nothing": None,
}
CASES = [(shown, after) for shown in HIDDEN for after in AFTERWARDS if after == "the same" or shown != "all"]
QUICK = [("all", "the same"), ("but two of five", "the same"), ("the last only", "more")]


@pytest.mark.parametrize(
    ("shown", "afterwards"),
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in CASES],
)
def test_killed_after_a_launch_of_which_reads_show_a_part(here: World, shown: str, afterwards: str) -> None:
    here.converge(web(0))
    kill(here, "run_instances", after=2, spec=web(10))
    assert len(rows(here)) == 10
    hide(here, HIDDEN[shown])
    wanted = AFTERWARDS[afterwards]
    if wanted is None:
        for _ in range(3):
            if not here.apply(web(10), destroy=True).failures:
                break
        here.clock.advance(HOUR)
        here.destroy(web(10))
        assert not rows(here)
        return
    for _ in range(3):
        result = here.apply(wanted(), allow={"delete": 20, "replace": 20})
        if not result.failures and result.rest is not None and result.rest.is_empty:
            break
    here.clock.advance(120)
    here.converge(wanted(), allow={"delete": 20, "replace": 20})
    assert members(here).keys() == numbers(upto=wanted()["instances"]["web"]["count"])
    assert targets(here).keys() <= {"healthy", "draining"}
    if afterwards == "the same" or (shown != "none" and "version" not in afterwards):
        assert ever_launched() == max(10, len(rows(here))), "none is launched twice, not even for a while"
    here.clock.advance(HOUR)
    here.destroy(wanted())
    assert not rows(here)


@pytest.mark.parametrize("after", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_killed_after_a_launch_in_the_middle_of_a_roll(here: World, after: int) -> None:
    """Whom the next run launches together doesn't depend on how far the roll had come."""
    rollout = {"max_surge": 4}
    here.converge(web(8, rollout=rollout))
    here.clock.advance(900)
    roll = web(8, "two", rollout=rollout)
    kill(here, "run_instances", after=after, spec=roll, allow={"replace": 9})
    began = here.today - timedelta(seconds=20)
    hide(here, lambda item: item["LaunchTime"] > began)
    for _ in range(3):
        result = here.apply(roll, allow={"replace": 9})
        if result.rest is not None and result.rest.is_empty:
            break
    here.clock.advance(120)
    here.converge(roll, allow={"replace": 9})
    assert members(here).keys() == numbers(upto=8)
    assert ever_launched() == 16
