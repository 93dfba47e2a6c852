"""Calls that are throttled, denied, or whose replies are lost: nothing is made twice, nothing is left over, no dip."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.at_length import SOAK, at_length
from tests.harness import FAKE_ENVIRONMENT, World, demo
from tests.properties.faults import Beside, Denied, Lost, Throttled, error_of, spoilt
from tests.properties.near_misses import NEAR_MISSES, add_strangers
from tests.properties.scenarios import ALL, Way, go_on, uninterrupted
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Result, Spec

WAYS = ["create", "in place", "roll", "roll many", "another group", "destroy"]


def begun(world: WatchedWorld, way: Way) -> None:
    """The world at the beginning of the way."""
    if way.before:
        world.converge(way.before())
    world.watch()


@pytest.mark.parametrize("service", ["ec2", "elbv2"])
@pytest.mark.parametrize("name", ["roll", *at_length("create", "destroy", "in place", "another group")])
def test_a_service_that_throttles_for_three_minutes_is_waited_for(name: str, service: str) -> None:
    """Nearly every third call: the run that meets it converges by itself."""
    way = ALL[name]
    uninterrupted(name)
    with watched() as world:
        begun(world, way)
        throttled = Throttled(world, service, 0.3, 180)
        with spoilt(world, throttled):
            world.converge(way.target, **way.run_options)
        assert throttled.refused
        assert not go_on(world, name, tries=1), "nothing was left to do"


def many_groups() -> Spec:
    """A stack that asks ELBv2 for much."""
    spec = demo()
    names = [f"g{number}" for number in range(22)]
    spec["target_groups"] |= dict.fromkeys(names, spec["target_groups"]["web"])
    spec["instances"]["web"]["count"] = 1
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        name: {"priority": number, "conditions": [{"path_pattern": f"/{name}"}], "action": {"forward": name}}
        for number, name in enumerate(names, 1)
    }
    return spec


@pytest.mark.parametrize("others", [0.0, 5.0])
def test_a_stack_of_many_groups_converges_at_the_whole_pace(others: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone it makes no more calls than AWS's documented buckets allow; beside a tool that takes half of what comes into
    ELBv2's bucket it is throttled now and then, and has to be the one that gives way."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    os.environ.update(FAKE_ENVIRONMENT)
    clock, refused = VirtualClock(), list[str]()
    with StrictAws(clock=clock.now, throttling=True) as strict:
        world, calls = World(strict, clock), 0
        assert strict._throttling is not None
        other = Beside(strict._throttling, others, clock.now) if others else None

        def fault(service: str, operation: str, call: Callable[[], Any]) -> Any:
            nonlocal calls
            calls += 1
            try:
                return other(service, operation, call) if other else call()
            except AwsError as error:
                refused.extend([operation] if error.is_throttled else [])
                raise

        with spoilt(world, fault):
            world.converge(many_groups())
    assert bool(refused) == bool(others)
    assert len(refused) < 0.1 * calls
    assert other is None or other.refused < 0.15 * other.asked


def run(world: WatchedWorld, way: Way) -> tuple[Result | None, str]:
    """Go the way. Returns how it went, or what ended it before its first step or after its last."""
    try:
        return world.apply(way.target, **way.run_options), ""
    except AwsError as error:
        return None, str(error)


@pytest.mark.parametrize("name", WAYS if SOAK else ["roll"])
def test_what_is_denied_is_named_the_rest_is_done_and_the_next_run_finishes(name: str) -> None:
    """Each action in turn, of many in the suite each fourth."""
    way, wrong = ALL[name], list[str]()
    actions = list(dict.fromkeys(uninterrupted(name)[2]))
    with watched() as world:
        begun(world, way)
        start = world.moment()
        for action in actions[:: 4 if len(actions) > 12 and not SOAK else 1]:
            world.go_back(start)
            denied = Denied(action)
            try:
                with spoilt(world, denied):
                    result, ended_by = run(world, way)
                assert denied.asked
                says = f":{camel(action)} to this identity"
                assert result or says in ended_by
                if result:
                    check_denied(result, says)
                go_on(world, name, tries=1)
            except AssertionError as error:
                wrong.append(f"{name}, {action} denied: {error}")
    assert not wrong, "\n\n".join(wrong)


def check_denied(result: Result, says: str) -> None:
    """Each failure says what is to be allowed, and only what needs a step that wasn't done was left."""
    told = [*(str(item.error) for item in result.outcomes if item.how == "failed"), *result.warnings]
    assert told, "nobody was told"
    assert all(says in text for text in told), told
    ended = {item.step.key: item.how for item in result.outcomes}
    assert set(ended.values()) <= {"done", "failed", "skipped"}
    for item in result.outcomes:
        if item.how == "skipped":
            assert any(ended[key] != "done" for key in item.step.needs), f"{item.step.key} could have been done"


@pytest.mark.parametrize("name", WAYS if SOAK else ["create", "roll"])
def test_a_change_whose_reply_is_no_answer_was_made(name: str) -> None:
    """It isn't made again, by this run nor by the next. Every fifth change in turn, at length each."""
    way, wrong = ALL[name], list[str]()
    changes = uninterrupted(name)[2]
    numbers = range(1, len(changes) - 2, 1 if SOAK else 5)  # tags may be written by fewer calls
    with watched() as world:
        begun(world, way)
        start = world.moment()
        for number in numbers:
            world.go_back(start)
            lost = Lost(number, "InvalidResponse")
            try:
                with spoilt(world, lost):
                    run(world, way)
                assert lost.lost
                go_on(world, name, tries=1)
            except AssertionError as error:
                wrong.append(f"{name}, reply to call {number}, {lost.lost}, lost: {error}")
    assert not wrong, "\n\n".join(wrong)


def test_a_read_whose_answer_nobody_needs_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    """Found: the rules of a stranger's load balancer, which are read on a guess by its name, ended in a traceback of asyncio's."""
    with watched() as world:
        world.converge(demo())
        add_strangers(world, NEAR_MISSES[:1])
        theirs = sum(item["LoadBalancerName"].startswith("demo-") for item in balancers(world)) - 1
        failed = 0

        def fault(service: str, operation: str, call: Callable[[], Any]) -> Any:
            nonlocal failed
            answer = call()
            if operation == "describe_rules" and len(answer["Rules"]) == 2:  # the demo has the default one only
                failed += 1
                raise error_of(service, operation, "InternalError", ambiguous=True)
            return answer

        with spoilt(world, fault):
            assert world.plan(demo()).is_empty
    gc.collect()
    assert failed == theirs == 1
    assert [item.getMessage() for item in caplog.records if item.name == "asyncio"] == []


def balancers(world: WatchedWorld) -> list[dict[str, Any]]:
    """The account's."""
    found: list[dict[str, Any]] = world.client("elbv2").describe_load_balancers()["LoadBalancers"]
    return found
