"""IPAM pools, as somebody who looks after a company's addresses makes them."""

from __future__ import annotations

from typing import Any

from tests.harness import REGION, by_hand


def make_pool(cidr: str, *, vpc: str = "", **settings: Any) -> str:
    """A pool with a range, for the region, or for the subnets of a VPC. Returns its id."""
    ec2 = by_hand("ec2")
    if vpc:
        source = {"ResourceId": vpc, "ResourceType": "vpc", "ResourceRegion": REGION, "ResourceOwner": "123456789012"}
        settings["SourceResource"] = source
    family = "ipv6" if ":" in cidr else "ipv4"
    given = {"IpamScopeId": "ipam-scope-0a1b2c3d4e5f60718", "AddressFamily": family, "Locale": REGION, **settings}
    pool = str(ec2.create_ipam_pool(**given)["IpamPool"]["IpamPoolId"])
    ec2.provision_ipam_pool_cidr(IpamPoolId=pool, Cidr=cidr)
    return pool


def held(pool: str) -> dict[str, str]:
    """Who has which of a pool's ranges."""
    rows = by_hand("ec2").get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
    return {row["Cidr"]: row["ResourceId"] for row in rows}
