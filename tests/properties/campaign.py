"""One scene, gone through again and again in one account with bystanders in it, each time with another fault; and what must hold each time."""

from __future__ import annotations

import os
from asyncio import CancelledError
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from alb_reconcile.model.errors import ExitCode, ReconcileError
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.harness import FAKE_ENVIRONMENT, READS
from tests.properties import backends
from tests.properties.eyes import Eyes
from tests.properties.faults import Gone, spoilt
from tests.properties.near_misses import NEAR_MISSES, add_strangers
from tests.properties.scenarios import GROUP, LAST_STATES, look_of, sort_of
from tests.properties.scenes import scene_of
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from alb_reconcile.aws.transport import Response
    from tests.harness import Result
    from tests.properties.faults import Killed, Storm
    from tests.properties.scenarios import Way


class Campaign(WatchedWorld):
    """A World with bystanders, whose targets aren't the stack's. Two reads at the same moment may be answered otherwise."""

    storm: Storm | None = None
    bystanders: dict[str, Any]

    def settle_in(self, misses: tuple[dict[str, str], ...]) -> None:
        """Let there be one of everything for each near miss."""
        add_strangers(self, misses)
        self.clock.advance(600)
        self.bystanders = self.strict.inventory()
        self._names = {arn: arn for arn in self.bystanders}  # though their tags say that they are the stack's

    def _ask(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        ask = partial(super()._ask, service, operation, params)
        if self.storm is None or "DryRun" in params:
            return ask()
        answer: Response = self.storm(service, operation, ask, once=once)
        return answer

    def _answer(self, service: str, operation: str, params: Mapping[str, Any]) -> Response:
        if self.strict.lag and self.strict.lag_of_read is not None:
            self._answers = {}
        return super()._answer(service, operation, params)


@dataclass(frozen=True)
class End:
    """What a scene leads to if nothing happens: how the stack looks, how many of each sort there are more than before it, and by
    which changing calls."""

    look: dict[str, Any]
    counts: Counter[str]
    changes: tuple[str, ...]


@cache
def uninterrupted(name: str) -> End:
    """The end of a scene, in an account of its own."""
    way = scene_of(name)
    with watched() as world:
        way.prepare()
        there = world.strict.inventory()
        begin(world, way)
        world.converge(way.target, **way.run_options)
        changes = tuple(operation for operation, _ in world.log if not operation.startswith(READS))
        world.clock.advance(LAST_STATES)
        return End(look_of(world, way), counted(world.strict.inventory().keys() - there.keys()), changes)


def begin(world: WatchedWorld, way: Way) -> None:
    """Let there be what there is before a way, once what specs only name is there."""
    if way.before:
        world.converge(way.before(), **way.options)
    world.clock.advance(way.rest)


def counted(ids: Iterable[str]) -> Counter[str]:
    """How many of each sort."""
    return Counter(map(sort_of, ids))


class Trial:
    """A scene in an account that goes back to where it began."""

    def __init__(self, world: Campaign, name: str) -> None:
        self.world, self.name, self.way, self.good = world, name, scene_of(name), uninterrupted(name)
        self.changes = self.good.changes
        self._eyes = Eyes(world, self.way.eyes)
        self._start = world.moment()

    def begin(self) -> None:
        """Undo everything."""
        self.world.go_back(self._start)
        self.world.strict.lag_of_read = None
        self._eyes.wrong.clear()
        self.world.watch()

    def run(self) -> str:
        """Go the way, once. Returns why another run is needed; empty if all is as wanted.

        What ends it is an error that the command has an exit code and words for; any other error is raised.
        """
        try:
            return left_of(self.world.apply(self.way.target, **self.way.run_options))
        except ReconcileError as error:
            return told(error)

    def be_killed(self, killed: Killed) -> None:
        """Go the way until that."""
        with spoilt(self.world, killed), suppress(Gone, CancelledError):
            try:
                self.run()
            except RuntimeError:  # its loop was stopped
                if not killed.words:
                    raise

    def finish(self, tries: int) -> None:
        """Run until all is as wanted. Raises AssertionError with what was wrong each time after so many tries."""
        wrong = []
        self.world.clock.advance(self.way.hidden)
        for _ in range(tries):
            if not (ended := self.run()):
                return
            wrong.append(ended)
            self.world.clock.advance(self.world.strict.lag)
        raise AssertionError("\n".join(wrong))

    def check(self, floor: int | None = None) -> None:
        """All is as if nothing had happened; capacity was kept throughout, and what is others' is what it was."""
        world, floor = self.world, self.way.floor if floor is None else floor
        world.sample()
        low = {name: item for name, item in world.lows.items() if name == GROUP and item.healthy < floor}
        assert not low, f"{low}, must be {floor}"
        assert not self._eyes.wrong, self._eyes.wrong
        world.clock.advance(world.strict.lag + LAST_STATES)
        there, reads_lag = world.strict.inventory(), world.strict.lag
        world.strict.lag = 0.0
        try:
            assert world.plan(self.way.target, destroy=self.way.after is None).is_empty
            assert look_of(world, self.way) == self.good.look
        finally:
            world.strict.lag = reads_lag
        theirs = {key: there.get(key) for key in world.bystanders}
        assert theirs == world.bystanders, "what is others' was changed"
        counts = counted(there.keys() - world.bystanders.keys())
        assert counts == self.good.counts, f"{counts}, must be {self.good.counts}"


def left_of(result: Result) -> str:
    """What a run has left to do, in words."""
    rest = [step.key for step in result.rest.steps] if result.rest else []
    if result.failures or rest or result.problems:
        return f"failures {result.failures}, rest {rest}, problems {result.problems}"
    return ""


def told(error: ReconcileError, *others: ExitCode) -> str:
    """What a run is ended by, which has words and an exit code for that: 1, 4, or one of the others."""
    assert error.exit_code in (ExitCode.FAILED, ExitCode.REFUSED, *others), error
    assert str(error), type(error)
    return f"{type(error).__name__}: {error}"


@contextmanager
def account(*, throttling: bool = False) -> Iterator[Campaign]:
    """A fresh account."""
    os.environ.update(FAKE_ENVIRONMENT)
    clock = VirtualClock()
    with StrictAws(clock=clock.now, throttling=throttling) as strict, backends.kept():
        yield Campaign(strict, clock)


@contextmanager
def trial(name: str, *, lag: float = 0.0, throttling: bool = False) -> Iterator[Trial]:
    """A scene that has yet to be gone through, beside bystanders of one sort of near misses."""
    uninterrupted(name)  # in an account of its own
    way = scene_of(name)
    with account(throttling=throttling) as world:
        first = sum(map(ord, name)) % len(NEAR_MISSES)
        way.prepare()
        world.settle_in(NEAR_MISSES[first : first + 1])
        begin(world, way)
        world.strict.lag = lag
        world.clock.advance(lag)
        world.watch()
        yield Trial(world, name)


def is_change(operation: str) -> bool:
    """Whether a call may change something."""
    return not operation.startswith(READS)
