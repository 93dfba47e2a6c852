"""Settings for all tests: Hypothesis at a pace for every run, and at length with SOAK=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)  # this machine's speed is no property of the code
settings.register_profile("suite", derandomize=True, max_examples=60, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("soak", max_examples=5000, deadline=None, suppress_health_check=_QUIET)
pytest.register_assert_rewrite("tests.kinds.hand")  # so that its asserts explain themselves
settings.load_profile("soak" if os.environ.get("SOAK") else "suite")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root, which holds specs/ and schemas/."""
    return Path(__file__).parent.parent
