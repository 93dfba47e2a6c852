"""The faults that scenes are tried with: what goes wrong on the way, and how many further runs lead to the same end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from alb_reconcile.model.errors import ReconcileError
from tests.properties.campaign import Trial, told
from tests.properties.faults import Denied, Eater, Killed, Lost, Refused, Storm, Throttled, spoilt

LONGEST = 300
"""Seconds by which AWS's reads are behind at most, and for which it says nothing itself."""
PROMISED = 60
"""Up to so many seconds one run is enough, and the run after a killed one keeps capacity."""


@dataclass(frozen=True)
class Ending:
    """How the fault went, in words; so many further runs lead to the end, and whether capacity is kept until then. A run that is told that
    all is well by reads of long ago may be wrong; the next one isn't."""

    words: str = ""
    runs: int = 1
    keeps: bool = True
    may_be_wrong: bool = False


@dataclass(frozen=True)
class Fault:
    """What goes wrong, in an account whose reads may be behind by so many seconds, with AWS's documented buckets or without them."""

    go: Callable[[Trial, Random], Ending]
    lag: float = 0.0
    throttling: bool = False


def try_out(trial: Trial, fault: Fault, chance: Random) -> None:
    """Go through the scene with the fault. Raises AssertionError with what was wrong."""
    trial.begin()
    ended = fault.go(trial, chance)
    floor = None if ended.keeps else 0
    try:
        trial.finish(ended.runs)
        if ended.may_be_wrong:
            with suppress(AssertionError):
                trial.check(floor)
                return
            trial.finish(3)
        trial.check(floor)
    except AssertionError as error:
        raise AssertionError(f"{ended.words}: {error}") from error


def _some_kill(trial: Trial, chance: Random, below: int = 0) -> Killed:
    return Killed(chance.randint(1, max(len(trial.changes) - below, 1)), chance.choice(("before", "after")))


def nothing(trial: Trial, _: Random) -> Ending:
    """Reads may be behind by any time, the same for all: one run is enough."""
    trial.finish(1)
    assert not trial.run(), "nothing was left to do"
    return Ending("uninterrupted")


def killed(trial: Trial, chance: Random) -> Ending:
    """Before or after one of its changes."""
    trial.be_killed(kill := _some_kill(trial, chance))
    return Ending(f"killed {kill.words}")


def killed_twice(trial: Trial, chance: Random) -> Ending:
    """The next run, too, if it has as much to do."""
    kills = _some_kill(trial, chance, 1), Killed(chance.randint(1, 9), chance.choice(("before", "after")))
    for kill in kills:
        trial.be_killed(kill)
        trial.world.clock.advance(trial.way.hidden)
    return Ending(f"killed {kills[0].words}, then {kills[1].words or 'not'}")


def killed_in_the_dark(trial: Trial, chance: Random) -> Ending:
    """And all that follows sees what was some time ago."""
    trial.world.strict.lag_of_read = lambda: 0.0
    trial.be_killed(kill := _some_kill(trial, chance))
    lag = chance.choice((7.0, 30.0, float(PROMISED)))
    trial.world.strict.lag_of_read = lambda: lag
    return Ending(f"killed {kill.words}, reads behind by {lag:.0f} s", runs=3)


def stale(trial: Trial, chance: Random) -> Ending:
    """Each read is behind by another time, as if one of many copies answered, of which some are up to date; half of the runs are killed."""
    most, up_to_date = chance.choice((5, 30, PROMISED, 120, LONGEST)), chance.choice((0.0, 0.5, 0.9))
    trial.world.strict.lag_of_read = lambda: 0.0 if chance.random() < up_to_date else chance.uniform(0, most)
    kill, is_late = _some_kill(trial, chance), most > PROMISED
    if is_killed := chance.random() < 0.5:
        trial.be_killed(kill)
    runs = 6 if is_killed and is_late else 3 if is_killed or is_late else 1
    words = f"behind by {most} s, killed {kill.words or 'not'}"
    return Ending(words, runs, keeps=not (is_killed and is_late), may_be_wrong=is_killed or is_late)


def refused(trial: Trial, chance: Random) -> Ending:
    """One of its changes."""
    with spoilt(trial.world, fault := Refused(chance.randint(1, len(trial.changes)))):
        trial.run()
    return Ending(f"refused {fault.refused}")


def denied(trial: Trial, chance: Random) -> Ending:
    """One of its actions, each time: some failure says what is to be allowed (which action, `test_denied.py` looks at), and only what needs a step that wasn't done is left."""
    action = chance.choice(trial.changes)
    says = " to this identity"
    with spoilt(trial.world, Denied(action)):
        try:
            result = trial.world.apply(trial.way.target, **trial.way.run_options)
        except ReconcileError as error:
            ended = told(error)
        else:
            ended = ""
    if ended:
        assert says in ended, f"denied {action}"
        return Ending(f"denied {action}: {ended}")
    told_of = [*(str(item.error) for item in result.outcomes if item.how == "failed"), *result.warnings]
    assert any(says in text for text in told_of), f"denied {action}: {told_of}"
    how = {item.step.key: item.how for item in result.outcomes}
    for item in result.outcomes:
        if item.how == "skipped":
            assert any(how[key] != "done" for key in item.step.needs), f"{item.step.key} could have been done"
    return Ending(f"denied {action}")


def unanswered(trial: Trial, chance: Random) -> Ending:
    """One of its changes, which has been made."""
    with spoilt(trial.world, lost := Lost(chance.randint(1, len(trial.changes)), "InvalidResponse")):
        trial.run()
    return Ending(f"no answer to {lost.lost}")


def storm(trial: Trial, chance: Random) -> Ending:
    """Calls that don't arrive, replies that are lost or aren't AWS's, errors after the effect; one to three runs go through it."""
    trial.world.storm = found = Storm(chance, chance.choice((0.05, 0.2, 0.5)))
    ended = [trial.run() for _ in range(chance.randint(1, 3))]
    trial.world.storm = None
    return Ending(f"{dict(found.hit)}, before it {ended}")


def throttled(trial: Trial, chance: Random) -> Ending:
    """Nearly every third call of a service, for three minutes: the run that meets it converges by itself."""
    with spoilt(trial.world, Throttled(trial.world, chance.choice(("ec2", "elbv2")), 0.3, 180)):
        trial.finish(1)
    return Ending("throttled")


def beside(trial: Trial, chance: Random) -> Ending:
    """A tool that has emptied each bucket, and takes half of what comes into it: one run is enough."""
    buckets = trial.world.strict._throttling
    assert buckets is not None
    buckets._levels.clear()  # of a time that hasn't come yet
    trial.world.clock.advance(chance.uniform(0, 100))
    with spoilt(trial.world, Eater(buckets, 0.5, trial.world.clock.now)):
        trial.finish(1)
    return Ending("beside another tool")


FAULTS: dict[str, Fault] = {
    "nothing": Fault(nothing),
    "late reads": Fault(nothing, lag=PROMISED),
    "killed": Fault(killed),
    "killed twice": Fault(killed_twice),
    "killed, then late reads": Fault(killed_in_the_dark, lag=PROMISED),
    "stale reads": Fault(stale, lag=LONGEST),
    "refused": Fault(refused),
    "denied": Fault(denied),
    "no answer": Fault(unanswered),
    "storm": Fault(storm),
    "throttled": Fault(throttled),
    "another tool": Fault(beside, throttling=True),
}
