"""A service in a fresh account, in its people's hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.versions.service import people

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.versions.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service without any version yet."""
    with people(tmp_path) as found:
        yield found
