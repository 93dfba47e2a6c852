"""Alike instances of one subnet, whose launch was interrupted: nobody is launched twice, whatever reads show."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.sandbox.strict.quotas import STANDARD_VCPUS
from tests.harness import Spec, World, world
from tests.kinds.hand import Faults
from tests.kinds.many import HOUR, ever_launched, members, numbers, place, rows, targets, web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


class Hidden:
    """What reads don't show for some time: instances by their launch index, whatever launch they are of."""

    def __init__(self, here: World, hides: Callable[[Mapping[str, Any]], bool], seconds: float) -> None:
        until, real = here.clock.now() + seconds, here._call

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            answer = real(service, operation, params)
            if operation == "describe_instances" and here.clock.now() < until:
                for reservation in answer["Reservations"]:
                    reservation["Instances"] = [item for item in reservation["Instances"] if not hides(item)]
            return answer

        here._call = call  # type: ignore[method-assign]


class Killed(BaseException):
    """The end of a process."""


def kill(here: World, last: str, *, after: int, spec: Spec, **options: Any) -> None:
    """Apply, and be killed as soon as so many calls of an operation have been made."""
    real, made = here._call, 0

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        nonlocal made
        if made == after:
            raise Killed
        answer = real(service, operation, params)
        made += operation == last
        if made == after:
            raise Killed
        return answer

    here._call = call  # type: ignore[method-assign]
    with suppress(Killed):
        here.apply(spec, **options)
    here._call = real  # type: ignore[method-assign]
    assert made == after


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


@pytest.mark.parametrize(
    ("shown", "afterwards"),
    [
        (shown, afterwards)
        for shown in HIDDEN
        for afterwards in AFTERWARDS
        if afterwards == "the same" or shown != "all"
    ][:: 1 if SOAK else 7],
)
def test_killed_after_a_launch_of_which_reads_show_a_part(here: World, shown: str, afterwards: str) -> None:
    here.converge(web(0))
    kill(here, "run_instances", after=2, spec=web(10))
    assert len(rows(here)) == 10
    Hidden(here, HIDDEN[shown], 60)
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


def test_killed_after_the_second_launch_of_what_the_first_left_out(here: World) -> None:
    """There was no room at first. Reads show the first launch and not yet the second, whose call must be the same again."""
    here.converge(web(0))
    quotas = place().ledger.quotas
    quotas[STANDARD_VCPUS] = 2 * 8
    Faults(here).refuse("get_service_quota", "AccessDeniedException", times=9)
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        is_second = operation == "run_instances" and params["MaxCount"] == 4
        if is_second:
            quotas.clear()
        answer = real(service, operation, params)
        if is_second:
            raise Killed
        return answer

    here._call = call  # type: ignore[method-assign]
    with suppress(Killed):
        here.apply(web(12))
    here._call = real  # type: ignore[method-assign]
    assert len(rows(here)) == 12
    last = rows(here)[-1]["ClientToken"]
    Hidden(here, lambda item: item["ClientToken"] == last, 60)
    here.apply(web(12))
    here.clock.advance(120)
    here.converge(web(12))
    assert ever_launched() == 12
    assert members(here).keys() == numbers(upto=12)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("hidden", [(1, 3), (1, 2, 3, 4), (0,)] if SOAK else [(1, 3)])
def test_of_one_launch_a_part_is_shown_and_of_another_none(here: World, first: int, hidden: tuple[int, ...]) -> None:
    """Where the others go, and by which calls, doesn't depend on that."""
    here.converge(web(0))
    kill(here, "run_instances", after=2, spec=web(10))
    token = sorted({item["ClientToken"] for item in rows(here)})[first]
    Hidden(here, lambda item: item["ClientToken"] == token or item["AmiLaunchIndex"] in hidden, 60)
    assert not here.apply(web(10)).failures
    assert ever_launched() == 10
    here.clock.advance(120)
    here.converge(web(10))
    assert members(here).keys() == numbers(upto=10)


@pytest.mark.parametrize(
    "rollout",
    [{"max_surge": 4}, {"max_surge": 0, "max_unavailable": 4}] if SOAK else [{"max_surge": 4}],
    ids=["surge", "gaps"] if SOAK else ["surge"],
)
@pytest.mark.parametrize("after", [3, 4])
def test_killed_after_a_launch_in_the_middle_of_a_roll(here: World, rollout: Spec, after: int) -> None:
    """Whom the next run launches together doesn't depend on how far the roll had come."""
    here.converge(web(8, rollout=rollout))
    here.clock.advance(900)
    roll = web(8, "two", rollout=rollout)
    kill(here, "run_instances", after=after, spec=roll, allow={"replace": 9})
    began = here.today - timedelta(seconds=20)
    Hidden(here, lambda item: item["LaunchTime"] > began, 60)
    for _ in range(3):
        result = here.apply(roll, allow={"replace": 9})
        if result.rest is not None and result.rest.is_empty:
            break
    here.clock.advance(120)
    here.converge(roll, allow={"replace": 9})
    assert members(here).keys() == numbers(upto=8)
    assert ever_launched() == 16
