"""How long a plan says that it takes, and how long it takes on AWS's own times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, demo
from tests.kinds.hand import edited
from tests.properties.scenarios import LAST_STATES

if TYPE_CHECKING:
    from tests.harness import World


def in_place(kind: str) -> Spec:
    spec = edited(demo(), "instances/web/instance_type", kind)
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    return spec


CHANGES: dict[str, tuple[Spec | None, Spec]] = {
    "create": (None, demo()),
    "more": (demo(), edited(demo(), "instances/web/count", 4)),
    "another group": (demo(), edited(demo(), "target_groups/web/port", 8080)),
    "another type in place": (in_place("t3.micro"), in_place("t3.small")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_as_long_as_its_plan_says(here: World, name: str) -> None:
    before, after = CHANGES[name]
    if before:
        here.converge(before)
    here.clock.advance(LAST_STATES)
    began = here.clock.now()
    plan = here.converge(after).plan
    took = here.clock.now() - began
    least, most = plan.takes
    assert least <= took <= most, f"{took:.0f} s"
    assert plan.seconds <= most <= 3 * took + 60, "each group drains for its own delay, not for AWS's default"


def test_a_destroy_waits_for_interfaces_and_instances_at_the_same_time(here: World) -> None:
    here.converge(demo())
    here.clock.advance(LAST_STATES)
    began = here.clock.now()
    result = here.destroy(demo())
    took = here.clock.now() - began
    least, most = result.plan.takes
    assert least <= took <= most <= 3 * took + 60, f"{took:.0f} s"
    ends = {event.step.address.kind: event.elapsed for event in result.events if event.what == "done"}
    assert took < ends["load_balancer"] + ends["instance"]
