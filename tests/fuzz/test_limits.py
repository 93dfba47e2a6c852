"""Limits on an input, each by an input that is over it: the fuzz test itself has to fail, and say what repeats it."""

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


def _loop_that_is_caught() -> None:
    with suppress(BaseException):
        while True:
            pass


HANGS = (_loop_that_is_caught, threading.Event().wait)
WAITS = (
    lambda: list(map(time.sleep, [0.001] * 60)),
    lambda: asyncio.run(asyncio.sleep(0.06)),
    lambda: threading.Event().wait(0.06),
)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        *((do, "was not through after 0.05 s") for do in HANGS),
        *((do, "it waited for ") for do in WAITS),
        pytest.param(
            lambda: bytearray(260 << 20), "inputs before it have left 0",
            marks=pytest.mark.skipif(not limits._RESET.exists(), reason="only Linux forgets a peak"),
        ),
    ],
)  # fmt: skip
def test_what_is_over_a_limit_fails_with_its_seed(
    do: Callable[[], object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def read(_: Path) -> int:
        do()
        return 0

    if do in HANGS:
        monkeypatch.setattr(limits, "GUARD", 0.05)
    if do in WAITS:
        monkeypatch.setattr(limits, "WAIT", 0.05)
    monkeypatch.delenv("FUZZ_SEED", raising=False)
    monkeypatch.setattr(test_fuzz, "SOAK", False)
    monkeypatch.setattr(test_fuzz, "TARGETS", {"planted": Target("x", read, lambda: [b"a: 1\n"])})
    with pytest.raises((limits.OverLimitError, AssertionError)) as caught:
        test_fuzz.test_any_input_is_read_or_refused("planted", tmp_path, capsys, monkeypatch)
    assert said in str(caught.value)
    assert "FUZZ_SEED='planted:" in "".join(caught.value.__notes__)
