"""Other processes in tests: started with signals as they should be, and waited for by what they do."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.forked import Forked

GUARD = 300.0
"""Seconds after which what hangs is a failure. Tests wait for events: nothing is proven by this."""


@contextmanager
def default_signals() -> Iterator[None]:
    """What is started within the block gets the signals that this process ignores: under nohup, or in the background.

    A new program inherits what is ignored; what has a handler is at its default there.
    """
    ignored = [each for each in (signal.SIGHUP, signal.SIGINT) if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, lambda *_: None)
    try:
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)


def until(holds: Callable[[], object]) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + GUARD
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str] | Forked, text: str) -> str:
    """Output up to a line that holds the text."""
    assert process.stdout is not None
    seen = ""
    guard = threading.Timer(GUARD, process.kill)
    guard.start()
    try:
        for line in process.stdout:
            seen += line
            if text in line:
                return seen
    finally:
        guard.cancel()
    raise AssertionError(f"{text!r} never came:\n{seen}")


def rest_of(process: subprocess.Popen[str] | Forked) -> str:
    """Wait for its end. Returns what it said that nobody has read yet."""
    told: str = process.communicate(timeout=GUARD)[0]
    return told
