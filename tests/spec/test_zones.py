"""Targets by zone: what a spec is warned of where a load balancer's nodes send requests to their own zone only."""

from __future__ import annotations

import pytest

from tests.harness import demo, load


@pytest.mark.parametrize(
    ("count", "rollout", "cross_zone", "warned"),
    [
        (2, {"max_surge": 0, "max_unavailable": 1}, False, True),
        (4, {"max_surge": 0, "max_unavailable": 2}, False, True),
        (4, {"max_surge": 0, "max_unavailable": 1}, False, False),
        (2, {"max_surge": 1}, False, False),
        (2, {"max_surge": 0, "max_unavailable": 1}, True, False),
    ],
)
def test_a_roll_that_leaves_a_zone_without_a_target_is_warned_of(
    count: int, rollout: dict[str, int], cross_zone: bool, warned: bool
) -> None:
    """Two zones, and a node in each that sends its requests to its own zone's targets."""
    spec = demo()
    spec["instances"]["web"] |= {"count": count, "rollout": rollout}
    spec["target_groups"]["web"]["attributes"] |= {"load_balancing.cross_zone.enabled": cross_zone}
    told = [item.message for item in load(spec).warnings if "zone" in item.message]
    assert bool(told) is warned, told
