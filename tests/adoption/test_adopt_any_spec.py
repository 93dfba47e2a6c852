"""For random specs: what was made, let go and adopted again is the stack it was, and nothing but tags has changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from alb_reconcile.model import tags
from tests.adoption.adopting import keeper, make_any, our_tags
from tests.properties.seeds import PHASES
from tests.properties.strategies import specs
from tests.properties.watched import portrait

if TYPE_CHECKING:
    from tests.harness import Spec


# not shrunk: shrinking takes many minutes, and a failing spec tells enough
@pytest.mark.usefixtures("only_fresh")
@settings(
    max_examples=100 if os.environ.get("SOAK") else 2, database=None, deadline=None, print_blob=True,
    phases=PHASES, derandomize=not os.environ.get("SOAK"),
)  # fmt: skip
@given(specs())
def test_a_stack_that_was_let_go_is_adopted_as_it_was(spec: Spec) -> None:
    with keeper() as (world, keep):
        world.add_strangers()
        spec = world.localized(spec)
        make_any(world, spec)
        before, likeness = our_tags(world), portrait(world, spec)
        released = keep.release(spec)
        assert released.whole
        assert not our_tags(world)
        found = keep.adopt(spec)
        assert not found.missing
        assert not found.notes
        assert world.plan(spec).is_empty
        assert portrait(world, spec) == likeness
        assert _addresses(our_tags(world)) == _addresses(before)
        world.destroy(spec)


def _addresses(found: dict[str, dict[str, str]]) -> Any:
    """Instances of a group can't be told from each other; all else is where it was. Volumes have their instance's launch."""
    return sorted(
        ("" if key.startswith("vol-") else item[tags.ADDRESS], "" if key.startswith(("i-", "vol-")) else key)
        for key, item in found.items()
    )
