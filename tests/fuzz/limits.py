"""What one input may take beside processor time: how long it waits, whether it ends at all, and its memory.

None of it looks at a clock that other work on the machine makes late. A wait counts for as long as the program asked for, and only if it passed to its end.
`GUARD` is for what ends never (a loop, a lock that nobody releases, an address that doesn't answer), so it is far longer than any load makes an input.
It can't end C code that doesn't look for signals.
"""

from __future__ import annotations

import resource
import selectors
import signal
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARD = 60.0
"""Seconds after which an input is stopped, by the clock on the wall."""
WAIT = 2.0
"""Seconds that each thread may wait on purpose."""
MIB = 250
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_PER_MIB = 1024**2 if sys.platform == "darwin" else 1024


class OverLimitError(BaseException):
    """No Exception: the program must not take it for one of its own."""


@contextmanager
def guard() -> Iterator[None]:
    """Stop what hangs. Raises OverLimitError where it hangs, or at the end if the program went on from there."""
    over = ""

    def stop(*_: object) -> None:
        nonlocal over
        over = f"it was not through after {GUARD:g} s"
        raise OverLimitError(over)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, GUARD, 1)  # again each second: what a finalizer raises, say, is lost
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if over:
        raise OverLimitError(over)


@contextmanager
def waits() -> Iterator[None]:
    """Count what is slept, waited for in an event loop, and waited for from another thread. Raises OverLimitError in the wait that is too
    much, or at the end if the program went on from there."""
    waited: defaultdict[int, float] = defaultdict(float)
    over, is_over = "", False
    others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    was: Any = (time.sleep, selectors.DefaultSelector.select, threading.Condition.wait)
    real_sleep, real_select, real_wait = was

    def count(seconds: float | None) -> None:
        nonlocal over
        thread = threading.get_ident()
        if seconds is None or seconds <= 0:  # what the program cleans up is no wait
            return
        if is_over or thread in others:  # begun by an earlier test, or left behind
            return
        waited[thread] += seconds
        if waited[thread] > WAIT:
            over = f"it waited for {waited[thread]:.1f} s"
            raise OverLimitError(over)

    def sleep(seconds: float) -> None:
        count(seconds)
        real_sleep(seconds)

    def select(selector: Any, timeout: float | None = None) -> Any:
        ready = real_select(selector, timeout)
        if not ready:
            count(timeout)
        return ready

    def wait(condition: Any, timeout: float | None = None) -> Any:
        told = real_wait(condition, timeout)
        if not told:
            count(timeout)
        return told

    def put(*functions: Any) -> None:
        time.sleep, vars(threading)["Condition"].wait = functions[0], functions[2]
        vars(selectors)["DefaultSelector"].select = functions[1]

    put(sleep, select, wait)
    try:
        yield
    finally:
        put(*was)
        is_over = True
    if over:
        raise OverLimitError(over)


class Memory:
    """What a series of inputs takes. What one leaves behind counts for those after it as well.

    Linux forgets the process's peak before each input. Elsewhere the growth of that peak is judged, and one from before hides what is smaller.
    """

    def __init__(self) -> None:
        self.most = 0.0
        self._least = float("inf")

    @contextmanager
    def judged(self) -> Iterator[None]:
        if _RESET.exists():
            _RESET.write_text("5", encoding="ascii")  # takes 15 µs
        before = _peak()
        self._least = min(self._least, before)
        yield
        peak = _peak()
        self.most = max(self.most, peak - self._least)
        assert peak - self._least <= MIB, (
            f"it took {peak - before:.0f} MiB; inputs before it have left {before - self._least:.0f}"
        )


def _peak() -> float:
    if _STATUS.exists():
        return int(_STATUS.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _PER_MIB
