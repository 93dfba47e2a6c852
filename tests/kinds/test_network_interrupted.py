"""Networks with endpoints, further ranges and IPv6: killed at each call and run again, with reads that lag, and with lost replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.at_length import at_length, only_at_length
from tests.kinds.hand import edited
from tests.properties.faults import error_of
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tests.harness import Spec

LATER = 400
"""Seconds after which no read is behind, and nothing is leaving any more."""
NETWORK: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {
        "main": {
            "cidr_block": "10.0.0.0/16",
            "secondary_cidr_blocks": ["10.4.0.0/16"],
            "amazon_provided_ipv6_cidr_block": True,
            "enable_dns_hostnames": True,
        }
    },
    "subnets": {
        "a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a", "ipv6_cidr_block": 1},
        "b": {"cidr_block": "10.4.1.0/24", "availability_zone": "b", "assign_ipv6_address_on_creation": True}
        | {"ipv6_cidr_block": 2},
    },
    "egress_only_internet_gateways": {"main": {}},
    "route_tables": {"private": {"subnets": ["a", "b"]}},
    "vpc_endpoints": {
        "s3": {"service_name": "s3", "route_tables": ["private"]},
        "ssm": {"service_name": "ssm", "subnets": ["a", "b"], "private_dns_enabled": True},
    },
}
MOVED = {"cidr_block": "10.5.1.0/24", "availability_zone": "b", "ipv6_cidr_block": 3}
OTHER = edited(
    edited(edited(NETWORK, "vpcs/main/secondary_cidr_blocks", ["10.5.0.0/16"]), "subnets/b", MOVED),
    "vpc_endpoints/s3/service_name",
    "dynamodb",
)


def census(world: WatchedWorld) -> list[str]:
    """How many things of which sort there are."""
    return sorted(item.partition("-")[0] for item in world.strict.inventory())


def killed_at_each_call(world: WatchedWorld, spec: Spec, lag: float, step: int, least: int = 9, **options: Any) -> None:
    """Run it, and go on from moments of that run as if it had been killed there; three runs at most lead to the same."""
    world.strict.lag = lag
    with world.moments() as moments:
        world.converge(spec, **options)
    world.clock.advance(LATER)
    good = census(world)
    assert len(moments) >= least
    for moment in moments[::step]:
        world.go_back(moment)
        for _ in range(3):
            result = world.apply(spec, **options)
            if not result.failures and result.rest is not None and result.rest.is_empty:
                break
            world.clock.advance(lag)
        else:
            pytest.fail(f"{moment.words}: {result.failures}")
        world.clock.advance(LATER)
        assert world.plan(spec, **options).is_empty, moment.words
        assert census(world) == good, moment.words


@pytest.mark.parametrize(("lag", "step"), [(20.0, 5), *at_length((0.0, 2))])
def test_a_killed_creation_is_finished_without_doubles(lag: float, step: int) -> None:
    with watched() as world:
        killed_at_each_call(world, NETWORK, lag, step)


@only_at_length("tests/kinds/test_network_interrupted.py::test_a_killed_creation_is_finished_without_doubles")
def test_a_killed_change_of_ranges_is_finished() -> None:
    with watched() as world:
        world.converge(NETWORK)
        killed_at_each_call(world, OTHER, 0.0, 3)


def test_a_killed_destroy_is_finished() -> None:
    with watched() as world:
        world.converge(NETWORK)
        killed_at_each_call(world, NETWORK, 0.0, 3, destroy=True)


@only_at_length("tests/kinds/test_ipam.py::test_a_lost_reply_takes_nothing_twice")
def test_every_reply_may_get_lost() -> None:
    """Each mutating call in turn takes effect without an answer; the next run finishes what this one didn't."""
    with watched() as world:
        world.converge(NETWORK)
        world.clock.advance(LATER)
        good = census(world)
        names = {name for name, _ in world.log if name.startswith(("create", "associate", "modify"))}
        world.destroy(NETWORK)
        empty = census(world)
        real = world._call
        for lost in sorted(names):
            left = [lost]

            def call(service: str, operation: str, params: Mapping[str, Any], left: list[str] = left) -> Any:
                answer = real(service, operation, params)
                if operation in left and "DryRun" not in params:
                    left.remove(operation)
                    raise error_of(service, operation, "ReadTimeoutError", ambiguous=True)
                return answer

            world._call = call  # type: ignore[method-assign]
            world.apply(NETWORK)
            world._call = real  # type: ignore[method-assign]
            world.converge(NETWORK)
            world.clock.advance(LATER)
            assert census(world) == good, lost
            world.destroy(NETWORK)
            assert census(world) == empty, lost
