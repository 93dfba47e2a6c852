"""One change is refused: the run ends all the same, and the next one arrives."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model.errors import ReconcileError
from tests.kinds.hand import edited
from tests.kinds.test_nat_gateway import private_stack
from tests.properties.campaign import told, trial
from tests.properties.faults import Refused, spoilt
from tests.properties.scenarios import ALL
from tests.properties.seeds import SOAK
from tests.properties.test_gaps import ALLOW
from tests.properties.watched import watched

if TYPE_CHECKING:
    from tests.harness import Spec

IN_SUITE = ("another group",)


@pytest.mark.parametrize("name", ALL if SOAK else IN_SUITE)
def test_one_refused_call_ends_the_run_and_the_next_one_arrives(name: str) -> None:
    with trial(name) as way:
        for number in range(1, len(way.changes) + 1, 1 if SOAK else 3):
            way.begin()
            refused = Refused(number)
            with spoilt(way.world, refused):
                way.run()
            try:
                way.finish(1)
                way.check()
            except AssertionError as error:
                raise AssertionError(f"{number}, {refused.refused}: {error}") from error


NETWORKS: dict[str, Spec] = {
    "the VPC": edited(private_stack(), "vpcs/main/instance_tenancy", "dedicated"),
    "a subnet": edited(private_stack(), "subnets/private-a/cidr_block", "10.0.48.0/20"),
    "a NAT gateway": edited(
        edited(private_stack(), "elastic_ips/other", {}),
        "nat_gateways/a",
        {"subnet": "public-b", "elastic_ip": "other"},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_so_does_one_of_a_private_network_that_is_replaced(name: str) -> None:
    """Found at length: a route waited for a NAT gateway, which waited for steps that were to be skipped and never were."""
    with watched() as world:
        world.converge(private_stack())
        start = world.moment()
        for number in count(1, 1 if SOAK else 30 if name == "the VPC" else 6):
            world.go_back(start)
            refused = Refused(number)
            with spoilt(world, refused):
                try:
                    world.apply(NETWORKS[name], allow=ALLOW)
                except ReconcileError as error:
                    told(error)
            if not refused.refused:
                break
            try:
                world.converge(NETWORKS[name], allow=ALLOW)
            except AssertionError as error:
                raise AssertionError(f"{number}, {refused.refused}: {error}") from error
        assert number > 1
