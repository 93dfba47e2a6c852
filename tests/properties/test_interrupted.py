"""Killed before and after each mutating call, and run again: it converges, without duplicates, orphans or a dip."""

from __future__ import annotations

import pytest

from tests.properties.scenarios import WAYS, failures_of

PARTS = 3
MORE_THAN_ANY = 200


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", WAYS)
def test_a_killed_run_is_finished_by_the_next(name: str, when: str, part: int) -> None:
    """One more run leads where an uninterrupted one does, wherever the first was killed; destroy then leaves nothing."""
    count, wrong = failures_of(name, when, range(1 + part, MORE_THAN_ANY, PARTS))
    assert not wrong, "\n\n".join(wrong)
    assert PARTS < count < MORE_THAN_ANY - PARTS, "the way has calls, and all of them were tried"
