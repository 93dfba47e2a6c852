"""Faults that no table of scenes has (`test_scenes.py`): a stack that asks for much, reads at a certain moment, a round of `sync` that is killed."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.discover import discover
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.harness import FAKE_ENVIRONMENT, World, demo, load
from tests.properties.campaign import trial
from tests.properties.faults import Beside, Killed, error_of, spoilt
from tests.properties.near_misses import NEAR_MISSES, add_strangers
from tests.properties.scenarios import LAST_STATES, census, drift
from tests.properties.trials import PROMISED
from tests.properties.watched import WatchedWorld, portrait, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.aws.client import Aws
    from tests.harness import Spec


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


@pytest.mark.slow
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


@pytest.mark.parametrize("denied", ["describe_vpcs", "describe_target_groups", "describe_load_balancers"])
def test_a_read_that_fails_leaves_none_under_way(denied: str) -> None:
    def fault(service: str, operation: str, call: Callable[[], Any]) -> Any:
        if operation == denied:
            raise error_of(service, operation, "InternalError", ambiguous=True)
        return call()

    async def look(aws: Aws) -> set[asyncio.Task[Any]]:
        with pytest.raises(AwsError):
            await discover(aws, "demo", load(demo()).desired)
        return asyncio.all_tasks() - {asyncio.current_task()}

    with watched() as world:
        world.converge(demo())
        with spoilt(world, fault):
            assert world._run(look) == set()


def balancers(world: WatchedWorld) -> list[dict[str, Any]]:
    """The account's."""
    found: list[dict[str, Any]] = world.client("elbv2").describe_load_balancers()["LoadBalancers"]
    return found


@pytest.mark.slow
def test_a_group_that_was_seen_is_asked_whether_a_load_balancer_has_it() -> None:
    """Found by an attack: only the listener's read was from before it forwarded to that group."""
    with trial("another group", lag=PROMISED) as way:
        way.begin()
        way.world.strict.lag_of_read = lambda: 0.0
        moved = [number for number, operation in enumerate(way.changes, 1) if operation == "modify_listener"]
        way.be_killed(Killed(moved[-1], "after"))
        way.world.strict.lag_of_read = lambda: PROMISED if way.world.log[-1][0] == "describe_listeners" else 0.0
        way.finish(3)
        way.check()


@pytest.mark.slow
def test_a_killed_round_of_sync_is_finished_by_the_next() -> None:
    """What drift it had corrected already, and what not: a ninth of the moments."""
    spec = demo()
    spec["sync"] = {"correct": ["create", "update", "replace", "delete"], "report": []}
    with watched() as world:
        world.converge(spec)
        good, counts = portrait(world, spec), census(world)
        drift(world)
        world.clock.advance(LAST_STATES)
        with world.moments(1, 9) as moments:
            assert not world.sync(spec).is_failed
        assert moments
        for moment in moments:
            world.go_back(moment)
            ending = world.sync(spec)
            assert not ending.is_failed, (moment.words, ending.error, ending.problems)
            assert world.plan(spec).is_empty, moment.words
            world.clock.advance(LAST_STATES)
            assert portrait(world, spec) == good, moment.words
            assert census(world) == counts, moment.words
