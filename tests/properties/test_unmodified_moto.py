"""Two stacks on moto as it is, without the strict rules, beside what others have: whole lives, and destroys that were cut short."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.harness import FAKE_ENVIRONMENT, READS, World, demo
from tests.kinds.hand import LINUX_2
from tests.kinds.test_persistent_volumes import kept
from tests.kinds.test_targets_by_function import make_function, with_function
from tests.properties.faults import error_of, spoilt
from tests.properties.others import make_others, seen
from tests.properties.scenarios import crowded, in_place, rolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness import Spec


@pytest.fixture
def world() -> Iterator[World]:
    os.environ.update(FAKE_ENVIRONMENT)
    clock = VirtualClock()
    with mock_aws():
        made = World(StrictAws(clock=clock.now, mock=False), clock)  # whose rules aren't installed
        made.endpoint = "http://localhost:5000"
        yield made


@pytest.fixture
def others(world: World) -> Any:
    """What somebody else has there."""
    make_others(world.client)
    return seen(world.client)


def named(stack: str, spec: Spec) -> Spec:
    return {**spec, "stack": stack}


def changed() -> Spec:
    """Other settings nearly everywhere; rules keep their places, since moto can't let two change theirs."""
    spec = in_place()
    rules = spec["load_balancers"]["public"]["listeners"]["http"]["rules"]
    for name, before in crowded()["load_balancers"]["public"]["listeners"]["http"]["rules"].items():
        rules[name]["priority"] = before["priority"]
    return spec


def test_two_stacks_live_beside_others(world: World, others: Any) -> None:
    """Created, changed in place, rolled and destroyed, each without a trace in the other or in what is somebody else's."""
    world.converge(named("one", crowded()))
    one = seen(world.client)
    world.converge(named("two", demo()))
    assert one.items() <= seen(world.client).items()
    world.converge(named("one", changed()))
    world.converge(named("two", rolled()))
    assert world.plan(named("one", changed())).is_empty
    world.destroy(named("one", changed()))
    assert world.plan(named("two", rolled())).is_empty
    world.destroy(named("two", rolled()))
    assert seen(world.client) == others


def test_volumes_that_outlive_instances_live_beside_others(world: World) -> None:
    world.converge(kept())
    world.converge(kept(image_id=LINUX_2))
    assert world.plan(kept(image_id=LINUX_2)).is_empty
    world.destroy(kept(image_id=LINUX_2))
    marked = [{"Name": "tag:alb-reconcile:volume", "Values": ["logs"]}]
    assert len(world.client("ec2").describe_volumes(Filters=marked)["Volumes"]) == 1


class CutShort:
    """Nothing is changed any more after so many calls."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if not operation.startswith(READS):
            self.left -= 1
            if self.left < 0:
                raise error_of(service, operation, "InternalFailure")
        return call()


def test_a_destroy_that_was_cut_short_goes_on(world: World, others: Any) -> None:
    """moto keeps the interfaces of dead instances, also of those that a roll replaced. At length after each of its calls."""
    world.converge(demo())
    world.converge(rolled())
    for calls in (9, 15):
        with spoilt(world, CutShort(calls)):
            world.apply(rolled(), destroy=True)
        world.destroy(rolled())
        assert seen(world.client) == others, calls
        world.converge(rolled())


def networked(**changes: Any) -> Spec:
    """The demo with endpoints, IPv6 and a further range, as far as moto knows them."""
    spec = demo()
    spec["vpcs"]["main"] |= {"amazon_provided_ipv6_cidr_block": True, "secondary_cidr_blocks": ["10.4.0.0/16"]}
    for number, subnet in enumerate(spec["subnets"].values()):
        subnet |= {"ipv6_cidr_block": number, "assign_ipv6_address_on_creation": True}
    spec["egress_only_internet_gateways"] = {"main": {}}
    spec["vpc_endpoints"] = {
        "s3": {"service_name": "s3", "route_tables": ["public"]},
        "ssm": {"service_name": "ssm", "subnets": ["public-a"], "security_groups": ["web"], **changes},
    }
    return spec


def test_targets_by_address_and_functions_live_there_too(world: World) -> None:
    make_function("orders")
    spec = with_function()
    spec["target_groups"]["web"]["target_type"] = "ip"
    world.converge(spec)
    world.destroy(spec)
