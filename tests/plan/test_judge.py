"""One rule judges each step by the spec's own numbers, whatever the passes of a plan have written into the step."""

from __future__ import annotations

import copy
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.gate import _growing
from alb_reconcile.engine.needs import Needed, needs
from alb_reconcile.engine.plan.rehearsal import _Counts, find_gaps, find_waits
from alb_reconcile.engine.plan.zero_downtime import capacity
from alb_reconcile.engine.safety import Lack, Safety
from alb_reconcile.engine.world import COMING, UNUSED
from alb_reconcile.engine.world import World as Values
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Change, each_of, with_fields
from alb_reconcile.model.service import Balancer, Member
from tests.harness import Spec, World, demo, load
from tests.plan.stacks import Account, edited, plan_for
from tests.plan.targets import GROUP, before_each, deregister, healthy, ids, listener, rule, stop, turned, watched, web
from tests.properties.test_gaps import ALLOW
from tests.properties.walks import BASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.model.plan import Plan


def slack_doubled(minima: capacity._Minima, group: str) -> int:
    """What `to_keep` would say if twice as many targets might be missing."""
    needed = minima.by_spec(group)
    able = minima.healthy[group] + minima.initial[group]
    return replace(needed, slack=2 * needed.slack + 1).to_keep(able)


MUTANTS: dict[str, Callable[[Any, str], int]] = {
    "number 0": lambda *_: 0,
    "off by one": lambda minima, group: minima.by_spec(group).least - 1,
    "max for min": lambda minima, group: max(minima.by_spec(group).least, minima.healthy[group]) - 2,
    "slack doubled": slack_doubled,
}
"""Mistakes in the pass that tells how many targets stay."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_number_in_a_pass_lets_no_target_leave_too_early(
    here: World, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    """H1: a target falls ill in the middle of a roll, so no other one may leave."""
    before, after = (web(3, version, health_timeout="2m") for version in ("one", "two"))
    here.converge(before)
    known = ids(here, before)
    monkeypatch.setattr(capacity._Minima, "to_keep", MUTANTS[mutant])
    ill = known[str(GROUP)], known["instance.web-3"]
    before_each(here, lambda *_: here.strict.set_target_unhealthy(*ill), "run_instances")
    low = watched(here)
    failures = here.apply(after, timeout=60).failures
    assert any("waited 120 s for: 3 other healthy targets" in text for text in failures), failures
    assert min(low) == 2


def test_a_plan_is_judged_by_the_spec_and_not_by_its_steps(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """H1: with the pass broken, a world without any target was "answered"."""
    here.converge(demo())
    changed = demo()
    changed["instances"]["web"]["instance_type"] = "t3.small"
    monkeypatch.setattr(capacity._Minima, "to_keep", lambda *_: 0)
    plan = here.plan(changed)
    safety = Safety.of(plan)
    assert set(safety.leaving.values()) == {2}
    members = {item.id for item, _ in each_of(plan.live, Member)}
    for left in (0, 1):
        few = Values([item for item in plan.live if item.id not in sorted(members)[left:]])
        assert len(safety.lacks(few)) == 1, f"{left} of 2 targets"
    assert not safety.lacks(Values(plan.live))


def test_each_departure_of_a_roll_is_judged_while_planning() -> None:
    """A plan in which targets leave before their successors come is told as a gap where the spec doesn't let any be missing."""
    first = rolled({"max_surge": 0, "max_unavailable": 1})
    assert find_gaps(first) == []
    wrong = replace(first, desired=rolled({"max_surge": 1}).desired)
    (gap,) = find_gaps(wrong)
    assert find_waits(wrong) == set(), "what a pass has ordered wrongly is refused, and not mended"
    for repairs in (False, True):
        assert _Counts(wrong, Safety.of(wrong), repairs=repairs).are_too_few(gap.begin) is not repairs
    assert "only 1 healthy targets" in gap.text
    assert gap.begin.key.startswith("delete:registration.web/web-1:80")


def rolled(pace: Spec) -> Plan:
    before = web(2, "one", **pace)
    return plan_for(load(web(2, "two", **pace)), Account(load(before)).discovery())


@pytest.mark.parametrize("api_ill", [0, 1])
def test_a_lack_that_a_step_makes_larger_holds_the_step(here: World, api_ill: int) -> None:
    """H8: the rule's own group lacks a target already, and the group that would take its requests has none."""
    before = web(2, "one")
    before["instances"]["api"] = copy.deepcopy(before["instances"]["web"])
    before["target_groups"]["api"] = {**copy.deepcopy(before["target_groups"]["web"]), "targets": ["api"]}
    listener(before)["rules"] = {"api": rule(10, "/api/*", "api")}
    after = copy.deepcopy(before)
    del listener(after)["rules"]
    after["security_groups"]["more"] = {"description": "first step", "ingress": []}
    here.converge(before)
    known, done = ids(here, before), list[int]()
    ill = [("web", "web-1"), ("web", "web-2"), ("api", "api-1")][: 2 + api_ill]

    def fall(*_: Any) -> None:
        if not done:
            done.append(1)
            for group, name in ill:
                here.strict.set_target_unhealthy(known[f"target_group.{group}"], known[f"instance.{name}"])
            here.clock.advance(300)

    before_each(here, fall, "create_security_group")
    failures = here.apply(after, timeout=60, allow={"close": 1}).failures
    assert any("no healthy target" in text for text in failures), failures
    assert "delete_rule" not in [call for call, _ in here.log]
    assert healthy(here, known["target_group.api"]) == 2 - api_ill


def test_a_load_balancer_and_its_successor_are_one_entrance() -> None:
    """H9: a private stack whose VPC is replaced answers nobody for minutes, and no plan told it."""
    before = BASES["private"]()
    after = copy.deepcopy(before)
    after["vpcs"]["main"]["cidr_block"] = "10.9.0.0/16"
    for number, subnet in enumerate(after["subnets"].values()):
        subnet["cidr_block"] = f"10.9.{number}.0/24"
    plan = plan_for(load(after), Account(load(before)).discovery(), check=False)
    (gap,) = find_gaps(plan)
    assert str(gap.begin.key).startswith("delete:load_balancer.public")
    allowed = ALLOW | {"gap": 1}
    assert plan_for(load(after), Account(load(before)).discovery(), allow=allowed).steps


def test_what_a_spec_needs() -> None:
    spec = web(3, "one", max_surge=0, max_unavailable=1)
    spec["target_groups"]["web"]["min_healthy"] = 2
    spec["target_groups"]["none"] = {**spec["target_groups"]["web"], "targets": []}
    desired = load(spec).desired
    found = needs(desired, {GROUP: "arn"})
    assert found["arn"] == Needed(declared=3, slack=1, min_healthy=2)
    assert (found["arn"].least, found["arn"].to_keep(1), found["arn"].to_keep(9)) == (2, 1, 2)
    assert [needed for group, needed in found.items() if group != "arn"] == [Needed(min_healthy=2)]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (Change("state", "stopped", "running"), COMING),
        (Change("state", "running", "stopped"), UNUSED),
        (Change("instance_type", "t3.micro", "t3.small"), COMING),
    ],
)
def test_the_targets_of_an_instance_that_starts_are_checked_anew(here: World, change: Change, status: str) -> None:
    here.converge(demo())
    plan = here.plan({**demo(), "tags": {"some": "tag"}})
    (own,) = [item for item in plan.live if str(item.address) == "instance.web-1"]
    step = Step("update", own.address, own.id, changes=(change,), desired=plan.desired[own.address], state=own.state)
    after = Values(plan.live).after([replace(step, observed=own)])
    found = {str(item.address): item.status for item, _ in each_of(after.items.values(), Member)}
    assert found == {"registration.web/web-1:80": status, "registration.web/web-2:80": "healthy"}


def test_a_lack_is_a_share_of_the_requests() -> None:
    """Half of the requests go to a group that has one of two targets, then none; then nobody gets in."""
    spec = turned(web(2, "one"), web=1, api=1)
    spec["instances"]["api"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["api"] = {**copy.deepcopy(spec["target_groups"]["web"]), "targets": ["api"]}
    plan = plan_for(load({**spec, "tags": {"some": "tag"}}), Account(load(spec)).discovery())
    safety, whole = Safety.of(plan), Values(plan.live)

    def share(*gone: str) -> Fraction | None:
        left = Values([item for item in plan.live if str(item.address) not in gone])
        return next((lack.share for lack in safety.lacks(left).values()), None)

    assert not safety.lacks(whole)
    assert share("registration.web/web-1:80") == Fraction(1, 4)
    assert share("registration.web/web-1:80", "registration.web/web-2:80") == Fraction(1, 2)
    assert share("registration.web/web-1:80", "registration.api/api-1:80") == Fraction(1, 2)
    assert share("listener.public/http") == 1
    (rules,) = [item for item in plan.live if str(item.address) == "security_group_rules.load-balancer"]
    shut = replace(rules, state=with_fields(rules.state, ingress=()))
    assert [lack.share for lack in safety.lacks(Values([*plan.live, shut])).values()] == [1]


def test_an_empty_zone_is_a_share_of_the_requests() -> None:
    spec = web(3, "one")
    spec["target_groups"]["web"]["attributes"] = {"load_balancing.cross_zone.enabled": False}
    plan = plan_for(load({**spec, "tags": {"some": "tag"}}), Account(load(spec)).discovery())
    (lack,) = (
        Safety.of(plan)
        .lacks(Values([item for item in plan.live if str(item.address) != "registration.web/web-2:80"]))
        .values()
    )
    assert lack.share == Fraction(1, 2), "a third of the targets, and one of two zones"


def test_only_a_lack_that_grows_holds_a_step() -> None:
    door: tuple[object, ...] = ("load_balancer.public", "HTTP", 80)
    half, all_of_it = Lack("few", Fraction(1, 2)), Lack("none")
    assert _growing({door: half}, {}) == {door: "few"}
    assert _growing({door: half}, {door: half}) == {}
    assert _growing({door: half}, {door: all_of_it}) == {}
    assert _growing({door: all_of_it}, {door: half}) == {door: "none"}


def test_a_listener_of_others_needs_its_targets_too(here: World) -> None:
    here.converge(demo())
    plan = here.plan({**demo(), "tags": {"some": "tag"}})
    assert Safety.of(replace(plan, desired={})).leaving.keys() == {plan.ids[GROUP]}, (
        "the listener stays, whoever wants it"
    )


def test_a_target_that_rests_is_none_of_those_that_stay(here: World) -> None:
    pace = {"max_surge": 0, "max_unavailable": 1}
    before = web(3, "one", **pace)
    before["instances"]["web"]["state"] = "any"
    after = {**before, "tags": {"some": "tag"}}
    here.converge(before)
    known = ids(here, before)
    stop(here, known["instance.web-3"])
    assert Safety.of(here.plan(after)).leaving == {known[str(GROUP)]: 2}, "it is registered still"
    deregister(here, known[str(GROUP)], known["instance.web-3"])
    assert Safety.of(here.plan(after)).leaving == {known[str(GROUP)]: 1}


def doubled(spec: Spec, *, is_read_first: bool) -> Account:
    """What a killed replacement leaves: a second load balancer at the address, with a listener and targets of its own."""
    found = Account(load(spec))
    (arn,) = (item.id for item in found.resources.values() if item.address.kind == "load_balancer")
    (group,) = (item.id for item in found.resources.values() if item.address == GROUP)
    found.copies([{"of": "load_balancer.public", "id": f"{arn}-2", "created": "2026-01-02 00:00:00+00:00"}])
    found.copies([{"of": str(GROUP), "id": f"{group}-2", "set": {"name": "second"}}])
    for item in [item for item in found.resources.values() if isinstance(item.state, Member)]:
        found.copies([{"of": str(item.address), "set": {"target_group": f"{group}-2"}, "status": "healthy"}])
    (own,) = [item for item in found.resources.values() if item.address.kind == "listener"]
    turned = Action(forward=(Forward(f"{group}-2"),))
    changed = {"load_balancer": f"{arn}-2", "default_action": turned}
    found.copies([{"of": str(own.address), "id": f"{own.id}-2", "set": changed}])
    if is_read_first:
        found.resources = dict(reversed(found.resources.items()))
    return found


CLOSED: dict[str, tuple[str, Any]] = {
    "the port moves": ("load_balancers/public/listeners/http/port", 8080),
    "the listener goes": ("load_balancers/public/listeners", {}),
    "clients are shut out": ("security_groups/load-balancer/ingress", []),
}


@pytest.mark.parametrize("what", CLOSED)
@pytest.mark.parametrize("is_read_first", [True, False])
def test_a_second_load_balancer_at_the_address_hides_no_closure(what: str, *, is_read_first: bool) -> None:
    """The second one answers still, but goes with the plan, so it is no reason to close the first one unasked."""
    account = doubled(demo(), is_read_first=is_read_first)
    path, value = CLOSED[what]
    after = edited(demo(), {path: value})
    words = {"delete": 9, "replace": 9, "replace-load-balancer": 9, "delete-load-balancer": 9}
    with pytest.raises(RefusedError, match="close=1"):
        plan_for(load(after), account.discovery(), allow=words)
    plan = plan_for(load(demo()), account.discovery(), allow=words)
    assert [step.action for step in plan.steps if step.plays(Balancer)] == ["delete"]
    (asked,) = Safety.of(plan).kept
    door, _ = Safety.of(plan).kept[asked]
    assert plan.ids[door.item.address] == door.item.id, "the one that stays"


@pytest.mark.parametrize("is_read_first", [True, False])
def test_a_second_load_balancer_goes_when_the_first_one_answers(*, is_read_first: bool) -> None:
    """The targets of the one that stays are still being checked, and the run waits for them."""
    account = doubled(demo(), is_read_first=is_read_first)
    for key, item in list(account.resources.items()):
        if isinstance(item.state, Member) and not str(item.state.target_group).endswith("-2"):
            account.resources[key] = replace(item, status="initial")
    plan = plan_for(load(demo()), account.discovery(), check=False)
    ((door, _),) = Safety.of(plan).kept.values()
    assert door.balancer.endswith("-2")
    assert find_gaps(plan) == []
