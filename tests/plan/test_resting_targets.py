"""Targets whose instance is stopped, as `state: any` allows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.plan import targets
from tests.plan.targets import GROUP, fall_ill, healthy, ids, listener, rule, start, stop, turned, watched, web

if TYPE_CHECKING:
    from tests.harness import Spec, World


def test_a_target_that_rests_is_named_where_the_last_one_is_to_leave(here: World) -> None:
    spec = web(2, "one", health_timeout="2m")
    spec["instances"]["web"]["state"] = "any"
    here.converge(spec)
    stopped = ids(here, spec)["instance.web-1"]
    stop(here, stopped)
    spec["instances"]["web"]["count"] = 1
    with pytest.raises(
        RefusedError, match=r"no healthy target, from \"delete registration\.web/web-2:80\" until the end"
    ):
        here.apply(spec)
    (failure, *_) = here.apply(spec, timeout=60, allow={"gap": 1}).failures
    assert f"(now 0; {stopped}:80 is unused, Target.InvalidState." in failure, failure
    start(here, stopped)
    here.converge(spec)


def test_who_takes_over_does_not_wait_for_a_target_that_rests(here: World) -> None:
    before = web(2, "one")
    before["instances"]["web"]["state"] = "any"
    before["target_groups"]["green"] = copy.deepcopy(before["target_groups"]["web"])
    here.converge(before)
    rest(here, before, "web-2")
    here.converge(turned(before))


def beside(spec: Spec, count: int, **group: Any) -> Spec:
    """Another group, of instances of its own that may rest."""
    other = copy.deepcopy(spec)
    other["instances"]["green"] = {**copy.deepcopy(spec["instances"]["web"]), "count": count, "state": "any"}
    other["target_groups"]["green"] = {**copy.deepcopy(spec["target_groups"]["web"]), "targets": ["green"], **group}
    return other


def rest(here: World, spec: Spec, *names: str) -> None:
    """Somebody stops them."""
    known = ids(here, spec)
    stop(here, *(known[f"instance.{name}"] for name in names))


ONE = {"max_unavailable": 1}


@pytest.mark.parametrize(("serving", "are_registered"), [(1, False), (3, True)])
def test_a_group_takes_over_with_no_fewer_targets_than_serve(
    here: World, serving: int, *, are_registered: bool
) -> None:
    alone = web(serving, "one")
    before = beside(alone, 3)
    if not are_registered:
        del before["target_groups"]["green"]
    here.converge(before)
    rest(here, before, "green-2", "green-3")
    before = beside(alone, 3)
    here.converge(before)
    low = watched(here)
    after = turned(before)
    if serving > 1:
        text = (
            rf"^listener\.public/http: target_group\.green can have 1 healthy targets at most, and needs {serving} before it gets "
            r"requests that others serve now; start instance\.green-2, instance\.green-3, or declare more targets for it$"
        )
        with pytest.raises(RefusedError, match=text):
            here.apply(after)
        after["instances"]["green"]["state"] = "running"
    here.converge(after)
    assert min(low) == serving


@pytest.mark.parametrize(
    ("count", "least", "rollout"),
    [(1, {}, ONE), (2, {"min_healthy": 2}, ONE), (2, {}, ONE), (2, {}, {})],
)
def test_a_group_with_too_many_targets_that_rest_is_refused_at_once(
    here: World, count: int, least: Spec, rollout: Spec
) -> None:
    """They needn't run, but whoever serves goes on until they do. Found: the run waited for ten minutes, and named none of them."""
    before = beside(web(2, "one"), count, **least)
    before["instances"]["green"]["rollout"] = rollout
    here.converge(before)
    rest(here, before, "green-1")
    after = turned(before)
    if not rollout or count == 1 or least:
        with pytest.raises(RefusedError, match=rf"can have {count - 1} .* start instance\.green-1, or "):
            here.apply(after)
        start(here, ids(here, before)["instance.green-1"])
    here.converge(after)


@pytest.mark.parametrize("is_checked", [True, False])
@pytest.mark.parametrize("are_registered", [True, False])
def test_a_new_rule_gives_no_requests_to_targets_that_rest(
    here: World, *, are_registered: bool, is_checked: bool
) -> None:
    before = beside(web(2, "one"), 2)
    listener(before)["rules"] = {"old": rule(50, "/x/*", "web")}
    before = turned(before, web=1, green=0) if is_checked else before
    first = before if are_registered else turned(before, "web")
    if not are_registered:
        del first["target_groups"]["green"]
    here.converge(first)
    rest(here, before, "green-1", "green-2")
    here.converge(before)
    after = copy.deepcopy(before)
    listener(after)["rules"] = {"new": rule(60, "/x/*", "green")}
    with pytest.raises(RefusedError, match=r"start instance\.green-1, instance\.green-2, or "):
        here.apply(after)


def test_who_takes_over_waits_for_all_that_run(here: World) -> None:
    before = web(1, "one")
    here.converge(before)
    first = beside(before, 4) | {"target_groups": before["target_groups"]}
    here.converge(first)
    rest(here, first, "green-4")
    seen: list[int] = []

    def note(*_: object) -> None:
        groups = here.client("elbv2").describe_target_groups()["TargetGroups"]
        seen.append(max(healthy(here, item["TargetGroupArn"]) for item in groups))

    targets.before_each(here, note, "modify_listener")
    here.converge(turned(beside(before, 4)))
    assert seen[-1] == 3


@pytest.mark.slow
def test_no_target_is_enough_where_one_serves_though_one_may_be_missing(here: World) -> None:
    alone = web(1, "one")
    before = beside(alone, 2)
    before["instances"]["green"]["rollout"] = {"max_unavailable": 1}
    after = copy.deepcopy(before)
    del before["target_groups"]["green"]
    here.converge(before)
    rest(here, before, "green-2")
    here.converge(after)
    fall_ill(here, after, "green-1", group="green")
    low = watched(here)
    assert any("has 0 healthy targets, and needs 1" in text for text in here.apply(turned(after)).failures)
    assert min(low) == 1


def test_who_takes_over_waits_neither_for_what_rests_nor_for_what_is_ill(here: World) -> None:
    before = web(3, "one")
    before["instances"]["web"]["state"] = "any"
    before["target_groups"]["green"] = copy.deepcopy(before["target_groups"]["web"])
    here.converge(before)
    rest(here, before, "web-2")
    for group in ("web", "green"):
        fall_ill(here, before, "web-3", group=group)
    result = here.apply(turned(before))
    assert not result.failures
    assert result.rest is not None
    assert result.rest.is_empty


def test_an_instance_that_a_change_starts_is_registered_before_another_one_leaves(here: World) -> None:
    spec = web(2, "one", max_unavailable=1)
    spec["instances"]["web"] |= {"type_change": "in-place", "state": "any"}
    here.converge(spec)
    known = ids(here, spec)
    rest(here, spec, "web-2")
    targets.deregister(here, known[str(GROUP)], known["instance.web-2"])
    assert here.plan(spec).is_empty
    spec["instances"]["web"]["instance_type"] = "t3.small"
    low = watched(here)
    here.converge(spec)
    assert min(low) == 1
