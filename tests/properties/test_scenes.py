"""Every scene meets faults, and ends as if there had been none: nothing twice, nothing left over, nothing of others touched, and no dip on the way.

A third of the scenes is tried with the fault that their names draw, and all are with that and three more by `make test-slow`; `make soak` tries each with each.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any
from zlib import crc32

import pytest

from tests.properties.campaign import trial
from tests.properties.scenes import NAMES
from tests.properties.seeds import SOAK, try_seeds
from tests.properties.trials import FAULTS, try_out

SLOW = 3
SEEDS = 20


def cases() -> list[Any]:
    """Scenes with faults. Which ones depends on their own names alone, so that another scene changes none."""
    found = []
    for scene in NAMES:
        drawn = sorted(FAULTS, key=lambda fault: crc32(f"{scene}, {fault}".encode()))
        quick = () if crc32(scene.encode()) % 3 == 0 else pytest.mark.slow
        marks: list[Any] = [quick, *[pytest.mark.slow] * (len(FAULTS) if SOAK else SLOW)]
        found += [pytest.param(scene, fault, marks=mark) for fault, mark in zip(drawn, marks, strict=False)]
    return found


@pytest.mark.parametrize(("scene", "fault"), cases())
def test_it_ends_as_if_nothing_had_happened(scene: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    how = FAULTS[fault]
    with trial(scene, lag=how.lag, throttling=how.throttling) as here:
        try_seeds(1, SEEDS, partial(try_out, here, how))
    gc.collect()
    assert caplog.records == [], "no task is left with an error that nothing has asked for"
