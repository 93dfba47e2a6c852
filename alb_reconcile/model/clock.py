"""Measures how much time has passed for this process, also where it is frozen or suspended, or the machine's clock jumps."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Moment(NamedTuple):
    """The readings of both clocks of a `Clock` at one moment, in seconds since an arbitrary start of each clock."""

    steady: float
    wall: float


def _steady() -> float:
    """Seconds of a clock that goes on while the machine is suspended, where the system has such a clock."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


@dataclass(frozen=True)
class Clock:
    """Two clocks of one machine. Each may miss time; the clock that says more is believed."""

    steady: Callable[[], float] = _steady
    wall: Callable[[], float] = lambda: time.time()

    def now(self) -> Moment:
        """This moment."""
        return Moment(self.steady(), self.wall())

    def passed(self, since: Moment) -> float:
        """Seconds since a moment, rather too many than too few. A wall clock that was put back is ignored."""
        return max(self.steady() - since.steady, self.wall() - since.wall, 0.0)
