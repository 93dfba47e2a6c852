"""Healthy targets that must stay, whatever the state from which a change begins."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.steps import Deregister
from alb_reconcile.sandbox.strict.world import World as Place
from alb_reconcile.sandbox.traffic.reach import find_shut_out
from tests.harness import Spec, World, world
from tests.plan import targets
from tests.plan.targets import GROUP, before_each, deregister, fall_ill, foreign, healthy, ids, turned, watched, web

if TYPE_CHECKING:
    pass


def test_a_roll_ends_though_one_of_the_old_targets_is_unhealthy(here: World) -> None:
    before = web(3, "one")
    here.converge(before)
    known = fall_ill(here, before, "web-2")
    assert healthy(here, known[str(GROUP)]) == 2
    result = here.converge(web(3, "two"))
    assert healthy(here, known[str(GROUP)]) == 3
    first = next(step.address.name for step in result.plan.steps if step.action == "replace")
    assert first == "web-2", "what doesn't serve is replaced first"
    effects = [text for step in result.plan.steps for text in step.effects]
    assert "target_group.web keeps 2 healthy targets" in effects
    assert "target_group.web: 2 of 3 targets are healthy now" in effects


def test_a_plan_counts_the_targets_that_there_are_and_warns_of_nothing_that_is_so_already(here: World) -> None:
    here.converge(web(2, "one"))

    def about_health() -> set[str]:
        effects = {text for step in here.plan(web(3, "two")).steps for text in step.effects}
        return {text for text in effects if "healthy" in text}

    assert about_health() == {"target_group.web keeps 2 healthy targets"}
    fall_ill(here, web(2, "one"), "web-1", "web-2")
    assert about_health() == {
        "target_group.web: 0 of 2 targets are healthy now",
        "5 instances of web for a while: none of its targets is healthy, so all are replaced at once",
    }


def test_a_target_that_turns_unhealthy_during_a_roll_is_named_and_replaced_first_by_the_next_run(here: World) -> None:
    before, after = (web(3, version, health_timeout="2m") for version in ("one", "two"))
    here.converge(before)
    known = ids(here, before)
    group, instance = known[str(GROUP)], known["instance.web-3"]
    before_each(here, lambda *_: here.strict.set_target_unhealthy(group, instance), "run_instances")
    failures = here.apply(after, timeout=60).failures
    assert any("waited 120 s for: 3 other healthy targets" in text for text in failures), failures
    told = f"{instance}:80 is unhealthy, Target.ResponseCodeMismatch. If it is to be replaced, run again"
    assert any(told in text for text in failures), failures
    here.converge(after)


def test_a_roll_ends_though_a_target_was_deregistered(here: World) -> None:
    before = web(3, "one")
    here.converge(before)
    known = ids(here, before)
    deregister(here, known[str(GROUP)], known["instance.web-2"])
    here.converge(web(3, "two"))


def test_targets_that_are_still_being_checked_count_as_those_that_must_stay(here: World) -> None:
    before = web(3, "one")
    here.apply(before, timeout=1)
    group = ids(here, before)[str(GROUP)]
    assert healthy(here, group) < 3, "a roll begins before the first instances have been checked"
    steps = here.plan(web(3, "two")).steps
    kept = {step.detail(Deregister).least for step in steps if step.action == "delete" and step.part_of}
    assert kept - {None} == {3}


@pytest.mark.slow
def test_what_the_spec_says_of_healthy_targets_holds_though_fewer_serve(here: World) -> None:
    before = web(3, "one", health_timeout="2m")
    before["target_groups"]["web"]["min_healthy"] = 3
    here.converge(before)
    known = fall_ill(here, before, "web-1")
    after = copy.deepcopy(before)
    after["target_groups"]["web"]["port"] = 8080
    here.strict.health = lambda group, instance, _: (
        "unhealthy" if group != known[str(GROUP)] and instance == known["instance.web-1"] else None
    )
    here.apply(after, timeout=60)
    failures = here.apply(after, timeout=60).failures
    assert any("has 2 healthy targets, and needs 3" in text for text in failures), failures


@pytest.mark.parametrize(("count", "state", "least"), [(2, "running", 3), (2, "stopped", 1)])
def test_a_group_that_can_never_have_enough_targets_is_refused_before_anything_changes(
    here: World, count: int, state: str, least: int
) -> None:
    before = web(2, "one")
    before["instances"]["api"] = {**before["instances"]["web"], "count": count, "state": state}
    before["target_groups"]["api"] = {**before["target_groups"]["web"], "targets": ["api"], "min_healthy": least}
    here.converge(before)
    with pytest.raises(RefusedError, match=rf"^listener.public/http: target_group.api .* {least}"):
        here.apply(turned(before, "api"))
    fall_ill(here, before, "web-1", "web-2")
    here.converge(turned(before, "api"))  # nothing to lose


@pytest.mark.slow
def test_targets_that_others_registered_count_before_a_group_gets_requests(here: World) -> None:
    before = turned(web(2, "one"), web=1, api=0)
    before["target_groups"]["api"] = {
        **before["target_groups"]["web"], "targets": [], "others": "keep", "min_healthy": 1,
    }  # fmt: skip
    here.converge(before)
    known = ids(here, before)
    foreign(here, known["subnet.public-a"], known["target_group.api"])
    here.converge(turned(before, "api"))


@pytest.mark.slow
def test_of_two_groups_the_one_that_serves_survives() -> None:
    for _ in range(4):  # which of them an accident would keep is the suffix's doing
        with world() as here:
            before = web(2, "one")
            here.converge(before)
            serving = ids(here, before)[str(GROUP)]
            after = web(2, "one")
            after["target_groups"]["web"]["protocol"] = "HTTPS"
            here.strict.health = lambda group, *_, serving=serving: None if group == serving else "unhealthy"
            failures = here.apply(after, timeout=60).failures
            assert failures
            assert not any("min_healthy" in text for text in failures), "no advice takes the service down"
            here.converge(before)
            assert ids(here, before)[str(GROUP)] == serving
            assert healthy(here, serving) == 2


@pytest.mark.slow
@pytest.mark.parametrize("is_mended", [True, False])
def test_targets_that_a_step_of_the_run_mends_get_the_time_to_be_healthy_again(here: World, *, is_mended: bool) -> None:
    before = web(3, "one")
    rule = {"protocol": "tcp", "port": 80, "security_group": "load-balancer"}
    before["security_groups"]["web"]["ingress"] = [rule]
    here.converge(before)
    serving = ids(here, before)[str(GROUP)]
    after = copy.deepcopy(before)
    after["target_groups"]["web"]["port"] = 8080

    def health(group: str, *_: Any) -> Any:
        shut = {item[0] for item in find_shut_out(Place(DEFAULT_ACCOUNT_ID, "us-east-1"))}
        return "unhealthy" if group != serving and (group in shut or not is_mended) else None

    here.strict.health = health
    assert here.apply(after, timeout=60, check=False).failures, "it is refused without"
    after["security_groups"]["web"]["ingress"] = [rule, {**rule, "port": 8080}]
    low = watched(here)
    began = here.clock.now()
    failures = here.apply(after, timeout=60).failures
    assert min(low) == 3
    if is_mended:
        assert not failures
        assert here.plan(after).is_empty
    else:
        assert any("has 0 healthy targets, and needs 3" in text for text in failures), failures
        assert here.clock.now() - began < 120, "a check every 10 s, two of them, and what AWS takes to show it"


def test_health_timeout_holds_where_a_target_leaves(here: World) -> None:
    """Where a new group takes over, too: its targets are checked every five minutes, so nothing is known in two."""
    before = web(2, "one", health_timeout="2m")
    before["target_groups"]["web"]["health_check"]["interval_seconds"] = 300
    here.converge(before)
    after = copy.deepcopy(before)
    after["target_groups"]["web"]["port"] = 8080
    began = here.clock.now()
    assert here.apply(after, timeout=60).failures
    assert here.clock.now() - began < 300


def test_health_timeout_holds_where_a_group_gets_more(here: World) -> None:
    spec = turned(web(2, "one", health_timeout="2m"), web=1, other=0)
    spec["instances"]["other"] = dict(spec["instances"]["web"])
    slow = spec["target_groups"]["web"]["health_check"] | {"interval_seconds": 300}
    spec["target_groups"]["other"] = spec["target_groups"]["web"] | {"targets": ["other"], "health_check": slow}
    here.converge(spec)
    known = ids(here, spec)
    group, instance = known["target_group.other"], known["instance.other-1"]
    deregister(here, group, instance)
    again = {"TargetGroupArn": group, "Targets": [{"Id": instance, "Port": 80}]}
    here.client("elbv2").register_targets(**again)  # which isn't checked for five minutes
    failures = here.apply(turned(spec, web=1, other=1), timeout=1).failures
    assert any("waited 120 s for: 2 healthy targets in " in text for text in failures)


def test_a_group_that_sticky_clients_still_reach_is_guarded(here: World) -> None:
    spec = turned(web(2, "one"), web=0, other=1)
    spec["instances"]["other"] = dict(spec["instances"]["web"])
    spec["target_groups"]["other"] = spec["target_groups"]["web"] | {"targets": ["other"]}
    targets.listener(spec)["default_action"]["forward"]["stickiness"] = {"enabled": True, "duration_seconds": 300}
    here.converge(spec)
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api two\n"
    plan = here.plan(spec)
    leaving = [step for step in plan.steps if step.address.kind == "registration" and step.action == "delete"]
    assert leaving
    assert all(any("keeps" in text for text in step.effects) for step in leaving)


@pytest.mark.parametrize("path", [{"path": "/new"}, {"port": 8080}])
def test_a_health_check_that_old_targets_fail_comes_with_a_group_of_its_own(here: World, path: Spec) -> None:
    before = web(2, "one")
    here.converge(before)
    old = ids(here, before)[str(GROUP)]
    after = web(2, "two")
    after["target_groups"]["web"]["health_check"] |= path
    known = set(ids(here, before).values())

    def health(group: str, instance: str, _: int) -> Any:
        return "unhealthy" if (instance in known) == (group != old) else None

    here.strict.health = health
    low = watched(here)
    here.converge(after, allow={"replace": 9})
    assert min(low) >= 2
    assert ids(here, after)[str(GROUP)] != old


@pytest.mark.parametrize("change", ["in-place", "replace"])
def test_an_instance_settles_before_it_is_stopped(here: World, change: str) -> None:
    before = web(2, "one", max_unavailable=1, settle="30s")
    before["instances"]["web"]["type_change"] = change
    before["target_groups"]["web"]["attributes"]["deregistration_delay.timeout_seconds"] = 0
    here.converge(before)
    after = copy.deepcopy(before)
    after["instances"]["web"]["instance_type"] = "t3.small"
    left, stopped = list[float](), list[float]()
    before_each(here, lambda *_: left.append(here.clock.now()), "deregister_targets")
    before_each(here, lambda *_: stopped.append(here.clock.now()), "stop_instances", "terminate_instances")
    here.converge(after)
    assert len(left) == len(stopped) > 0
    assert all(end - begin >= 30 for begin, end in zip(left, stopped, strict=True))


def test_a_new_target_must_stay_healthy_before_an_old_one_leaves(here: World) -> None:
    """A version that gets unhealthy after 40 seconds: with all replaced at once nothing of the old one would be left."""
    before = web(2, "one", max_surge=2, min_ready="2m")
    here.converge(before)
    known = set(ids(here, before).values())
    group = ids(here, before)[str(GROUP)]
    since: dict[str, float] = {}

    def health(_: str, instance: str, __: int) -> Any:
        now = here.clock.now()
        return "unhealthy" if instance not in known and now - since.setdefault(instance, now) > 60 else None

    here.strict.health = health
    began = here.clock.now()
    failures = here.apply(web(2, "two", max_surge=2, min_ready="2m"), timeout=60).failures
    assert any("was healthy and isn't any more" in text for text in failures)
    assert here.clock.now() - began < 600
    assert healthy(here, group) >= 2


def test_a_group_takes_over_with_the_targets_that_were_unhealthy_before(here: World) -> None:
    """As many as serve now are enough, where the others were asked and don't pass; the rest of the run is done."""
    before = web(3, "one")
    here.converge(before)
    known = fall_ill(here, before, "web-1")
    here.strict.health = lambda _, instance, __: "unhealthy" if instance == known["instance.web-1"] else None
    after = copy.deepcopy(before)
    after["target_groups"]["web"]["health_check"]["path"] = "/new"
    low = watched(here)
    result = here.apply(after, allow={"replace": 9})
    assert min(low) == 2
    assert ids(here, after)[str(GROUP)] != known[str(GROUP)]
    assert not result.failures
    assert result.rest is not None
    assert result.rest.is_empty
    assert len(result.problems) == 1


def test_a_large_group_rolls_by_quarters_and_needs_no_word(here: World) -> None:
    before, after = (web(12, version, settle="0s", min_ready="0s") for version in ("one", "two"))
    here.converge(before)
    low = watched(here)
    result = here.converge(after)
    assert min(low) == 12
    assert result.writes["terminate_instances"] == 4
