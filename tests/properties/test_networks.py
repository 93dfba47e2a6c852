"""For random pairs of private stacks: one apply leads from one to the other, and no subnet is without its way out meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, seed, settings

from tests.kinds.test_nat_gateway import private_stack
from tests.properties.networks import pairs
from tests.properties.seeds import PHASES, SOAK
from tests.properties.test_pairs import check_pair, seed_of

if TYPE_CHECKING:
    from tests.harness import Spec

SHARDS = 2
EXAMPLES = (170 if SOAK else 4) // SHARDS


@pytest.mark.usefixtures("only_fresh")
@pytest.mark.parametrize("shard", range(SHARDS) if SOAK else [1])
def test_one_apply_leads_from_any_private_stack_to_any_other(shard: int) -> None:
    """NAT gateways, endpoints, ranges and what instances have; at most one in ten is refused."""
    ways: Counter[str] = Counter()

    @seed(seed_of(shard))
    @settings(max_examples=EXAMPLES, database=None, deadline=None, print_blob=True, phases=PHASES)
    @given(pairs())
    def check(pair: tuple[Spec, Spec]) -> None:
        ways[check_pair(*pair)] += 1

    check()
    assert ways.total() - ways["converged"] <= max(1, ways.total() // 10), ways


def test_an_endpoint_is_renamed_while_instances_are_rolled() -> None:
    """Found: the new one waited for the old one to go, that for the old instances, and their successors for the new one; the plan let
    the old instances go first, and the run stood still before the last healthy target."""
    before = private_stack()
    after = private_stack()
    after["vpc_endpoints"]["objects"] = after["vpc_endpoints"].pop("s3")
    after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
    for spec in (before, after):
        spec["stack"] = "demo"
        spec["instances"]["web"]["rollout"] = {"max_surge": 1, "max_unavailable": 0}
    assert check_pair(before, after) == "converged"


@pytest.mark.parametrize("after", ["10.5.0.0/16", None])
def test_a_range_goes_when_its_subnet_has_gone(after: str | None) -> None:
    """Found: beside a change of instances the subnet's table let it go after the VPC's change had ended, which waited for the subnet."""
    specs = [private_stack(), private_stack()]
    for spec, block in zip(specs, ("10.4.0.0/16", after), strict=True):
        spec["stack"] = "demo"
        spec["vpcs"]["main"]["secondary_cidr_blocks"] = [block] if block else []
        if block:
            spec["subnets"]["further"] = {"cidr_block": block.replace("0.0/16", "1.0/24"), "availability_zone": "a"}
            spec["route_tables"]["private-a"]["subnets"].append("further")
    specs[1]["instances"]["web"]["source_dest_check"] = False
    assert check_pair(*specs) == "converged"
