"""What the suite leaves to `make soak`: cases beside others that are like them, of which it tries one or two."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

SOAK = bool(os.environ.get("SOAK"))
AT_LENGTH = pytest.mark.skipif(not SOAK, reason="another test of the suite is like it: with SOAK=1")
T = TypeVar("T")


def at_length(*cases: T) -> tuple[T, ...]:
    """These, or in the suite none of them."""
    return cases if SOAK else ()
