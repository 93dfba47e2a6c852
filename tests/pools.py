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


class _VpcOf(str):
    """The id of any VPC whose Name ends like that: nobody knows it before it is made."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        names = Place(DEFAULT_ACCOUNT_ID, REGION).ec2.tags.get(other, {})
        return str(names.get("Name", "")).endswith(str(self))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def known_pools(pools: Sequence[str], ranges: Sequence[str], vpc_name: str = "") -> None:
    """Pools with ids that a spec can say before: for the region, or for the subnets of VPCs with Names that end so."""
    for pool, cidr in zip(pools, ranges, strict=True):
        settings: dict[str, Any] = {"AddressFamily": "ipv6" if ":" in cidr else "ipv4", "Locale": REGION}
        if vpc_name:
            settings["SourceResource"] = {"ResourceId": _VpcOf(vpc_name)}
        Place(DEFAULT_ACCOUNT_ID, REGION).ledger.ipam_pools[pool] = Pool(pool, settings, [cidr])
