"""Walks through specs that differ in one to four declared properties of any kind: nobody who asks sees anything of the change."""

from __future__ import annotations

from random import Random

from alb_reconcile.kinds import load_kinds
from tests.properties.changes import draw_change, places
from tests.properties.examples import loads
from tests.properties.walks import BASES


def test_whatever_is_drawn_is_another_valid_spec() -> None:
    """Of half of the kinds at least that there are in it, in so few tries."""
    for make in BASES.values():
        random, spec = Random(1), make()
        kinds = {place.kind for place in places(spec)}
        drawn = [draw_change(random, spec) for _ in range(20)]
        for change in drawn:
            assert loads(change.made(spec))
            assert change.made(spec) != spec
        touched = {place.kind for place in places(spec) for change in drawn if place.what == change.what}
        assert kinds <= load_kinds().keys()
        assert len(touched) >= len(kinds) / 2
