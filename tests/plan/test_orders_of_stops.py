"""Changes that met a stop or a restart and had no order, and what gives a place up too early: each found by trying what remained."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import PlanError, RefusedError
from alb_reconcile.model.steps import TakeOver
from tests.harness import Spec, demo, load
from tests.plan.stacks import Account, plan_for
from tests.properties.test_gaps import ALLOW, coloured, internal, listener, renamed
from tests.properties.test_ill_starts import handed_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.model.plan import Plan


def planned(before: Spec, after: Spec, **allow: int) -> Plan:
    """The plan from one spec to the other, with the user's word for all but gaps."""
    words = {name: count for name, count in ALLOW.items() if name not in ("close", "gap", "empty-target-group")}
    return plan_for(load(after), Account(load(before)).discovery(), allow=words | {"stop": 9} | allow)


def in_place(spec: Spec) -> Spec:
    """Instances that restart for another type, one missing at a time."""
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    return spec


def restarted(spec: Spec) -> Spec:
    spec["instances"]["web"]["instance_type"] = "t3.small"
    return spec


def other_groups(spec: Spec) -> Spec:
    """Security groups of another description, which replaces them."""
    for name in ("web", "load-balancer"):
        spec["security_groups"][name]["description"] = "other"
    return spec


@pytest.mark.parametrize("change", [other_groups, internal, renamed])
def test_instances_restart_as_their_load_balancer_or_security_group_is_replaced(change: Callable[[Spec], Spec]) -> None:
    before = in_place(demo())
    gaps = {"gap": 1} if change is internal else {}  # the old targets leave before the new load balancer's are healthy
    plan = planned(before, change(restarted(copy.deepcopy(before))), **gaps)
    assert sum("stops the instance" in step.effects for step in plan.steps) == 2, "each stops once"


def test_a_group_is_replaced_and_its_instances_restart_in_two_applies() -> None:
    before = in_place(demo())
    after = restarted(copy.deepcopy(before))
    after["target_groups"]["web"]["port"] = 8080
    with pytest.raises(PlanError, match=r"waits until target_group\.web has enough healthy targets, .* in two steps"):
        planned(before, after)


def test_a_target_stays_where_a_rule_sends_requests_until_that_has_turned() -> None:
    before, after = handed_on("/v2/*", ("api", "web"), "api"), handed_on("/v9/*", ("web", "third"))
    steps = planned(before, after).steps
    (turn,) = (step for step in steps if step.key.startswith("update:rule.public/http/v2@"))
    leaving = [step for step in steps if step.action == "delete" and step.address.name.startswith("api/")]
    assert leaving
    assert all(turn.key in step.needs for step in leaving)


def test_a_new_listener_waits_for_the_routes_of_its_load_balancer() -> None:
    after = internal(demo())
    after["subnets"]["public-c"] = {
        **after["subnets"]["public-a"], "cidr_block": "10.0.3.0/24", "availability_zone": "c",
    }  # fmt: skip
    after["route_tables"]["third"] = {**after["route_tables"]["public"], "subnets": ["public-c"]}
    after["load_balancers"]["public"]["subnets"].append("public-c")
    steps = {step.key.partition("@")[0]: step for step in planned(demo(), after).steps}
    assert "create:route_table.third" in steps["replace:listener.public/http"].needs


def test_an_instance_is_stopped_as_a_rule_gets_a_new_group() -> None:
    before = coloured("web")
    after = coloured("web", new=(10, "/new/*", "blue"))
    for spec in (before, after):
        spec["instances"]["other"] = {**spec["instances"]["web"], "count": 1}
        spec["target_groups"]["web"]["targets"] = ["web", "other"]
    after["instances"]["other"]["state"] = "stopped"
    assert any(step.address.name == "other-1" for step in planned(before, after).steps)


def swapped(spec: Spec) -> Spec:
    """The first of two rules with the same conditions goes behind the other one, and its group is emptied."""
    rules: dict[str, Any] = listener(spec)["rules"]
    rules["one"]["priority"], rules["two"]["priority"] = 30, 10
    spec["target_groups"]["blue"]["targets"] = []
    return spec


def test_of_two_rules_with_the_same_conditions_the_first_one_answers() -> None:
    before = coloured("web", one=(10, "/1/*", "blue"), two=(20, "/1/*", "green"))
    steps = planned(before, swapped(copy.deepcopy(before))).steps
    leaving = [step for step in steps if step.address.name.startswith("blue/")]
    (order,) = (step for step in steps if step.address.kind == "rule_priorities")
    assert leaving
    assert all(order.key in step.needs for step in leaving)


def test_a_load_balancer_whose_group_keeps_its_name_goes_when_the_other_one_is_active() -> None:
    before = demo()
    before["target_groups"]["web"]["name"] = "mine"
    after = internal(copy.deepcopy(before))
    with pytest.raises(RefusedError, match=r"for a moment no listener has it.*--allow gap=1"):
        planned(before, after)
    steps = {step.key.partition("@")[0]: step for step in planned(before, after, gap=1).steps}
    gone, made = steps["delete:load_balancer.public"], steps["replace:load_balancer.public"]
    assert made.key in gone.needs
    assert gone.detail(TakeOver).successors == (gone.address,)
