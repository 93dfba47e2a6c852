"""Targets that leave a group in the run in which requests turn away from it, or to it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.at_length import SOAK, at_length
from tests.harness import Spec, World, demo, world
from tests.kinds.test_record import prepare
from tests.plan.targets import healthy, ids, parked, watch, web
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def here() -> Iterator[World]:
    """With reads that are ten seconds old."""
    with world(lag=10.0) as found:
        yield found


def turned(spec: Spec, to: str) -> Spec:
    """The same, with all requests for one group."""
    after = copy.deepcopy(spec)
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": to}
    return after


def green(spec: Spec, weight: int | None) -> Spec:
    """With another group and its instances beside it, which the listener gives this weight."""
    other = parked(spec, weight)
    other["target_groups"]["green"]["targets"] = ["green"]
    return other


def emptied(spec: Spec, how: str) -> Spec:
    after = copy.deepcopy(spec)
    entries: dict[str, Any] = {
        "no instances": {"count": 0},
        "fewer instances": {"count": 1},
        "stopped instances": {"state": "stopped"},
    }
    after["instances"]["web"] |= entries.get(how, {})
    if how == "no targets":
        after["target_groups"]["web"]["targets"] = []
    return after


def in_two_groups(
    count: int, unavailable: int = 1, target_type: str = "instance", weights: tuple[int, int] = (1, 1)
) -> Spec:
    """Instances in two target groups, which may be restarted."""
    spec = demo()
    pace = {"max_unavailable": unavailable}
    spec["instances"]["web"] |= {"count": count, "type_change": "in-place", "rollout": pace}
    groups = spec["target_groups"]
    groups["api"] = copy.deepcopy(groups["web"])
    groups["web"]["target_type"] = target_type
    parts = [{"target_group": name, "weight": weight} for name, weight in zip(groups, weights, strict=True)]
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": {"target_groups": parts}}
    return spec


def restarted(spec: Spec, entry: str = "web") -> Spec:
    """The same with instances of another type, for which they are stopped."""
    after = copy.deepcopy(spec)
    after["instances"][entry]["instance_type"] = "t3.small"
    return after


def fall_ill(here: World, group: str, instance: str) -> None:
    here.strict.set_target_unhealthy(group, instance)
    here.clock.advance(300)


def fall_ill_until_started(here: World, group: str, instance: str) -> None:
    fall_ill(here, group, instance)
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "start_instances":
            here.strict.set_target_healthy(group, instance)
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]


def seconds_until_turned(here: World, after: Spec) -> float:
    """How long it takes until the listener is changed."""
    began, real = here.clock.now(), here._call
    when: list[float] = []

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "modify_listener":
            when.append(here.clock.now() - began)
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]
    here.apply(after, check=False)
    return when[0]


HOWS = ["no instances", "fewer instances", "stopped instances", "no targets"]
LEAVING = [(how, start) for how in HOWS for start in ("new", "unchecked", "at weight 0")]


@pytest.mark.parametrize(("how", "start"), LEAVING if SOAK else [LEAVING[4], LEAVING[-3]])
def test_a_group_keeps_its_targets_until_requests_have_turned_away(here: World, how: str, start: str) -> None:
    """Found: they left as the run began, and the other group got the requests when its own were healthy."""
    spec = web(2, "1", max_unavailable=1) if how == "stopped instances" else web(2, "1")
    after = green(spec, None)
    here.converge({"new": spec, "unchecked": after}.get(start, green(spec, 0)))
    low: list[int] = []
    watch(here, low)
    here.converge(emptied(turned(after, "green"), how))
    assert min(low) == 2


def test_a_group_keeps_its_targets_if_requests_can_not_turn_away(here: World) -> None:
    spec = green(web(2, "1"), 0)
    here.converge(spec)
    known = ids(here, spec)
    for number in (1, 2):
        fall_ill(here, known["target_group.green"], known[f"instance.green-{number}"])
    low: list[int] = []
    watch(here, low)
    result = here.apply(emptied(turned(spec, "green"), "no instances"), allow={"delete": 9}, check=False)
    assert any("needs 1" in str(failure) for failure in result.failures)
    assert min(low, default=2) == 2


@pytest.mark.parametrize("unavailable", [0, 1])
def test_targets_that_go_over_to_another_group_leave_theirs_after_the_turn(here: World, unavailable: int) -> None:
    """Found: instances that were replaced as well left their group one after another, and it got the requests until all were there."""
    spec = green(web(2, "1", max_surge=1, max_unavailable=unavailable), 0)
    here.converge(spec)
    after = emptied(turned(spec, "green"), "no targets")
    after["target_groups"]["green"]["targets"] = ["green", "web"]
    here.converge(after)  # as they are
    here.converge(spec)
    after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api 2\n"
    low: list[int] = []
    watch(here, low)
    here.converge(after)
    assert min(low) == 2


def test_a_share_that_shrinks_shrinks_before_the_targets_leave(here: World) -> None:
    spec = green(web(3, "1"), 1)
    here.converge(spec)
    calls: list[str] = []
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        calls.append(operation)
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]
    after = emptied(spec, "fewer instances")
    parts = after["load_balancers"]["public"]["listeners"]["http"]["default_action"]["forward"]["target_groups"]
    parts[1]["weight"] = 9
    here.converge(after)
    assert calls.index("modify_listener") < calls.index("deregister_targets")


@pytest.mark.parametrize("how", ["no instances", *at_length("stopped instances", "no targets")])
def test_a_group_keeps_its_targets_while_those_of_the_other_one_restart(here: World, how: str) -> None:
    pace = {"max_unavailable": 1} if how == "stopped instances" else {}
    spec = green(web(2, "1", **pace), 0)
    here.converge(spec)
    low: list[int] = []
    watch(here, low)
    here.converge(emptied(restarted(turned(spec, "green"), "green"), how))
    assert min(low) >= 1


@pytest.mark.parametrize("target_type", ["instance", *at_length("ip")])
@pytest.mark.parametrize(("count", "unavailable"), [(2, 1), (3, 2), *at_length((1, 1), (2, 2))])
def test_requests_turn_before_the_restarts_that_wait_for_it(
    here: World, count: int, unavailable: int, target_type: str
) -> None:
    """Found: all targets left the group that was to take over, which waited for them, and they for it, until the run failed."""
    spec = in_two_groups(count, unavailable, target_type)
    here.converge(spec)
    after = restarted(turned(spec, "web"))
    del after["target_groups"]["api"]
    here.converge(after)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("weights", [None, *at_length((1, 0), (1, 1))])
def test_restarts_after_requests_have_turned_keep_capacity(
    here: World, count: int, weights: tuple[int, int] | None
) -> None:
    """Found: a target of a group to which nothing had forwarded left before the one before it was healthy again."""
    spec = in_two_groups(count, weights=weights) if weights else turned(in_two_groups(count), "web")
    here.converge(spec)
    after = restarted(turned(spec, "api"))
    del after["target_groups"]["web"]
    low: list[int] = []
    watch(here, low)
    here.converge(after)
    assert min(low) >= count - 1


def test_the_last_healthy_target_stays_after_requests_have_turned(here: World) -> None:
    spec = in_two_groups(1, weights=(1, 0))
    spec["instances"]["other"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["api"]["targets"] = ["web", "other"]
    here.converge(spec)
    known = ids(here, spec)
    fall_ill(here, known["target_group.api"], known["instance.other-1"])
    after = restarted(turned(spec, "api"))
    del after["target_groups"]["web"]
    low: list[int] = []
    watch(here, low)
    here.apply(after, check=False)
    assert min(low) == 1


def test_requests_turn_from_a_target_that_stays_ill(here: World) -> None:
    """No restart is waited for that waits for one who is to be left."""
    spec = in_two_groups(2, weights=(1, 0))
    here.converge(spec)
    known = ids(here, spec)
    fall_ill(here, known["target_group.web"], known["instance.web-2"])
    here.converge(restarted(turned(spec, "api")))


def test_where_nobody_serves_healthy_targets_take_over_at_once(here: World) -> None:
    spec = green(web(2, "1"), 0)
    spec["instances"]["green"]["count"] = 4
    here.converge(spec)
    known = ids(here, spec)
    for number in (1, 2):
        fall_ill(here, known["target_group.web"], known[f"instance.web-{number}"])
    assert seconds_until_turned(here, restarted(turned(spec, "green"), "green")) < 60


def test_where_nobody_serves_the_first_healthy_target_is_waited_for() -> None:
    """Found: the requests turned to a group that nobody had checked yet, when the other one's target had been replaced."""
    spec = green(web(1, "1"), None)
    with world(lag=25) as here:
        here.converge(spec)
        known = ids(here, spec)
        fall_ill(here, known["target_group.web"], known["instance.web-1"])
        after = turned(spec, "green")
        after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
        low: list[int] = []
        real = here._call

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            lag, here.strict.lag = here.strict.lag, 0.0
            if operation == "modify_listener":
                low.append(healthy(here, known["target_group.green"]))
            here.strict.lag = lag
            return real(service, operation, params)

        here._call = call  # type: ignore[method-assign]
        here.converge(after)
    assert low == [0, 1]


def test_where_nobody_serves_nobody_is_waited_for_in_vain(here: World) -> None:
    spec = green(web(1, "1"), 0)
    here.converge(spec)
    known = ids(here, spec)
    fall_ill(here, known["target_group.web"], known["instance.web-1"])
    fall_ill(here, known["target_group.green"], known["instance.green-1"])
    result = here.apply(turned(spec, "green"), check=False)
    assert not result.failures
    assert here.plan(turned(spec, "green")).is_empty


def test_requests_turn_to_targets_that_a_restart_heals(here: World) -> None:
    """What is ill isn't waited for before it is restarted."""
    spec = green(web(1, "1"), 0)
    here.converge(spec)
    known = ids(here, spec)
    group, instance = known["target_group.green"], known["instance.green-1"]
    fall_ill_until_started(here, group, instance)
    here.converge(restarted(turned(spec, "green"), "green"))


def test_a_name_follows_when_its_load_balancer_serves() -> None:
    """Instances that go from one load balancer's group to the other's, and are replaced, leave before the name moves rather than let
    the name move before there is an answer."""
    before = demo()
    web = before["instances"]["web"]
    before["instances"]["other"] = copy.deepcopy(web)
    groups, balancers = before["target_groups"], before["load_balancers"]
    groups["web"]["targets"] = ["web", "other"]
    groups["green"] = {**copy.deepcopy(groups["web"]), "targets": ["other"]}
    balancers["front"] = copy.deepcopy(balancers["public"])
    nobody = {"fixed_response": {"status_code": 503}}
    front = balancers["front"]["listeners"]["http"]
    front["default_action"] = nobody
    trial = {"priority": 1, "conditions": [{"path_pattern": ["/try"]}], "action": {"forward": "green"}}
    front["rules"] = {"try": trial}
    before["records"] = {"api": {"zone": "example.com", "name": "api.example.com", "type": "A", "alias": "public"}}
    after = copy.deepcopy(before)
    after["target_groups"]["web"]["targets"] = ["other"]
    after["target_groups"]["green"]["targets"] = ["other", "web"]
    after["load_balancers"]["front"]["listeners"]["http"]["default_action"] = {"forward": "green"}
    after["load_balancers"]["public"]["listeners"]["http"]["default_action"] = nobody
    after["records"]["api"]["alias"] = "front"
    after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api 2\n"
    calls: list[str] = []
    with watched() as here:
        prepare()
        here.converge(before)
        real = here._call

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            is_front = "/demo-front-" in str(params.get("ListenerArn", ""))
            calls.append(f"{operation} of front" if is_front else operation)
            return real(service, operation, params)

        here._call = call  # type: ignore[method-assign]
        here.converge(after)
    assert calls.index("modify_listener of front") < calls.index("change_resource_record_sets")


def test_an_instance_leaves_none_of_its_groups_before_a_turn_that_fails(here: World) -> None:
    """Found by reading: it left one group at once, and waited with the other one for a turn that failed, so that it came back to neither."""
    spec = in_two_groups(1, weights=(1, 0))
    spec["instances"]["green"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["green"] = {**copy.deepcopy(spec["target_groups"]["web"]), "targets": ["green"]}
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    listener["default_action"] = {"forward": "web"}
    listener["rules"] = {
        "api": {"priority": 1, "conditions": [{"path_pattern": "/api/*"}], "action": {"forward": "api"}}
    }
    here.converge(spec)
    known = ids(here, spec)
    fall_ill(here, known["target_group.green"], known["instance.green-1"])
    after = restarted(spec)
    parts = [{"target_group": name, "weight": 1} for name in ("api", "green")]
    after["load_balancers"]["public"]["listeners"]["http"]["rules"]["api"]["action"] = {
        "forward": {"target_groups": parts}
    }
    here.apply(after, check=False)
    here.clock.advance(300)
    assert healthy(here, known["target_group.web"]) == 1


def test_a_restart_that_heals_is_not_held_up_by_the_turn_that_waits_for_it(here: World) -> None:
    spec = in_two_groups(1, weights=(1, 1))
    here.converge(spec)
    known = ids(here, spec)
    group, instance = known["target_group.api"], known["instance.web-1"]
    fall_ill_until_started(here, group, instance)
    after = restarted(spec)
    parts = after["load_balancers"]["public"]["listeners"]["http"]["default_action"]["forward"]["target_groups"]
    parts[1]["weight"] = 3
    here.converge(after)


@pytest.mark.parametrize(("count", "unavailable"), [(2, 1), *at_length((1, 1), (2, 2))])
def test_nobody_waits_for_restarts_that_empty_the_group_that_serves(here: World, count: int, unavailable: int) -> None:
    """Found by reading: the instances were in both groups, so that those who were to serve meanwhile were restarted as well."""
    spec = in_two_groups(count, unavailable, weights=(1, 0))
    spec["instances"]["other"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 2}
    spec["target_groups"]["api"]["targets"] = ["web", "other"]
    here.converge(spec)
    low: list[int] = []
    watch(here, low)
    here.converge(restarted(turned(spec, "api")))
    assert min(low) >= count


def test_a_group_at_weight_0_serves_nobody_meanwhile(here: World) -> None:
    spec = green(web(1, "1"), None)
    spec["target_groups"]["third"] = copy.deepcopy(spec["target_groups"]["green"])
    spec["instances"]["green"]["count"] = 2
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    parts = [{"target_group": "web", "weight": 1}, {"target_group": "third", "weight": 0}]
    listener["default_action"] = {"forward": {"target_groups": parts}}
    listener["rules"] = {"x": {"priority": 1, "conditions": [{"path_pattern": "/x/*"}], "action": {"forward": "green"}}}
    spec["instances"]["more"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["third"]["targets"] = ["more"]
    here.converge(spec)
    known = ids(here, spec)
    fall_ill(here, known["target_group.web"], known["instance.web-1"])
    assert seconds_until_turned(here, restarted(turned(spec, "green"), "green")) < 60


def test_who_was_ill_and_is_away_serves_nobody(here: World) -> None:
    """The other group has fewer healthy targets than it needs where others serve."""
    spec = green(web(2, "1", max_unavailable=1), None)
    spec["instances"]["web"]["type_change"] = "in-place"
    spec["target_groups"]["green"]["min_healthy"] = 2
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    listener["rules"] = {"x": {"priority": 1, "conditions": [{"path_pattern": "/x/*"}], "action": {"forward": "green"}}}
    here.converge(spec)
    known = ids(here, spec)
    for number in (1, 2):
        fall_ill(here, known["target_group.web"], known[f"instance.web-{number}"])
    fall_ill(here, known["target_group.green"], known["instance.green-1"])
    result = here.apply(restarted(turned(spec, "green")), check=False)
    assert not [failure for failure in result.failures if "listener" in str(failure).partition(" ")[0]]


@pytest.mark.parametrize(("count", "unavailable", "other"), [(3, 1, 2), *at_length((2, 1, 1))])
def test_requests_turn_after_the_restarts_that_empty_a_group_though_those_that_serve_are_restarted_in_turns(
    here: World, count: int, unavailable: int, other: int
) -> None:
    """Found by reading: who was restarted didn't count, though some of its group always serve."""
    spec = green(web(count, "1", max_unavailable=unavailable), 0)
    spec["instances"]["web"]["type_change"] = "in-place"
    spec["instances"]["green"] |= {"count": other, "rollout": {"max_unavailable": other}}
    here.converge(spec)
    low: list[int] = []
    watch(here, low)
    here.converge(restarted(restarted(turned(spec, "green")), "green"))
    assert min(low) >= count - unavailable


def test_a_rule_takes_over_after_the_restart_of_its_group(here: World) -> None:
    """Found by reading: the rule's own group was taken for the one that serves."""
    spec = green(web(2, "1"), None)
    rules = {
        "y": {"priority": 1, "conditions": [{"path_pattern": "/y/*"}], "action": {"forward": "web"}},
        "x": {"priority": 2, "conditions": [{"path_pattern": "/x/*"}], "action": {"forward": "green"}},
    }
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = rules
    spec["instances"]["green"] |= {"count": 1, "rollout": {"max_unavailable": 1}}
    here.converge(spec)
    after = restarted(spec, "green")
    wider = {"x": {**rules["x"], "conditions": [{"path_pattern": ["/x/*", "/y/*"]}]}}
    after["load_balancers"]["public"]["listeners"]["http"]["rules"] = wider
    real = here._call
    calls: list[str] = []

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation in ("deregister_targets", "modify_rule"):
            calls.append(operation)
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]
    here.converge(after)
    assert calls == ["deregister_targets", "modify_rule"]
