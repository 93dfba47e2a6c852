"""What the tests of leases have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.locking.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose hosts keep their locks in a folder of the test's own."""
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path))
    return Lab()
