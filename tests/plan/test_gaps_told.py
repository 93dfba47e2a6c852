"""What is said of a gap on the way: the steps that shut and open, for how long, and how to do without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alb_reconcile.engine.plan.gaps import tell_gap
from alb_reconcile.engine.plan.rehearsal import find_gaps
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Need
from tests.doors.scenes import API, HTTP, TWO_RULES, Scene, rule
from tests.doors.test_scenes import plan_of

NOT_FOUND = {f"{HTTP}/default_action": {"fixed_response": {"status_code": 404}}}
SWAPPED = {**TWO_RULES, **NOT_FOUND}
SWAP = {f"{HTTP}/rules/one": rule(1, "/two", "web"), f"{HTTP}/rules/two": rule(2, "/one", "api")}


def test_the_gate_orders_what_nothing_else_does() -> None:
    """A renamed rule, as if nothing ordered the steps: the old one waits until the new one is there."""
    plan = plan_of(
        Scene(
            {f"{HTTP}/rules": {"new": rule(1, "/one", "api")}},
            have={**API, f"{HTTP}/rules": {"old": rule(1, "/one", "api")}},
        )
    )
    assert find_gaps(plan) == []
    assert find_gaps(replace(plan, steps=tuple(replace(step, needs={}) for step in plan.steps))) == []
    gone, made = (next(step for step in plan.steps if step.action == action) for action in ("delete", "create"))
    (gap,) = find_gaps(replace(plan, steps=(replace(gone, needs={}), replace(made, needs={gone.key: Need.DONE}))))
    assert 'from "delete rule.public/http/old" until' in tell_gap(plan, gap)


def test_a_pause_before_the_step_that_shuts_is_no_gap() -> None:
    plan = plan_of(Scene(SWAP, have=SWAPPED), allow={"gap": 1})
    (gap,) = find_gaps(plan)
    late = replace(gap.begin, pause=(60, ""), seconds=gap.begin.seconds + 60)
    steps = tuple(late if step.key == late.key else step for step in plan.steps)
    assert tell_gap(replace(plan, steps=steps), replace(gap, begin=late)) == tell_gap(plan, gap)


def test_rules_that_swap_are_advised_to_have_others_behind_them_and_that_leads_there() -> None:
    with pytest.raises(
        RefusedError, match="first one with another rule for the same conditions, which answers meanwhile; or allow"
    ):
        plan_of(Scene(SWAP, have=SWAPPED))
    behind = {f"{HTTP}/rules/third": rule(3, "/one", "web"), f"{HTTP}/rules/fourth": rule(4, "/two", "api")}
    assert plan_of(Scene(behind, have=SWAPPED)).steps
    assert plan_of(Scene(SWAP, have={**SWAPPED, **behind})).steps
    assert plan_of(Scene({f"{HTTP}/rules/third": None, f"{HTTP}/rules/fourth": None}, have={**SWAPPED, **behind})).steps


def test_a_zone_that_a_load_balancer_leaves_is_a_gap_and_cross_zone_is_the_way() -> None:
    third = {"cidr_block": "10.0.3.0/24", "availability_zone": "c"}
    have = {
        "subnets/public-c": third,
        "route_tables/public/subnets": ["public-a", "public-b", "public-c"],
        "load_balancers/public/subnets": ["public-a", "public-b", "public-c"],
        "instances/web/subnets": ["public-a", "public-b", "public-c"],
        "instances/web/count": 3,
    }
    off = {"target_groups/web/attributes/load_balancing.cross_zone.enabled": False}
    on = dict.fromkeys(off, True)
    want = {
        "load_balancers/public/subnets": ["public-a", "public-b"],
        "instances/web/subnets": ["public-a", "public-b"],
    }
    with pytest.raises(
        RefusedError, match="make it with cross-zone load balancing on, and switch that off in a second apply; or"
    ):
        plan_of(Scene(want, have={**have, **off}))
    assert plan_of(Scene({**want, **on}, have={**have, **off})).steps
    assert plan_of(Scene(off, have={**have, **want, **on})).steps
