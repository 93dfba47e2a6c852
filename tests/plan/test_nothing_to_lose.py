"""Changes of a service of which no target is healthy: what would only protect healthy targets doesn't hold them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.steps import Register
from tests.plan.targets import GROUP, before_each, deregister, fall_ill, healthy, ids, web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec, World


def all_ill(here: World, spec: Spec) -> dict[str, str]:
    """The stack, of whose instances each fails its checks. Returns the ids."""
    here.converge(spec)
    names = [name for name in ids(here, spec) if name.startswith("instance.")]
    known = fall_ill(here, spec, *(name.partition(".")[2] for name in names))
    old = {known[name] for name in names}
    here.strict.health = lambda _, instance, __: "unhealthy" if instance in old else None
    assert healthy(here, known[str(GROUP)]) == 0
    return known


def test_all_are_replaced_at_once(here: World) -> None:
    known = all_ill(here, web(3, "one"))
    after, began = web(3, "two"), here.clock.now()
    told = [effect for step in here.plan(after).steps for effect in step.effects]
    assert "6 instances of web for a while: none of its targets is healthy, so all are replaced at once" in told
    served: list[float] = []
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if not served and healthy(here, known[str(GROUP)]) == 3:
            served.append(here.clock.now() - began)
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]
    result = here.converge(after)
    assert result.writes["run_instances"] == 2, "one call a subnet"
    assert served[0] < 60
    assert here.clock.now() - began < 170


def test_entries_of_one_target_group_dont_take_turns_then(here: World) -> None:
    def both(version: str) -> Spec:
        spec = web(1, version)
        spec["instances"]["other"] = dict(spec["instances"]["web"])
        spec["target_groups"]["web"]["targets"].append("other")
        return spec

    all_ill(here, both("one"))
    began = here.clock.now()
    here.converge(both("two"))
    assert here.clock.now() - began < 170


def test_the_switch_to_another_group_doesnt_wait_for_min_ready(here: World) -> None:
    all_ill(here, web(2, "one"))
    after = web(2, "two")
    after["target_groups"]["web"]["health_check"]["path"] = "/new"
    steps = here.plan(after, allow={"replace": 9}).steps
    assert {step.detail(Register).min_ready for step in steps if step.detail(Register).is_checked} == {0}
    began, turned = here.clock.now(), list[float]()
    before_each(here, lambda *_: turned.append(here.clock.now() - began), "modify_listener")
    here.converge(after, allow={"replace": 9})
    assert turned[-1] < 45


@pytest.mark.parametrize("state", ["healthy", "initial"])
def test_one_target_that_serves_or_may_in_a_moment_is_something_to_lose(here: World, state: str) -> None:
    before = web(3, "one")
    here.converge(before)
    known = fall_ill(here, before, "web-1", "web-2")
    if state == "initial":
        again = {"TargetGroupArn": known[str(GROUP)], "Targets": [{"Id": known["instance.web-3"], "Port": 80}]}
        deregister(here, known[str(GROUP)], known["instance.web-3"])
        here.client("elbv2").register_targets(**again)
        assert healthy(here, known[str(GROUP)]) == 0
    steps = here.plan(web(3, "two")).steps
    assert not [effect for step in steps for effect in step.effects if "at once" in effect]
    assert {step.detail(Register).min_ready for step in steps if step.detail(Register).is_checked} == {30}


def test_a_group_of_the_same_name_that_serves_is_something_to_lose(here: World) -> None:
    """An earlier run has left its ill successor beside it."""
    before = web(2, "one", health_timeout="1m")
    here.converge(before)
    old = ids(here, before)[str(GROUP)]
    here.strict.health = lambda group, *_: None if group == old else "unhealthy"
    after = web(2, "one", health_timeout="1m")
    after["target_groups"]["web"]["health_check"]["path"] = "/typo"
    assert here.apply(after, timeout=1, allow={"replace": 9}).failures
    after = web(2, "two", health_timeout="1m")
    after["target_groups"]["web"]["health_check"]["path"] = "/new"
    steps = here.plan(after, allow={"replace": 9}).steps
    assert {step.detail(Register).min_ready for step in steps if step.detail(Register).is_checked} == {30}


def test_without_surge_the_old_ones_leave_one_after_another(here: World) -> None:
    """A load balancer sends requests to unhealthy targets where none is healthy, so the old ones may serve all the same."""
    all_ill(here, web(3, "one", max_surge=0, max_unavailable=1))
    here.strict.health = lambda *_: "unhealthy"
    result = here.apply(web(3, "two", max_surge=0, max_unavailable=1), timeout=1)
    assert result.failures
    assert result.writes["terminate_instances"] == 1
