"""How long a plan says that it takes, and how long it takes on AWS's own times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.at_length import SOAK
from tests.harness import Spec, demo, world
from tests.kinds.hand import edited
from tests.properties.scenarios import LAST_STATES, WAYS, with_rule

if TYPE_CHECKING:
    from collections.abc import Mapping


def in_place(kind: str) -> Spec:
    spec = edited(demo(), "instances/web/instance_type", kind)
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    return spec


CHANGES: dict[str, tuple[Spec | None, Spec, Mapping[str, Any]]] = {
    **{name: (way.before() if way.before else None, way.target, way.run_options) for name, way in WAYS.items()},
    "a group that goes": (with_rule(), demo(), {}),
    "another type in place": (in_place("t3.micro"), in_place("t3.small"), {}),
    "another load balancer": (
        demo(),
        edited(demo(), "load_balancers/public/scheme", "internal"),
        {"allow": {"replace-load-balancer": 1}},
    ),
}


@pytest.mark.parametrize("name", CHANGES if SOAK else [*CHANGES][::3])
def test_a_change_takes_as_long_as_its_plan_says(name: str) -> None:
    before, after, options = CHANGES[name]
    with world() as here:
        if before:
            here.converge(before)
        here.clock.advance(LAST_STATES)
        began = here.clock.now()
        plan = here.converge(after, **options).plan
        took = here.clock.now() - began
        least, most = plan.takes
        assert least <= took <= most, f"{took:.0f} s"
        assert plan.seconds <= most <= 3 * took + 60, "each group drains for its own delay, not for AWS's default"


def test_a_destroy_waits_for_interfaces_and_instances_at_the_same_time() -> None:
    with world() as here:
        here.converge(demo())
        here.clock.advance(LAST_STATES)
        began = here.clock.now()
        result = here.destroy(demo())
        took = here.clock.now() - began
        least, most = result.plan.takes
        assert least <= took <= most, f"{took:.0f} s"
        ends = {event.step.address.kind: event.elapsed for event in result.events if event.what == "done"}
        assert took < ends["load_balancer"] + ends["instance"]
