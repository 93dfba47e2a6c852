"""Workers on a queue, as an event simulation: cells come due, are run, their workers are killed, and their messages come again."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

from alb_reconcile.fleet.queues import QueueState
from alb_reconcile.locking.durations import LEASE, MARGIN, RENEW_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VISIBILITY: Final = QueueState(0, 0, 0).visibility
RECEIVES: Final = 5
"""Deliveries after which a message is a dead letter."""
REPLACED: Final = 60.0
"""Seconds until there is a worker in a killed one's place."""
POLL: Final = 5.0
"""Seconds that a worker waits for a message before it asks again (`fleet/celery_app.py`)."""


@dataclass
class _Message:
    cell: int
    due: float
    deliveries: int = 0
    lost: bool = False
    """Whether a worker was killed that had it."""


@dataclass
class Went:
    """How it went. `gaps`: seconds from one end of a cell's run to the next; `counts` of what happened to messages.

    `skipped`: looks at a cell that didn't happen, though no worker on it was killed and it isn't too large for the schedule.
    `behind`: how often cells came due while others still waited from the time before.
    """

    runs: int = 0
    busy: float = 0.0
    skipped: int = 0
    behind: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    gaps: list[float] = field(default_factory=list)


class Simulation:
    """So many workers over cells of which each takes `seconds`, for some intervals of the schedule."""

    def __init__(self, seconds: Sequence[float], workers: int, *, every: float, kills: float, pause: float) -> None:
        """`every`: the schedule. `kills`: of each worker in an hour. `pause`: from one message sent to the next one."""
        self._seconds, self._every, self._kills, self._pause = seconds, every, kills / 3600, pause
        self._idle, self._random = workers, random.Random(19)
        self._now, self._order = 0.0, count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._queue: deque[_Message] = deque()
        self._held: dict[int, tuple[float, _Message]] = {}
        """By cell, until when its lease holds if nobody ends it, and for which message."""
        self._ended: dict[int, float] = {}
        self._hurt: set[int] = set()
        """Cells of which a worker was killed."""
        self.went = Went()

    def run(self, intervals: int) -> Went:
        """All that comes due within them, to its end."""
        for interval in range(intervals):
            for cell in range(len(self._seconds)):
                self._at(interval * self._every + cell * self._pause, self._come_due, cell)
        while self._events:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
            while self._idle and self._queue:
                self._take(self._queue.popleft())
        return self.went

    def _at(self, moment: float, then: Callable[..., None], *args: object) -> None:
        heapq.heappush(self._events, (moment, next(self._order), lambda: then(*args)))

    def _come_due(self, cell: int) -> None:
        if cell == 0:
            self.went.behind += bool(self._queue)
        self._queue.append(_Message(cell, self._now))

    def _come_again(self, message: _Message) -> None:
        self._queue.append(message)

    def _take(self, message: _Message) -> None:
        message.deliveries += 1
        if message.deliveries > RECEIVES:
            self.went.counts["dead letters"] += 1
        elif self._now > message.due + self._every and not message.lost:
            self.went.counts["expired"] += 1
            self._skip(message.cell)
        elif self._now > message.due + self._every:
            self.went.counts["expired after a kill"] += 1
        elif self._held.get(message.cell, (0.0, message))[0] > self._now:
            self._leave(message)
        else:
            self._begin(message)

    def _leave(self, message: _Message) -> None:
        """Another message's run has the cell: this one is dropped. Or this one's own run, which may be dead."""
        if self._held[message.cell][1] is message:
            self._at(self._now + LEASE + MARGIN, self._come_again, message)
        else:
            self.went.counts["dropped"] += 1
            self._skip(message.cell)

    def _skip(self, cell: int) -> None:
        self.went.skipped += self._seconds[cell] < self._every and cell not in self._hurt

    def _begin(self, message: _Message) -> None:
        needed = self._seconds[message.cell]
        lives = self._random.expovariate(self._kills) if self._kills else needed + 1
        self._idle -= 1
        self.went.busy += min(needed, lives)
        if lives >= needed:
            self._held[message.cell] = self._now + needed, message
            self._at(self._now + needed, self._end, message)
            return
        message.lost = True
        self._hurt.add(message.cell)
        self.went.counts["killed"] += 1
        killed = self._now + lives
        # what a killed worker has renewed last holds from then on
        self._held[message.cell] = killed + LEASE + MARGIN - lives % RENEW_INTERVAL, message
        self._at(killed + VISIBILITY - lives % (VISIBILITY / 3), self._come_again, message)
        self._at(killed + REPLACED, self._replace)

    def _end(self, message: _Message) -> None:
        self._replace()
        self.went.runs += 1
        if message.cell in self._ended:
            self.went.gaps.append(self._now - self._ended[message.cell])
        self._ended[message.cell] = self._now

    def _replace(self) -> None:
        self._idle += 1


def least_workers(floor: int, enough: Callable[[int], bool]) -> int:
    """The smallest number of workers, from the floor on, that is enough."""
    step = 1
    while not enough(floor + step - 1):
        step *= 2
    low, high = floor + step // 2 - 1, floor + step - 1  # the one isn't enough, or below the floor; the other is
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high
