"""`tests.kept`: what a test begins with is as if it had been made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import World, by_hand, demo
from tests.kept import fresh_world
from tests.kinds.hand import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Result


def ids(result: Result) -> set[str]:
    assert result.rest is not None
    return {*result.rest.names}


def test_a_stack_that_was_made_before_is_there_again(request: pytest.FixtureRequest) -> None:
    with fresh_world(request) as world:
        first, log, time, day = world.converge(demo()), world.log, world.clock.now(), world.today
        there = world.strict.inventory()
    with fresh_world(request) as world:
        again = world.converge(demo())
        assert ids(again) == ids(first)
        assert (again.writes, again.events, again.plan) == (first.writes, first.events, first.plan)
        assert (world.log, world.clock.now(), world.today) == (log, time, day)
        assert world.strict.inventory() == there
        assert world.plan(demo()).is_empty


def test_what_one_test_does_to_it_no_other_one_sees(request: pytest.FixtureRequest) -> None:
    mine = {**demo(), "stack": "mine"}  # which no other test has made
    with fresh_world(request) as world:
        result = world.converge(mine)
        there = world.strict.inventory()
        result.events.clear()
        world.log.clear()
        world.client("ec2").copy_image(Name="mine", SourceImageId="ami-03cf127a", SourceRegion="us-east-1")
        world.destroy(mine)
    with fresh_world(request) as world:
        assert world.converge(mine).events
        assert world.log
        assert world.strict.inventory() == there
        assert not world.client("ec2").describe_images(Owners=["self"])["Images"]


def somebody(world: World) -> None:
    world.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")


def a_bucket(_: World) -> None:
    by_hand("s3").create_bucket(Bucket="somebodys")


def denied(world: World) -> None:
    Faults(world).refuse("create_vpc", "RequestLimitExceeded")


@pytest.mark.parametrize("differently", [somebody, a_bucket, denied])
def test_it_is_made_where_anything_is_otherwise(
    request: pytest.FixtureRequest, differently: Callable[[World], None]
) -> None:
    with fresh_world(request) as world:
        first = world.converge(demo())
    with fresh_world(request) as world:
        differently(world)
        assert not ids(first) & ids(world.converge(demo()))
