"""A plugin of pytest that notes how long each test takes and which fail, and ends a run in which one doesn't end."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

FILE: Final = Path("notes.json")
"""`passed`: the seconds of each test by its name; `failed`: the names of others."""
LIMIT: Final = 30
"""Seconds of processor time for one test: the longest takes a quarter of it."""
LIMITED: Final = "TESTS_HAVE_TO_END"
"""The variable of the environment with which it holds."""
ENDLESS: Final = 99
"""Exit code of a run with a test that takes longer."""
_seconds: Final = defaultdict[str, float](float)
_failed: Final = set[str]()
_skipped: Final = set[str]()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what a part of a test took."""
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _failed.add(report.nodeid)
    elif report.skipped:
        _skipped.add(report.nodeid)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to count."""
    if LIMITED in os.environ:

        def end(*_: object) -> None:
            _failed.add(item.nodeid)
            _write()
            os._exit(ENDLESS)

        signal.signal(signal.SIGPROF, end)
        signal.setitimer(signal.ITIMER_PROF, LIMIT)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Stop it."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the notes."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _write()


def _write() -> None:
    passed = {name: seconds for name, seconds in _seconds.items() if name not in _failed | _skipped}
    FILE.write_text(json.dumps({"passed": passed, "failed": sorted(_failed)}), encoding="utf-8")
