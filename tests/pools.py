"""IPAM pools, as somebody who looks after a company's addresses makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.ipam import Pool
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, by_hand

if TYPE_CHECKING:
    from collections.abc import Sequence


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


class _Vpc(dict[str, str]):
    """The VPC of a Name, whose id nobody knows before it is made."""

    def get(self, key: str, default: Any = None) -> Any:
        here = Place(DEFAULT_ACCOUNT_ID, REGION).ec2
        return next((vpc for vpc in here.vpcs if here.tags.get(vpc, {}).get("Name") == self["name"]), default)


def known_pools(pools: Sequence[str], ranges: Sequence[str], vpc_name: str = "") -> None:
    """Pools with ids that a spec can say before: for the region, and for the subnets of a VPC with that Name."""
    for pool, cidr in zip(pools, ranges, strict=True):
        settings: dict[str, Any] = {"AddressFamily": "ipv6" if ":" in cidr else "ipv4", "Locale": REGION}
        if vpc_name:
            settings["SourceResource"] = _Vpc(name=vpc_name)
        Place(DEFAULT_ACCOUNT_ID, REGION).ledger.ipam_pools[pool] = Pool(pool, settings, [cidr])
