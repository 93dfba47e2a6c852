"""Targets that leave a group in the run in which requests turn away from it, or to it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, World, demo, world
from tests.kinds.hand import order
from tests.plan.targets import before_each, fall_ill, healthy, listener, parked, rule, turned, watched, web

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def here() -> Iterator[World]:
    """With reads that are ten seconds old."""
    with world(lag=10.0) as found:
        yield found


def green(spec: Spec, weight: int | None) -> Spec:
    """With another group and its instances beside it, which the listener gives this weight."""
    other = parked(spec, weight)
    other["target_groups"]["green"]["targets"] = ["green"]
    return other


def emptied(spec: Spec, how: str) -> Spec:
    after = copy.deepcopy(spec)
    after["instances"]["web"] |= {"no instances": {"count": 0}, "fewer instances": {"count": 1}}.get(how, {})
    if how == "no targets":
        after["target_groups"]["web"]["targets"] = []
    return after


def in_two_groups(count: int, unavailable: int = 1, weights: tuple[int, int] = (1, 1)) -> Spec:
    """Instances in two target groups, which may be restarted."""
    spec = demo()
    pace = {"max_unavailable": unavailable}
    spec["instances"]["web"] |= {"count": count, "type_change": "in-place", "rollout": pace}
    spec["target_groups"]["api"] = copy.deepcopy(spec["target_groups"]["web"])
    return turned(spec, web=weights[0], api=weights[1])


def restarted(spec: Spec, entry: str = "web") -> Spec:
    """The same with instances of another type, for which they are stopped."""
    after = copy.deepcopy(spec)
    after["instances"][entry]["instance_type"] = "t3.small"
    return after


def fall_ill_until_started(here: World, spec: Spec, name: str, group: str) -> None:
    known = fall_ill(here, spec, name, group=group)
    target = known[f"target_group.{group}"], known[f"instance.{name}"]
    before_each(here, lambda *_: here.strict.set_target_healthy(*target), "start_instances")


def seconds_until_turned(here: World, after: Spec) -> float:
    """How long it takes until the listener is changed."""
    began, when = here.clock.now(), list[float]()
    before_each(here, lambda *_: when.append(here.clock.now() - began), "modify_listener")
    here.apply(after, check=False)
    return when[0]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "start"), [("fewer instances", "unchecked"), ("no targets", "new")])
def test_a_group_keeps_its_targets_until_requests_have_turned_away(here: World, how: str, start: str) -> None:
    spec = web(2, "1")
    after = green(spec, None)
    here.converge(spec if start == "new" else after)
    low = watched(here)
    here.converge(emptied(turned(after, "green"), how))
    assert min(low) == 2


def test_a_group_keeps_its_targets_if_requests_can_not_turn_away(here: World) -> None:
    spec = green(web(2, "1"), 0)
    here.converge(spec)
    fall_ill(here, spec, "green-1", "green-2", group="green")
    low = watched(here)
    result = here.apply(emptied(turned(spec, "green"), "no instances"), allow={"delete": 9}, check=False)
    assert any("needs 1" in str(failure) for failure in result.failures)
    assert min(low, default=2) == 2


@pytest.mark.slow
@pytest.mark.parametrize("unavailable", [0, 1])
def test_targets_that_go_over_to_another_group_leave_theirs_after_the_turn(here: World, unavailable: int) -> None:
    spec = green(web(2, "1", max_surge=1, max_unavailable=unavailable), 0)
    here.converge(spec)
    after = emptied(turned(spec, "green"), "no targets")
    after["target_groups"]["green"]["targets"] = ["green", "web"]
    here.converge(after)  # as they are
    here.converge(spec)
    after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api 2\n"
    low = watched(here)
    here.converge(after)
    assert min(low) == 2


def test_a_share_that_shrinks_shrinks_before_the_targets_leave(here: World) -> None:
    spec = green(web(3, "1"), 1)
    here.converge(spec)
    here.converge(turned(emptied(spec, "fewer instances"), web=1, green=9))
    assert order(here, "modify_listener", "deregister_targets")[0] == "modify_listener"


@pytest.mark.slow
def test_a_group_keeps_its_targets_while_those_of_the_other_one_restart(here: World) -> None:
    spec = green(web(2, "1"), 0)
    here.converge(spec)
    low = watched(here)
    here.converge(emptied(restarted(turned(spec, "green"), "green"), "no instances"))
    assert min(low) >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("count", "unavailable"), [(2, 1), (3, 2)])
def test_requests_turn_before_the_restarts_that_wait_for_it(here: World, count: int, unavailable: int) -> None:
    spec = in_two_groups(count, unavailable)
    here.converge(spec)
    after = restarted(turned(spec, "web"))
    del after["target_groups"]["api"]
    here.converge(after)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_restarts_after_requests_have_turned_keep_capacity(here: World, count: int) -> None:
    spec = turned(in_two_groups(count), "web")
    here.converge(spec)
    after = restarted(turned(spec, "api"))
    del after["target_groups"]["web"]
    low = watched(here)
    here.converge(after)
    assert min(low) >= count - 1


def test_the_last_healthy_target_stays_after_requests_have_turned(here: World) -> None:
    spec = in_two_groups(1, weights=(1, 0))
    spec["instances"]["other"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["api"]["targets"] = ["web", "other"]
    here.converge(spec)
    fall_ill(here, spec, "other-1", group="api")
    after = restarted(turned(spec, "api"))
    del after["target_groups"]["web"]
    low = watched(here)
    here.apply(after, check=False)
    assert min(low) == 1


def test_requests_turn_from_a_target_that_stays_ill(here: World) -> None:
    """No restart is waited for that waits for one who is to be left."""
    spec = in_two_groups(2, weights=(1, 0))
    here.converge(spec)
    fall_ill(here, spec, "web-2")
    here.converge(restarted(turned(spec, "api")))


@pytest.mark.slow
def test_where_nobody_serves_healthy_targets_take_over_at_once(here: World) -> None:
    spec = green(web(2, "1"), 0)
    spec["instances"]["green"]["count"] = 4
    here.converge(spec)
    fall_ill(here, spec, "web-1", "web-2")
    assert seconds_until_turned(here, restarted(turned(spec, "green"), "green")) < 60


def test_where_nobody_serves_the_first_healthy_target_is_waited_for() -> None:
    spec = green(web(1, "1"), None)
    with world(lag=25) as here:
        here.converge(spec)
        known = fall_ill(here, spec, "web-1")
        after = turned(spec, "green")
        after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
        low: list[int] = []

        def note(*_: object) -> None:
            lag, here.strict.lag = here.strict.lag, 0.0
            low.append(healthy(here, known["target_group.green"]))
            here.strict.lag = lag

        before_each(here, note, "modify_listener")
        here.converge(after)
    assert low == [0, 1]


def test_where_nobody_serves_nobody_is_waited_for_in_vain(here: World) -> None:
    spec = green(web(1, "1"), 0)
    here.converge(spec)
    fall_ill(here, spec, "web-1")
    fall_ill(here, spec, "green-1", group="green")
    result = here.apply(turned(spec, "green"), check=False)
    assert not result.failures
    assert here.plan(turned(spec, "green")).is_empty


def test_requests_turn_to_targets_that_a_restart_heals(here: World) -> None:
    """What is ill isn't waited for before it is restarted."""
    spec = green(web(1, "1"), 0)
    here.converge(spec)
    fall_ill_until_started(here, spec, "green-1", "green")
    here.converge(restarted(turned(spec, "green"), "green"))


def test_an_instance_leaves_none_of_its_groups_before_a_turn_that_fails(here: World) -> None:
    spec = turned(in_two_groups(1), "web")
    spec["instances"]["green"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["green"] = {**copy.deepcopy(spec["target_groups"]["web"]), "targets": ["green"]}
    listener(spec)["rules"] = {"api": rule(1, "/api/*", "api")}
    here.converge(spec)
    known = fall_ill(here, spec, "green-1", group="green")
    after = restarted(spec)
    parts = [{"target_group": name, "weight": 1} for name in ("api", "green")]
    listener(after)["rules"]["api"]["action"] = {"forward": {"target_groups": parts}}
    here.apply(after, check=False)
    here.clock.advance(300)
    assert healthy(here, known["target_group.web"]) == 1


def test_a_restart_that_heals_is_not_held_up_by_the_turn_that_waits_for_it(here: World) -> None:
    spec = in_two_groups(1, weights=(1, 1))
    here.converge(spec)
    fall_ill_until_started(here, spec, "web-1", "api")
    here.converge(turned(restarted(spec), web=1, api=3))


@pytest.mark.slow
def test_nobody_waits_for_restarts_that_empty_the_group_that_serves(here: World) -> None:
    spec = in_two_groups(2, weights=(1, 0))
    spec["instances"]["other"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 2}
    spec["target_groups"]["api"]["targets"] = ["web", "other"]
    here.converge(spec)
    low = watched(here)
    here.converge(restarted(turned(spec, "api")))
    assert min(low) >= 2


def test_a_group_at_weight_0_serves_nobody_meanwhile(here: World) -> None:
    spec = turned(green(web(1, "1"), None), web=1, third=0)
    spec["target_groups"]["third"] = copy.deepcopy(spec["target_groups"]["green"])
    spec["instances"]["green"]["count"] = 2
    listener(spec)["rules"] = {"x": rule(1, "/x/*", "green")}
    spec["instances"]["more"] = copy.deepcopy(spec["instances"]["web"])
    spec["target_groups"]["third"]["targets"] = ["more"]
    here.converge(spec)
    fall_ill(here, spec, "web-1")
    assert seconds_until_turned(here, restarted(turned(spec, "green"), "green")) < 60


@pytest.mark.slow
def test_who_was_ill_and_is_away_serves_nobody(here: World) -> None:
    """The other group has fewer healthy targets than it needs where others serve."""
    spec = green(web(2, "1", max_unavailable=1), None)
    spec["instances"]["web"]["type_change"] = "in-place"
    spec["target_groups"]["green"]["min_healthy"] = 2
    listener(spec)["rules"] = {"x": rule(1, "/x/*", "green")}
    here.converge(spec)
    fall_ill(here, spec, "web-1", "web-2")
    fall_ill(here, spec, "green-1", group="green")
    result = here.apply(restarted(turned(spec, "green")), check=False)
    assert not [failure for failure in result.failures if "listener" in str(failure).partition(" ")[0]]


@pytest.mark.slow
def test_requests_turn_after_the_restarts_that_empty_a_group_though_those_that_serve_are_restarted_in_turns(
    here: World,
) -> None:
    spec = green(web(3, "1", max_unavailable=1), 0)
    spec["instances"]["web"]["type_change"] = "in-place"
    spec["instances"]["green"] |= {"count": 2, "rollout": {"max_unavailable": 2}}
    here.converge(spec)
    low = watched(here)
    here.converge(restarted(restarted(turned(spec, "green")), "green"))
    assert min(low) >= 2


def test_a_rule_takes_over_after_the_restart_of_its_group(here: World) -> None:
    spec = green(web(2, "1"), None)
    rules = {"y": rule(1, "/y/*", "web"), "x": rule(2, "/x/*", "green")}
    listener(spec)["rules"] = rules
    spec["instances"]["green"] |= {"count": 1, "rollout": {"max_unavailable": 1}}
    here.converge(spec)
    after = restarted(spec, "green")
    wider = {"x": {**rules["x"], "conditions": [{"path_pattern": ["/x/*", "/y/*"]}]}}
    listener(after)["rules"] = wider
    here.converge(after)
    assert order(here, "deregister_targets", "modify_rule") == ["deregister_targets", "modify_rule"]
