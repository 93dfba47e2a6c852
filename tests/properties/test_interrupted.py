"""Killed before and after each mutating call, and run again: it converges, without duplicates, orphans or a dip."""

from __future__ import annotations

import pytest

from tests.properties.scenarios import WAYS, failures_of

PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", WAYS)
def test_a_killed_run_is_finished_by_the_next(name: str, part: int) -> None:
    """One more run leads where an uninterrupted one does, wherever the first was killed; destroy then leaves nothing."""
    tried, resumed, wrong = failures_of(name, PARTS, part)
    assert not wrong, "\n\n".join(wrong)
    # what the last calls do (targets, what the tags say of the spec) needs no further step
    assert resumed >= 0.5 * tried > 0, "the kills left something to do"
