"""What the suite leaves to `make soak`: cases beside others that are like them, of which it tries one or two."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

SOAK = bool(os.environ.get("SOAK"))
T = TypeVar("T")


def at_length(*cases: T) -> tuple[T, ...]:
    """These, or in the suite none of them."""
    return cases if SOAK else ()


def only_at_length(like: str) -> pytest.MarkDecorator:
    """For a test that is long, and like this one of the suite (file::name)."""
    return pytest.mark.skipif(not SOAK, reason=f"{like} is like it: with SOAK=1")
