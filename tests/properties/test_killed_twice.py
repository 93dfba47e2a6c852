"""Killed at one point, the next run killed at another, and then a run to the end."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, NoReturn
from unittest.mock import Mock

import pytest

from alb_reconcile.model.errors import AwsError
from tests.properties import faults
from tests.properties.campaign import Trial, trial
from tests.properties.faults import Gone, Killed
from tests.properties.scenarios import ALL
from tests.properties.seeds import SOAK, try_seeds

if TYPE_CHECKING:
    from random import Random

PAIRS = 500
IN_SUITE = ("roll", "destroy")


def test_a_kill_after_a_call_that_aws_refuses_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose other steps wait for that call's answer would never end, and not as a process does that is killed."""
    killed, stopped = Killed(2, "after"), Mock()
    monkeypatch.setattr(faults, "get_running_loop", lambda: stopped)

    def refuse() -> NoReturn:
        raise faults.error_of("elbv2", "register_targets", "InvalidTarget")

    with pytest.raises(AwsError):
        killed("elbv2", "register_targets", refuse)
    with pytest.raises(Gone):
        killed("elbv2", "register_targets", refuse)
    stopped.stop.assert_called_once()
    with pytest.raises(CancelledError):
        killed("elbv2", "describe_target_health", refuse)


def kill_twice(trial: Trial, chance: Random) -> tuple[str, str]:
    """Go the way, and go on, each time until it is killed: somewhere before its last change, and before or after one of those that
    are left. Returns at which calls."""
    first = chance.randint(1, len(trial.changes) - 1)
    numbers = first, chance.randint(1, len(trial.changes) - first)
    kills = [Killed(number, chance.choice(("before", "after"))) for number in numbers]
    trial.begin()
    for killed in kills:
        trial.be_killed(killed)
    one, two = (killed.words for killed in kills)
    return one, two


@pytest.mark.parametrize("name", ALL if SOAK else IN_SUITE)
def test_a_run_that_was_killed_twice_is_finished_by_the_third(name: str) -> None:
    """Whatever the first left behind, the second made of it, and the third finds."""
    with trial(name) as way:

        def check(chance: Random) -> None:
            kills = "", ""
            while not all(kills):  # the second may have had less to do
                kills = kill_twice(way, chance)
            try:
                way.finish(1)
                way.check()
            except AssertionError as error:
                raise AssertionError(f"killed {kills[0]}, then {kills[1]}: {error}") from error

        try_seeds(1, -(-PAIRS // len(ALL)), check)
