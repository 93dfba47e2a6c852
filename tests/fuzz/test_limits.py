"""Each limit on an input, by an input that is over it: the fuzz test itself has to fail, and say what repeats it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import limits, test_fuzz
from tests.fuzz.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OFTEN = 300 << 20
"""Bytes that the process had once."""


def _loop() -> None:
    while True:
        pass


def _deadlock() -> None:
    lock = threading.Lock()
    with lock, lock:
        pass


def _loop_in_a_callback() -> None:
    """The event loop reports what a callback raises, and goes on."""

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        asyncio.get_running_loop().call_soon(_loop)
        await asyncio.sleep(0.01)

    asyncio.run(main())


def _caught(do: Callable[[], object]) -> None:
    with suppress(BaseException):
        do()


HANGS: dict[str, Callable[[], object]] = {
    "a loop": _loop,
    "a lock": _deadlock,
    "a wait without an end": threading.Event().wait,
    "a loop in a callback": _loop_in_a_callback,
    "a loop that is caught": lambda: _caught(_loop),
}
LONG: dict[str, Callable[[], object]] = {
    "asleep": lambda: time.sleep(3),
    "asleep in a thread": lambda: asyncio.run(asyncio.to_thread(time.sleep, 3)),
    "asleep, and caught": lambda: _caught(lambda: time.sleep(3)),
}
SHORT: dict[str, Callable[[], object]] = {
    "asleep, again and again": lambda: list(map(time.sleep, [0.001] * 60)),
    "in an event loop": lambda: asyncio.run(asyncio.sleep(0.06)),
    "for another thread": lambda: threading.Event().wait(0.06),
}
"""Seconds beside a lower limit."""


def _fuzz(
    do: Callable[[], object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Path) -> int:
        do()
        return 0

    monkeypatch.delenv("FUZZ_SEED", raising=False)
    monkeypatch.setattr(test_fuzz, "SOAK", False)
    monkeypatch.setattr(test_fuzz, "TARGETS", {"planted": Target("x", read, lambda: [b"a: 1\n"])})
    test_fuzz.test_any_input_is_read_or_refused("planted", tmp_path, capsys, monkeypatch)


def _fails(expected: str, error: BaseException) -> None:
    assert expected in str(error)
    assert "FUZZ_SEED='planted:" in "".join(error.__notes__)


@pytest.mark.parametrize("how", HANGS)
def test_what_hangs_is_stopped(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD", 0.05)
    with pytest.raises(limits.OverLimitError) as caught:
        _fuzz(HANGS[how], tmp_path, capsys, monkeypatch)
    _fails("was not through after 0.05 s", caught.value)


@pytest.mark.parametrize("how", [*LONG, *SHORT])
def test_waits_count(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if how in SHORT:
        monkeypatch.setattr(limits, "WAIT", 0.05)
    with pytest.raises(limits.OverLimitError) as caught:
        _fuzz((LONG | SHORT)[how], tmp_path, capsys, monkeypatch)
    _fails("it waited for ", caught.value)


def test_waits_that_end_early_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def soon() -> None:
        await asyncio.wait_for(asyncio.to_thread(int), 30)

    def do() -> None:
        asyncio.run(soon())
        event = threading.Event()
        threading.Thread(target=event.set).start()
        assert event.wait(30)

    _fuzz(do, tmp_path, capsys, monkeypatch)


@pytest.mark.skipif(not limits._RESET.exists(), reason="only Linux forgets a peak")
def test_an_earlier_peak_hides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bytearray(OFTEN)
    with pytest.raises(AssertionError) as caught:
        _fuzz(lambda: bytearray(260 << 20), tmp_path, capsys, monkeypatch)
    _fails("inputs before it have left 0", caught.value)


@pytest.mark.skipif(not limits._RESET.exists(), reason="only Linux forgets a peak")
def test_what_is_left_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[bytearray] = []
    monkeypatch.setattr(limits, "MIB", 60)
    with pytest.raises(AssertionError) as caught:
        _fuzz(lambda: left.append(bytearray(40 << 20)), tmp_path, capsys, monkeypatch)
    _fails("inputs before it have left 4", caught.value)


def test_a_thread_of_an_earlier_test_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: one that exports traces waited on, and was taken for an input's."""
    monkeypatch.setattr(limits, "WAIT", 0.01)
    begin, ended, failed = threading.Event(), threading.Event(), list[str]()

    def go_on() -> None:
        begin.wait()
        try:
            threading.Event().wait(0.02)
        except limits.OverLimitError as error:
            failed.append(str(error))
        ended.set()

    threading.Thread(target=go_on).start()
    with limits.waits():
        begin.set()
        ended.wait()
    assert not failed
