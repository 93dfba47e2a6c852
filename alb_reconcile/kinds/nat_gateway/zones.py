"""Counts all NAT gateways in a zone, the stack's and others', and compares the count with the quota (Amazon VPC quotas)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.quotas import over_quota, read_quota
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import ignoring

_CODE: Final = "L-FE5A380F"
_USUAL: Final = 5
_COUNTED: Final = ("pending", "available", "deleting")


async def crowded_zones(aws: Aws, made: Sequence[Intent]) -> list[Finding]:
    """The zones without room for the zonal gateways that are to be made. A gateway that is replaced still takes room: it is deleted last.

    Zones that aren't known are left out, and so are regional gateways, since AWS doesn't say whether these count.
    """
    joining: dict[str, list[Intent]] = defaultdict(list)
    for item in made:
        if len(item.zones) == 1 and item.wanted.subnet is not None:
            joining[item.zones[0]].append(item)
    if not joining:
        return []
    there = await _count(aws, joining)
    over = [zone for zone, items in joining.items() if there[zone] + len(items) > _USUAL]
    if not over:
        return []
    quota = await read_quota(aws, "vpc", _CODE)
    return [
        finding
        for zone in over
        for finding in over_quota(
            joining[zone][0].desired, "NAT gateways", quota, there[zone], len(joining[zone]), zone, "subnet"
        )
    ]


async def _count(aws: Aws, zones: Collection[str]) -> Counter[str]:
    """How many zonal gateways each zone has; none are counted where these credentials may not read them."""
    found: Counter[str] = Counter()
    with ignoring("UnauthorizedOperation"):
        rows = await aws.pages("ec2", "describe_nat_gateways", "NatGateways", where={"state": _COUNTED})
        subnets = Counter(row["SubnetId"] for row in rows if row.get("SubnetId") and row.get("State") in _COUNTED)
        if not subnets:
            return found
        rows = await aws.pages("ec2", "describe_subnets", "Subnets", where={"availability-zone": sorted(zones)})
        for row in rows:
            found[row["AvailabilityZone"]] += subnets[row["SubnetId"]]
    return found
