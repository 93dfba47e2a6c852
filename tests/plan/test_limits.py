"""The limits of one run: each just kept and just exceeded, allowed once, over a part of a plan, and of two policies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.plan.limits import find_damage, find_forbidden
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.policy import Policy, Window
from tests.plan.stacks import Account, base, plan_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.model.plan import Plan

TUESDAY = datetime(2026, 3, 31, 12, 0, 30, tzinfo=UTC)
NIGHTS = Policy(calendars=((Window(start=22 * 60, end=4 * 60),),))
FOUR = {"instances/web/count": 4}
FROM_INSIDE = {"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/8"}
ROLL = {"instances/web/instance_type": "t3.large"}
"""Replaces all instances, and each is healthy behind the load balancer before an old one leaves."""
TYPE = {**ROLL, "instances/web/rollout": {"max_unavailable": 1}}
"""Replaces both instances, of 12 resources with tags, while one may be missing."""
NO_ENTRANCE = {"load_balancers": None}
"""Deletes the load balancer, with a listener and maybe rules."""
RULE = {
    "load_balancers/public/listeners/http/rules": {
        "api": {"priority": 1, "conditions": [{"path_pattern": "/api"}], "action": {"forward": "web"}}
    }
}


def plan(
    *,
    have: Mapping[str, Any] | None = None,
    want: Mapping[str, Any] | None = None,
    then: Mapping[str, Any] | None = None,
    **options: Any,
) -> Plan:
    """The plan from one demo, with things done by hand to it, to another."""
    account, wanted = Account(base(have)), base(have, want)
    for how, what in (then or {}).items():
        getattr(account, how)(what)
    # what becomes of an entrance has a limit of its own
    options = {"now": TUESDAY, **options, "allow": {"delete-load-balancer": 1, **options.get("allow", {})}}
    return plan_for(wanted, account.discovery(), **options)


def refusal(**case: Any) -> str:
    """What such a plan is refused with."""
    with pytest.raises(RefusedError) as caught:
        plan(**case)
    return str(caught.value)


@pytest.mark.parametrize(
    ("case", "kept", "exceeded", "told", "allow"),
    [
        (
            {"have": FOUR, "want": {"instances/web/count": 2}},
            Policy(max_deletions=2),
            Policy(max_deletions=1),
            "max_deletions is 1, and the plan has 2; allow it once with --allow delete=2",
            {"delete": 2},
        ),
        (  # what AWS deletes along with something else is counted
            {"have": RULE, "want": NO_ENTRANCE},
            Policy(max_deletions=3),
            Policy(max_deletions=2),
            "max_deletions is 2, and the plan has 3; allow it once with --allow delete=3",
            {"delete": 3},
        ),
        (
            {"want": TYPE},
            Policy(max_replacements=2),
            Policy(max_replacements=1),
            "max_replacements is 1, and the plan has 2; allow it once with --allow replace=2",
            {"replace": 2},
        ),
        (
            {"want": TYPE},
            Policy(max_touched=17),
            Policy(max_touched=16),
            "max_touched is 16%, and the plan changes, replaces or deletes 2 of the stack's 12 resources; allow it once with --allow touch=2",
            {"touch": 2},
        ),
        (
            {"want": {"security_groups/web/ingress": [FROM_INSIDE], "tags/service": "other"}},
            Policy(max_touched=100),
            Policy(max_touched=99),
            "max_touched is 99%, and the plan changes, replaces or deletes 12 of the stack's 12 resources; allow it once with --allow touch=12",
            {"touch": 12},
        ),
        (  # share, where a member without tags counts as its entry
            {"want": {"security_groups/web/ingress": [FROM_INSIDE]}},
            Policy(max_touched=9),
            Policy(max_touched=8),
            "the plan changes, replaces or deletes 1 of the stack's 12 resources",
            {"touch": 1},
        ),
        (  # kinds that are never deleted, replaced
            {"want": TYPE},
            Policy(never_delete=frozenset({"vpc", "target_group"})),
            Policy(never_delete=frozenset({"instance"})),
            "instance.web-1 (i-web-1) would be replaced, and never_delete names instance; allow it once with --allow never-delete=2",
            {"never-delete": 2},
        ),
        (  # kinds that are never deleted, taken along
            {"have": RULE, "want": NO_ENTRANCE},
            Policy(never_delete=frozenset({"target_group"})),
            Policy(never_delete=frozenset({"rule"})),
            "would be deleted with load_balancer.public, and never_delete names rule; allow it once with --allow never-delete=1",
            {"never-delete": 1},
        ),
        (  # a destroy means everything, but not those kinds
            {"destroy": True},
            Policy(max_deletions=0, max_touched=0),
            Policy(never_delete=frozenset({"vpc"})),
            "vpc.main (vpc-main) would be deleted, and never_delete names vpc; allow it once with --allow never-delete=1",
            {"never-delete": 1},
        ),
        (
            {"want": TYPE},
            Policy(calendars=((Window(start=12 * 60, end=13 * 60),),)),
            NIGHTS,
            "it is outside the policy's windows (Tue 2026-03-31 12:00 UTC); changes are refused until Tue 2026-03-31 22:00 UTC; allow it once with --allow any-time",
            {"any-time": 1},
        ),
        (
            {"destroy": True},
            Policy(calendars=((Window(start=12 * 60, end=13 * 60),),)),
            NIGHTS,
            "changes are refused until Tue 2026-03-31 22:00 UTC; allow it once with --allow any-time",
            {"any-time": 1},
        ),
    ],
)
def test_a_limit_holds_and_can_be_lifted_once(
    case: dict[str, Any], kept: Policy, exceeded: Policy, told: str, allow: dict[str, int]
) -> None:
    made = plan(**case, policy=kept)
    assert not made.is_empty
    assert told in refusal(**case, policy=exceeded)
    assert plan(**case, policy=exceeded, allow=allow).steps == made.steps
    assert plan(**case, policy=kept, allow=dict.fromkeys(allow, 0)).steps, "what is allowed once lowers no limit"
    less = {key: count - 1 for key, count in allow.items()}
    assert told in refusal(**case, policy=exceeded, allow=less)


NOTHING = Policy(max_deletions=0, max_replacements=0, max_touched=0)


def many(count: int, **more: Any) -> dict[str, Any]:
    """The demo with so many instances."""
    return {"instances/web/count": count, **more}


@pytest.mark.parametrize("count", [2, 12, 100])
@pytest.mark.parametrize("surge", [1, 100])
def test_a_roll_that_keeps_capacity_is_no_damage(count: int, surge: int) -> None:
    have = many(count, **{"instances/web/rollout": {"max_surge": surge}})
    made = plan(have=have, want=ROLL, policy=NOTHING)
    assert sum(step.action == "replace" and step.address.kind == "instance" for step in made.steps) == count
    assert not find_damage(made, made.steps, NOTHING, {}, TUESDAY)


def test_what_is_deleted_or_changed_beside_such_a_roll_counts() -> None:
    want = {**ROLL, "instances/web/count": 12, "target_groups/web/health_check": {"interval_seconds": 7}}
    told = refusal(have=many(14), want=want, policy=NOTHING).splitlines()
    assert told == [
        "max_deletions is 0, and the plan has 2; allow it once with --allow delete=2",
        "max_touched is 0%, and the plan changes, replaces or deletes 3 of the stack's 24 resources; allow it once with --allow touch=3",
        "would be deleted: instance.web-13, instance.web-14",
        "limits don't count targets and security group rules, which are part of their group",
        "nor 12 resources replaced behind the load balancer, where as many targets stay healthy",
    ]


def test_kinds_that_are_never_deleted_are_not_rolled_either() -> None:
    told = refusal(have=many(12), want=ROLL, policy=Policy(never_delete=frozenset({"instance"})))
    assert "allow it once with --allow never-delete=12" in told


OTHER = {"target_groups/other": {"protocol": "HTTP", "port": 81, "targets": ["web"]}}
TO_OTHER = {
    "load_balancers/public/listeners/http/rules": {
        "other": {"priority": 1, "conditions": [{"path_pattern": "/other"}], "action": {"forward": "other"}}
    }
}
MISSING = {"instances/web/rollout": {"max_unavailable": 1}}
API = {
    "instances/api": {"image_id": "ami-0123456789abcdef0", "instance_type": "t3.micro", "subnets": ["public-a"], "rollout": {"max_unavailable": 1}},
    "target_groups/web/targets": ["web", "api"],
}  # fmt: skip
NETWORK = {
    "vpcs/main/cidr_block": "10.1.0.0/16",
    "subnets/public-a/cidr_block": "10.1.1.0/24",
    "subnets/public-b/cidr_block": "10.1.2.0/24",
}
ALL_ILL = {"status": {f"registration.web/web-{number}:80": "unhealthy" for number in range(1, 13)}}
SOME_ILL = {"status": {f"registration.web/web-{number}:80": "unhealthy" for number in range(1, 12)}}


@pytest.mark.parametrize(
    ("case", "counted"),
    [
        pytest.param({}, 0, id="in a group that gets requests"),
        pytest.param({"have": {**OTHER, **TO_OTHER}}, 0, id="in two groups that get requests"),
        pytest.param({"then": SOME_ILL}, 0, id="one is healthy, which stays"),
        pytest.param({"want": MISSING}, 12, id="one may be missing"),
        pytest.param({"want": {"instances/web/rollout": {"max_surge": 0, "max_unavailable": 12}}}, 12, id="in a gap"),
        pytest.param({"have": API}, 12, id="one of another entry in the group may be missing"),
        pytest.param({"then": ALL_ILL}, 12, id="none is healthy"),
        pytest.param({"have": {"target_groups/web/targets": []}}, 12, id="in no group"),
        pytest.param({"want": {"target_groups/web/targets": []}}, 12, id="out of the group"),
        pytest.param({"have": OTHER}, 12, id="in another group, too, that gets no requests"),
        pytest.param({"have": {"load_balancers/public/listeners": {}}}, 12, id="without a listener"),
        pytest.param(
            {"want": {"target_groups/web/targets": [{"instances": "web", "port": 81}]}}, 0, id="on another port"
        ),
        pytest.param({"want": {"target_groups/web/port": 8080}}, 1, id="with their group"),
        pytest.param({"want": {"target_groups/web/health_check": {"path": "/new"}}}, 1, id="with their group's check"),
        pytest.param({"have": {**OTHER, **TO_OTHER}, "want": {"target_groups/other/port": 82}}, 1, id="with one group"),
        pytest.param({"want": {"target_groups/web/port": 8080, **MISSING}}, 13, id="with their group, one may be missing"),
        pytest.param({"want": {"target_groups/web/port": 8080, "target_groups/web/min_healthy": 1}}, 13, id="with their group, of which one is enough"),
        pytest.param({"then": ALL_ILL, "want": {"target_groups/web/port": 8080}}, 13, id="with their group, none is healthy"),
        pytest.param({"have": OTHER, "want": {"target_groups/other/port": 82}}, 13, id="with a group that gets no requests"),
    ],
)  # fmt: skip
def test_replacements_count_unless_their_groups_keep_all_healthy_targets(case: dict[str, Any], counted: int) -> None:
    want = {**ROLL, **case.get("want", {})}
    made = plan(have=many(12, **case.get("have", {})), want=want, then=case.get("then"), check=False)
    told = find_damage(made, made.steps, Policy(max_replacements=0), {}, TUESDAY)
    assert sum(step.action == "replace" and step.address.kind == "instance" for step in made.steps) == 12
    assert (f"max_replacements is 0, and the plan has {counted};" in told) is bool(counted), told
    assert ("are more than half of the stack's" in told) is (counted > 11), told


@pytest.mark.parametrize(
    ("want", "told"),
    [
        (NETWORK, "more than half"),
        ({"load_balancers/public/scheme": "internal"}, "--allow replace-load-balancer=1"),
        ({"instances": None, "target_groups/web/targets": []}, "--allow delete=12"),
    ],
)
def test_a_roll_hides_no_damage_beside_it(want: dict[str, Any], told: str) -> None:
    beside = {} if "instances" in want else ROLL
    made = plan(have=many(12), want={**beside, **want}, check=False)
    assert told in find_damage(made, made.steps, Policy(), {}, TUESDAY)


def test_everything_that_is_exceeded_is_told_at_once() -> None:
    never = frozenset({"instance"})
    policy = Policy(max_replacements=0, max_touched=0, never_delete=never, calendars=NIGHTS.calendars)
    lines = refusal(want=TYPE, policy=policy).splitlines()
    words = [*dict.fromkeys(line.partition("--allow ")[2] for line in lines if "--allow" in line)]
    assert words == ["never-delete=2", "replace=2", "touch=2", "any-time"]
    assert "would be replaced: instance.web-1, instance.web-2" in lines


def test_a_plan_without_steps_may_be_made_at_any_time() -> None:
    assert plan(policy=Policy(max_touched=0, calendars=NIGHTS.calendars)).is_empty


def test_windows_that_are_never_open_together() -> None:
    mondays, fridays = Window(days=frozenset({0})), Window(days=frozenset({4}))
    told = refusal(want=TYPE, policy=Policy(calendars=((mondays,), (fridays,))))
    assert "changes are refused at any time: no moment of the next two weeks is in all of them" in told


def test_of_two_policies_the_stricter_counts() -> None:
    one = Policy(max_deletions=3, max_touched=40, never_delete=frozenset({"vpc"}), calendars=NIGHTS.calendars)
    other = Policy(max_deletions=5, max_replacements=2, max_touched=30, never_delete=frozenset({"subnet"}))
    both = Policy(
        max_deletions=3, max_replacements=2, max_touched=30, never_delete=frozenset({"vpc", "subnet"}),
        calendars=NIGHTS.calendars,
    )  # fmt: skip
    assert one.tighten(other) == other.tighten(one) == both
    assert Policy().tighten(one) == one
    late = Policy(calendars=((Window(start=23 * 60),),))
    assert "until Tue 2026-03-31 23:00 UTC" in refusal(want=TYPE, policy=NIGHTS.tighten(late))


def test_the_second_of_two_at_an_address_counts_as_no_loss_but_is_kept_by_its_kind() -> None:
    """An interrupted replacement leaves it behind, and whoever cleans up must not need anybody's word for it."""
    case: dict[str, Any] = {"then": {"copies": [{"of": "instance.web-1", "id": "i-old", "created": "2026-01-02"}]}}
    assert plan(**case, policy=Policy(max_deletions=0, max_touched=0)).count()["delete"] == 1
    assert "never-delete=1" in refusal(**case, policy=Policy(never_delete=frozenset({"instance"})))


def test_what_is_on_its_way_out_already_is_not_what_a_run_deletes() -> None:
    case: dict[str, Any] = {
        "have": {"instances/web/count": 1},
        "then": {"status": {"instance.web-1": "shutting-down"}},
    }
    made = plan(**case, destroy=True, policy=Policy(never_delete=frozenset({"instance"})))
    assert "instance.web-1" in {str(step.address) for step in made.steps}


def test_a_part_of_a_plan_is_measured_by_itself() -> None:
    """As where a run withholds steps and carries out the others."""
    made = plan(want=TYPE, check=False)
    policy = Policy(max_replacements=1)
    one = [step for step in made.steps if "web-1" in step.address.name]
    assert not find_damage(made, one, policy, {}, TUESDAY)
    assert not find_damage(made, (), NIGHTS, {}, TUESDAY)
    assert "max_replacements is 1, and the plan has 2" in find_damage(made, made.steps, policy, {}, TUESDAY)
    old = [step for step in one if step.action == "delete" and step.address.kind == "instance"]
    assert "max_deletions is 0, and the plan has 1" in find_damage(made, old, Policy(max_deletions=0), {}, TUESDAY)


def test_more_than_half_of_the_stack_in_part_of_a_plan() -> None:
    want = dict.fromkeys(("load_balancers", "instances", "target_groups", "security_groups"))
    made = plan(want=want, check=False)
    few = [step for step in made.steps if step.address.kind in ("load_balancer", "instance")]
    entrance = {"delete-load-balancer": 1}
    assert not find_damage(made, few, Policy(), entrance, TUESDAY)
    assert "7 deletions are more than half" in find_damage(made, made.steps, Policy(), entrance, TUESDAY)


def protected(policy: Policy | None = None, **case: Any) -> dict[str, str]:
    """Which steps of such a plan must not be done, without ids, and why."""
    found = find_forbidden(plan(**case, check=False), policy or Policy())
    return {key.partition("@")[0]: text for key, text in found.items()}


def test_whatever_takes_along_what_is_protected_is_withheld() -> None:
    rule = {**RULE["load_balancers/public/listeners/http/rules"]["api"], "prevent_destroy": True}
    have = {"load_balancers/public/listeners/http/rules": {"api": rule}}
    found = protected(have=have, want=NO_ENTRANCE)
    assert found.keys() == {"delete:load_balancer.public"}
    assert "rule.public/http/api" in found["delete:load_balancer.public"]
    assert "is protected by prevent_destroy" in found["delete:load_balancer.public"]
    found = protected(have=have, want={"load_balancers/public/scheme": "internal"})
    assert found.keys() == {
        "replace:load_balancer.public", "delete:load_balancer.public", "replace:listener.public/http",
        "replace:rule.public/http/api",
    }  # fmt: skip


def test_what_is_never_deleted_is_withheld_step_by_step() -> None:
    found = protected(Policy(never_delete=frozenset({"instance"})), have=FOUR, want={"instances/web/count": 3})
    assert found.keys() == {"delete:instance.web-4"}
    assert protected(Policy(never_delete=frozenset({"vpc"})), want=TYPE) == {}


@pytest.mark.parametrize(
    ("want", "is_told"),
    [
        ({"instances/web/count": 1, "tags/service": "other"}, True),
        ({"tags/service": "other"}, False),
        ({"instances/web/count": 1}, False),
    ],
)
def test_a_spec_under_which_most_of_a_stack_changes_and_some_goes(want: dict[str, Any], *, is_told: bool) -> None:
    """As if it were another stack's: the sample of `init`, say, in a folder of that name."""
    told = "12 of the stack's 12 resources would be changed, replaced or deleted: make sure that this is its spec"
    assert (told in plan(want=want).warnings) is is_told
