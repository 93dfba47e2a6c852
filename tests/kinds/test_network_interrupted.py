"""Networks with endpoints, further ranges and IPv6: killed at each call and run again, with reads that lag, and with lost replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kinds.example import network
from tests.kinds.hand import edited
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from typing import Any

    from tests.harness import Spec

LATER = 400
"""Seconds after which no read is behind, and nothing is leaving any more."""
NETWORK: Spec = {
    **network("a"),
    "egress_only_internet_gateways": {"main": {}},
    "route_tables": {"private": {"subnets": ["a", "b"]}},
    "vpc_endpoints": {
        "s3": {"service_name": "s3", "route_tables": ["private"]},
        "ssm": {"service_name": "ssm", "subnets": ["a", "b"], "private_dns_enabled": True},
    },
}
NETWORK["vpcs"]["main"] |= {"secondary_cidr_blocks": ["10.4.0.0/16"], "enable_dns_hostnames": True}
NETWORK["vpcs"]["main"] |= {"amazon_provided_ipv6_cidr_block": True}
NETWORK["subnets"]["a"] |= {"ipv6_cidr_block": 1}
NETWORK["subnets"]["b"] = {"cidr_block": "10.4.1.0/24", "availability_zone": "b", "ipv6_cidr_block": 2}
NETWORK["subnets"]["b"] |= {"assign_ipv6_address_on_creation": True}


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


MOVED = edited(edited(NETWORK, "subnets/b/cidr_block", "10.4.9.0/24"), "subnets/b/ipv6_cidr_block", 3)


@pytest.mark.parametrize(
    ("before", "spec", "lag"),
    [
        pytest.param(None, NETWORK, 20.0, id="made"),
        pytest.param(NETWORK, MOVED, 0.0, id="changed", marks=pytest.mark.slow),
        pytest.param(NETWORK, None, 0.0, id="destroyed"),
    ],
)
def test_a_killed_run_is_finished_without_doubles(before: Spec | None, spec: Spec | None, lag: float) -> None:
    with watched() as world:
        if before:
            world.converge(before)
        killed_at_each_call(world, spec or NETWORK, lag, 5, destroy=not spec)
