"""What must wait for what, so that no request meets a gap: read off the plans of single changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.plan.stacks import Account, base, plan_for
from tests.plan.test_cases import plan_of

if TYPE_CHECKING:
    from alb_reconcile.model.plan import Plan


def follows(plan: Plan, later: str, earlier: str) -> bool:
    """Whether one step (by its key without the id) comes after another one in every run."""
    steps = {step.key: step for step in plan.steps}
    found = {key.partition("@")[0]: key for key in steps}
    waiting, seen = [found[later]], set()
    while waiting:
        for key in steps[waiting.pop()].needs:
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    return found[earlier] in seen


def test_a_load_balancer_enters_a_new_group_when_its_rules_are_there() -> None:
    plan = plan_of({"want": {"security_groups/load-balancer/description": "other"}})
    assert follows(plan, "update:load_balancer.public", "replace:security_group_rules.load-balancer")


def test_instances_enter_a_new_group_when_its_rules_are_there() -> None:
    plan = plan_of({"want": {"security_groups/web/description": "other"}})
    assert follows(plan, "update:instance.web-1", "replace:security_group_rules.web")


def test_targets_admit_a_new_front_group_before_the_load_balancer_enters_it_and_the_old_one_until_it_has_left() -> None:
    plan = plan_of({"want": {"security_groups/load-balancer/description": "other"}})
    assert follows(plan, "update:load_balancer.public", "update:security_group_rules.web")
    assert follows(plan, "revoke:security_group_rules.web", "update:load_balancer.public")


def test_a_load_balancer_enters_a_new_subnet_when_its_route_is_there() -> None:
    plan = plan_of({"want": {"subnets/public-a/cidr_block": "10.0.9.0/24"}})
    assert follows(plan, "update:load_balancer.public", "update:route_table.public")


def test_a_new_group_of_targets_is_reachable_before_its_health_is_waited_for() -> None:
    plan = plan_of(
        {
            "want": {
                "target_groups/web/port": 8080,
                "security_groups/web/ingress": [{"protocol": "tcp", "port": 8080, "security_group": "load-balancer"}],
            }
        }
    )
    assert follows(plan, "revoke:security_group_rules.web", "update:listener.public/http")
    assert not follows(plan, "update:security_group_rules.web", "create:registration.web/web-1:8080")


@pytest.mark.parametrize("count", [4, 10])
def test_a_roll_of_all_instances_is_no_damage_that_needs_the_users_word(count: int) -> None:
    plan = plan_of({"have": {"instances/web/count": count}, "want": {"instances/web/instance_type": "t3.small"}})
    assert sum(step.action == "replace" and step.address.kind == "instance" for step in plan.steps) == count


def test_a_roll_that_was_interrupted_keeps_to_its_surge() -> None:
    new = {
        "of": "instance.web-1",
        "id": "i-new",
        "created": "2026-02-02",
        "set": {"instance_type": "t3.small"},
    }
    plan = plan_of({"then": {"copies": [new]}, "want": {"instances/web/instance_type": "t3.small"}})
    assert follows(plan, "replace:instance.web-2", "delete:instance.web-1")


def test_rules_and_listeners_that_go_with_their_load_balancer_count_as_deleted() -> None:
    rules = {
        f"r{number}": {
            "priority": number,
            "conditions": [{"path_pattern": f"/{number}"}],
            "action": {"forward": "web"},
        }
        for number in range(1, 21)
    }
    case: dict[str, Any] = {
        "have": {"load_balancers/public/listeners/http/rules": rules},
        "want": {"load_balancers": None},
    }
    from alb_reconcile.model.errors import RefusedError

    with pytest.raises(RefusedError, match="more than half"):
        plan_of(case)


def test_what_matches_the_spec_survives_of_two_at_one_address() -> None:
    account = Account(base())
    account.copies([{"of": "route_table.public", "id": "rtb-000", "set": {"routes": [], "subnets": []}}])
    plan = plan_for(base(), account.discovery())
    assert [(step.action, step.id) for step in plan.steps] == [("delete", "rtb-000")]
