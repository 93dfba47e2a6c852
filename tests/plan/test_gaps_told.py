"""What is said of a gap on the way: the steps that shut and open, for how long, and how to do without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alb_reconcile.engine.plan.gaps import tell_gap
from alb_reconcile.engine.plan.rehearsal import find_gaps
from alb_reconcile.model.errors import RefusedError
from tests.doors.scenes import HTTP, TWO_RULES, Scene, rule
from tests.doors.test_scenes import plan_of

SWAP = {f"{HTTP}/rules/one": rule(1, "/two", "web"), f"{HTTP}/rules/two": rule(2, "/one", "api")}


def test_what_can_come_first_alone_is_advised_by_name() -> None:
    """A renamed rule, as if nothing ordered the steps."""
    plan = plan_of(
        Scene(
            {f"{HTTP}/rules": {"new": rule(1, "/one", "web")}}, have={f"{HTTP}/rules": {"old": rule(1, "/one", "web")}}
        )
    )
    assert find_gaps(plan) == []
    loose = replace(plan, steps=tuple(replace(step, needs={}, takes=(3, 7), seconds=5) for step in plan.steps))
    (gap,) = find_gaps(loose)
    text = tell_gap(loose, gap)
    steps = 'from "delete rule.public/http/old" until "create rule.public/http/new" is done'
    assert f"for a moment no rule has it, for about 8 to 12 s, {steps}; make it in two applies" in text
    assert 'the first one with "create rule.public/http/new" alone (spec.yaml:' in text


def test_a_pause_before_the_step_that_shuts_is_no_gap() -> None:
    plan = plan_of(Scene(SWAP, have=TWO_RULES), allow={"gap": 1})
    (gap,) = find_gaps(plan)
    late = replace(gap.begin, pause=(60, ""), seconds=gap.begin.seconds + 60)
    steps = tuple(late if step.key == late.key else step for step in plan.steps)
    assert tell_gap(replace(plan, steps=steps), replace(gap, begin=late)) == tell_gap(plan, gap)


def test_rules_that_swap_are_advised_to_have_others_behind_them_and_that_leads_there() -> None:
    with pytest.raises(
        RefusedError, match="first one with another rule for the same conditions, which answers meanwhile; or allow"
    ):
        plan_of(Scene(SWAP, have=TWO_RULES))
    behind = {f"{HTTP}/rules/third": rule(3, "/one", "web"), f"{HTTP}/rules/fourth": rule(4, "/two", "api")}
    assert plan_of(Scene(behind, have=TWO_RULES)).steps
    assert plan_of(Scene(SWAP, have={**TWO_RULES, **behind})).steps
    assert plan_of(
        Scene({f"{HTTP}/rules/third": None, f"{HTTP}/rules/fourth": None}, have={**TWO_RULES, **behind})
    ).steps


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
