"""What must wait for what, so that no request meets a gap: read off the plans of single changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.instance import Instance
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.steps import Shift
from tests.harness import demo
from tests.plan.stacks import Account, base, plan_for
from tests.plan.targets import rule
from tests.plan.test_cases import plan_of

if TYPE_CHECKING:
    from alb_reconcile.model.plan import Plan

HTTP = "load_balancers/public/listeners/http"


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


def test_a_roll_of_all_instances_is_no_damage_that_needs_the_users_word() -> None:
    plan = plan_of({"have": {"instances/web/count": 10}, "want": {"instances/web/instance_type": "t3.small"}})
    assert sum(step.action == "replace" and step.address.kind == "instance" for step in plan.steps) == 10


def test_rules_and_listeners_that_go_with_their_load_balancer_count_as_deleted() -> None:
    rules = {f"r{number}": rule(number, f"/{number}", "web") for number in range(1, 21)}
    with pytest.raises(RefusedError, match="more than half"):
        plan_of({"have": {"load_balancers/public/listeners/http/rules": rules}, "want": {"load_balancers": None}})


def test_what_matches_the_spec_survives_of_two_at_one_address() -> None:
    account = Account(base())
    account.copies([{"of": "route_table.public", "id": "rtb-000", "set": {"routes": [], "subnets": []}}])
    plan = plan_for(base(), account.discovery())
    assert [(step.action, step.id) for step in plan.steps] == [("delete", "rtb-000")]


def test_what_replaces_an_instance_is_in_its_subnet() -> None:
    """Though its group may be in another one as well, in which there are fewer."""
    wanted = {"instances/web/subnets": ["public-a", "public-b"], "instances/web/instance_type": "t3.small"}
    plan = plan_of({"have": {"instances/web/count": 3, "instances/web/subnets": ["public-a"]}, "want": wanted})
    made = [step.state for step in plan.steps if step.address.kind == "instance"]
    assert {state.subnets for state in made if isinstance(state, Instance)} == {("subnet-public-a",)}


def test_a_group_without_targets_is_not_checked_before_it_gets_requests() -> None:
    """Others fill it: there is nothing to wait for."""
    turn = {"load_balancers/public/listeners/http/default_action": {"forward": "theirs"}}
    theirs = {"target_groups/theirs": {"protocol": "HTTP", "port": 80}}
    plan = plan_of({"have": theirs, "want": turn, "allow": {"close": 1, "gap": 1}})
    assert [step.key.partition("@")[0] for step in plan.steps] == ["update:listener.public/http"]


def needed(wanted: dict[str, Any], key: str, *groups: str, **have: Any) -> dict[str, int]:
    """How many healthy targets each group needs before that step: of `web` there are three instances, of `old` two, and of `api` four."""
    web, group = demo()["instances"]["web"], demo()["target_groups"]["web"]
    there = {"instances/web/count": 3, f"{HTTP}/rules": have.get("rules"), f"{HTTP}/default_action": have.get("action")}
    for name, count in (("old", 2), ("api", 4)):
        there |= {f"instances/{name}": {**web, "count": count}, f"target_groups/{name}": {**group, "targets": [name]}}
    plan = plan_of(
        {"have": {key: value for key, value in there.items() if value}, "want": wanted, "allow": {"gap": 9, "close": 9}}
    )
    (step,) = (step for step in plan.steps if step.key.partition("@")[0] == key)
    return {str(item.group).partition(".")[2]: item.enough for item in step.detail(Shift).awaits}


@pytest.mark.parametrize(("share", "least"), [(2, 2), (3, 4)])
def test_a_group_stands_in_for_a_replaced_one_whose_successor_takes_less(share: int, least: int) -> None:
    """The successor takes a third as well, so that `api` stands in for `old` alone; or a quarter, so that it stands in for both."""

    def forward(**weights: int) -> dict[str, Any]:
        return {
            "forward": {"target_groups": [{"target_group": name, "weight": part} for name, part in weights.items()]}
        }

    wanted = {"target_groups/web/port": 8080, f"{HTTP}/default_action": forward(web=1, api=share)}
    found = needed(wanted, "update:listener.public/http", action=forward(web=1, api=1, old=1))
    assert found == {"web": 3, "api": least}


@pytest.mark.parametrize(("stays", "least"), [(True, 1), (False, 3)])
def test_a_new_rule_needs_what_the_rule_had_that_goes(stays: bool, least: int) -> None:
    """One that keeps other requests keeps its group."""
    both = {**rule(10, "/a", "web"), "conditions": [{"path_pattern": ["/a", "/b"]}]}
    rules = {"one": both, "api": rule(30, "/z", "api")}
    wanted = {"api": rules["api"], "two": rule(20, "/b", "api"), **({"one": rule(10, "/a", "web")} if stays else {})}
    assert needed({f"{HTTP}/rules": wanted}, "create:rule.public/http/two", rules=rules) == {"api": least}


def test_rules_that_go_give_their_places_up_and_each_gets_another() -> None:
    """AWS refuses a priority that two rules have."""
    rules = {"a": rule(10, "/a", "web"), "b": rule(11, "/b", "web")}
    others = {"c": rule(10, "/c", "web"), "d": rule(11, "/d", "web")}
    plan = plan_of(
        {"have": {f"{HTTP}/rules": rules}, "want": {f"{HTTP}/rules": others}, "allow": {"gap": 2, "close": 2}}
    )
    assert [(change.before, change.after) for change in plan.steps[0].changes] == [(10, 12), (11, 13)]
