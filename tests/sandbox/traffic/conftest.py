"""A front with three APIs behind it, for a module."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.traffic.front_lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("front"), "a", "b", "c")
    yield made
    made.close()


@pytest.fixture(scope="module")
def trust(lab: Lab) -> ssl.SSLContext:
    """What clients trust who know the front's authority."""
    return ssl.create_default_context(cafile=str(lab.front.ca_file))
