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


def kill(trial: Trial, chance: Random) -> str:
    """Go the way and be killed somewhere. Returns where; empty if it came to its end before."""
    killed = Killed(chance.randint(1, len(trial.changes)), chance.choice(("before", "after")))
    trial.be_killed(killed)
    return killed.words


@pytest.mark.parametrize("name", ALL if SOAK else IN_SUITE)
def test_a_run_that_was_killed_twice_is_finished_by_the_third(name: str) -> None:
    """Whatever the first left behind, the second made of it, and the third finds."""
    with trial(name) as way:
        killed_twice = 0

        def check(chance: Random) -> None:
            nonlocal killed_twice
            way.begin()
            first, second = kill(way, chance), kill(way, chance)
            killed_twice += bool(second)
            try:
                way.finish(1)
                way.check()
            except AssertionError as error:
                raise AssertionError(f"killed {first}, then {second or 'not at all'}: {error}") from error

        try_seeds(1, -(-PAIRS // len(ALL)), check)
        assert killed_twice or not SOAK
