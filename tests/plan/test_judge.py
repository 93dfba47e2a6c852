"""One rule judges each step by the spec's own numbers, whatever the passes of a plan have written into the step."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.needs import Needed, needs
from alb_reconcile.engine.plan.rehearsal import find_gaps, find_waits
from alb_reconcile.engine.plan.zero_downtime import capacity
from alb_reconcile.engine.safety import Safety
from alb_reconcile.engine.world import COMING, UNUSED
from alb_reconcile.engine.world import World as Values
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Change, each_of
from alb_reconcile.model.service import Member
from tests.harness import Spec, World, demo, load
from tests.plan.stacks import Account, plan_for
from tests.plan.targets import GROUP, before_each, healthy, ids, listener, rule, watched, web
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


@pytest.mark.parametrize(("to", "status"), [("running", COMING), ("stopped", UNUSED)])
def test_the_targets_of_an_instance_that_starts_are_checked_anew(here: World, to: str, status: str) -> None:
    here.converge(demo())
    plan = here.plan({**demo(), "tags": {"some": "tag"}})
    (server,) = [item for item in plan.live if str(item.address) == "instance.web-1"]
    desired = plan.desired[server.address]
    change = Change("state", "running" if to == "stopped" else "stopped", to)
    step = Step(
        "update", server.address, server.id, changes=(change,), desired=desired, state=server.state, observed=server
    )
    found = {
        str(item.address): item.status for item, _ in each_of(Values(plan.live).after([step]).items.values(), Member)
    }
    assert found == {"registration.web/web-1:80": status, "registration.web/web-2:80": "healthy"}
