"""A new version that never gets healthy: the run stops, the old one serves on, and whatever is run next keeps capacity."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, demo
from tests.kinds.hand import LINUX_2
from tests.kinds.test_elastic_ip_association import behind
from tests.properties.eyes import holders
from tests.properties.scenarios import GROUP, regrouped, rolled, scaled
from tests.properties.watched import portrait, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.properties.watched import WatchedWorld

BAD = "#!/bin/sh\nexit 1\n"


def bad(spec: Spec | None = None) -> Spec:
    """A version whose web API doesn't start."""
    spec = spec or demo()
    spec["instances"]["web"]["user_data"] = BAD
    return spec


def paced(**rollout: Any) -> Callable[[], Spec]:
    """The bad version, rolled otherwise than one by one."""

    def make() -> Spec:
        spec = bad()
        spec["instances"]["web"]["rollout"] = rollout
        return spec

    return make


def bad_elsewhere() -> Spec:
    """The bad version behind a target group that is replaced as well, and the rule that lets requests in."""
    return bad(regrouped())


WAYS = {
    "one at a time": bad,
    "three at a time": paced(max_surge=3),
    "with the target group": bad_elsewhere,
}
NEXT = {
    "the old one": demo,
    "a fixed one": rolled,
    "a larger old one": lambda: scaled(4),
    "the old one in another group": regrouped,
}
AFTER = [(way, following) for way in WAYS for following in NEXT]


@pytest.mark.parametrize(("way", "following"), AFTER[::5])
def test_whatever_is_run_after_it_keeps_capacity_and_converges(way: str, following: str) -> None:
    """The old targets stay, twice; then the next spec is reached in one run."""
    with watched() as world:
        empty = world.strict.inventory()
        world.converge(demo())
        good = world.healthy_targets(GROUP)
        world.strict.health = _verdict(world)
        world.watch()
        for _ in range(2):
            result = world.apply(WAYS[way]())
            assert any("healthy" in text for text in result.failures), result.failures
            assert good <= world.healthy_targets(GROUP), "the old ones serve on"
        after = NEXT[following]()
        world.converge(after)
        world.sample()
        assert world.lows[GROUP].healthy >= 2, world.lows
        world.clock.advance(60)
        portrait(world, after)
        world.destroy(after)
        assert world.strict.inventory() == empty


def two_entries(version: str) -> Spec:
    """The same instances, in an entry each, as somebody brings them who made them by hand."""
    spec = demo()
    entry = {**spec["instances"].pop("web"), "count": 1, "user_data": version}
    spec["instances"] = {"one": {**entry}, "other": {**entry}}
    spec["target_groups"]["web"]["targets"] = ["one", "other"]
    return spec


def test_entries_of_one_target_group_take_turns() -> None:
    """Found: both were replaced at once, so that nobody saw the new version on one of them first."""
    with watched() as world:
        world.converge(two_entries("#!/bin/sh\nexit 0\n"))
        world.converge(two_entries("#!/bin/sh\ntrue\n"))
        done = [name for name, _ in world.log if name in ("run_instances", "terminate_instances")]
        assert done == ["run_instances", "terminate_instances"] * 2
        world.strict.health = _verdict(world)
        result = world.apply(two_entries(BAD))
        assert any("healthy" in text for text in result.failures), result.failures
        assert [name for name, _ in world.log].count("run_instances") == 1, "the other one isn't touched"
        world.converge(two_entries("#!/bin/sh\ntrue\n"))


def test_they_take_turns_also_where_a_version_has_failed_in_one_of_them() -> None:
    """The old one, which served in the ill one's place, has gone before the next entry begins."""
    with watched() as world:
        world.converge(two_entries("#!/bin/sh\nexit 0\n"))
        world.strict.health = _verdict(world)
        half = two_entries("#!/bin/sh\nexit 0\n")
        half["instances"]["other"]["user_data"] = BAD
        assert world.apply(half).failures
        world.converge(two_entries("#!/bin/sh\ntrue\n"))
        done = [name for name, _ in world.log if name in ("run_instances", "terminate_instances")]
        launch, end = "run_instances", "terminate_instances"
        assert done == [launch, end, end, launch, end], "the ill one's entry first, with the old one that it has left"


def test_it_is_the_version_that_fails() -> None:
    """The same runs, with a web API that starts: they converge."""
    with watched() as world:
        world.converge(demo())
        for way in WAYS.values():
            world.converge(way())


def _verdict(world: WatchedWorld) -> Callable[[str, str, int], Any]:
    def verdict(group: str, target: str, _: int) -> str | None:
        instance = world.account.target_instance(world.account.elb.target_groups[group], target)
        bad = instance is not None and base64.b64decode(str(instance.user_data or "")) == BAD.encode()
        return "unhealthy" if bad else None

    return verdict


def test_a_version_that_never_gets_healthy_gets_no_address() -> None:
    after = behind(image_id=LINUX_2)
    with watched() as world:
        world.converge(behind())
        ids = {item.id for item in world.account.instances()}
        world.strict.health = lambda _, target, __: "unhealthy" if target not in ids else None
        for _ in range(2):
            assert any("healthy" in text for text in world.apply(after).failures)
            assert {item.eni.instance.id for item in world.account.ec2.addresses} == ids
        world.converge(behind())
        assert {item.eni.instance.id for item in world.account.ec2.addresses} == ids
        world.strict.health = None
        world.converge(after)
        assert len(holders(world)) == 2
