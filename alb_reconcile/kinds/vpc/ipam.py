"""IPAM pools: who has which of their ranges, and what they would refuse (EC2 GetIpamPoolAllocations, DescribeIpamPools)."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired

MANAGED: Final = "IPAM Managed"
"""What DescribeVpcs says of an IPv6 range that is from an IPAM pool, whichever it is."""
PREFIX: Final = "ipam-pool-"
_MISSING: Final = "InvalidIpamPoolId.NotFound"
Allocations = Mapping[tuple[str, str], str]
"""Pools by the resource that has a range of one, and the range."""


def from_pool(pool: str, length: int | None) -> str:
    """What stands for a range that a pool is to give, in place of the range: ipam-pool-…/24, or without a length."""
    return pool if length is None else f"{pool}/{length}"


def is_from_pool(text: str) -> bool:
    """Whether it does."""
    return text.startswith(PREFIX)


def pool_params(text: str, family: str) -> dict[str, Any]:
    """How calls say it. `family` is Ipv4 or Ipv6."""
    pool, _, length = text.partition("/")
    return {f"{family}IpamPoolId": pool, **({f"{family}NetmaskLength": int(length)} if length else {})}


def length_of(cidr: str) -> int | None:
    """A range's netmask length; None for no range."""
    return int(cidr.partition("/")[2]) if "/" in cidr else None


async def read_allocations(reader: Reader, pools: Iterable[str | None]) -> Allocations | None:
    """What those pools have given, each read once; None where one can't be read, or there are none."""
    named = sorted(set(filter(None, pools)))
    parts = await asyncio.gather(*(reader.once(_read, reader.aws, pool) for pool in named))
    known = [part for part in parts if part is not None]
    return {key: pool for part in known for key, pool in part.items()} if named and len(known) == len(named) else None


async def _read(aws: Aws, pool: str) -> Allocations | None:
    with ignoring("UnauthorizedOperation", _MISSING):
        rows = await aws.pages("ec2", "get_ipam_pool_allocations", "IpamPoolAllocations", IpamPoolId=pool)
        return {(str(row.get("ResourceId", "")), str(row["Cidr"])): pool for row in rows}
    return None


def choose_known(
    wanted: Sequence[str], found: Sequence[str], resource: str, allocations: Allocations | None
) -> tuple[str, ...]:
    """Ranges that are wanted, with those that are there in place of those that pools were to give.

    A range that the pool has given is taken first, then one of that length of which nobody knows a pool: AWS doesn't show of
    which a range is, and pools forget.
    """
    left = [item for item in found if item not in wanted]
    known = allocations or {}
    result = []
    for item in sorted(wanted, key=lambda item: -len(item)):  # with a length first
        pool, _, length = item.partition("/")
        fits = [text for text in left if not length or length_of(text) == int(length)]
        own = [text for text in fits if known.get((resource, text)) == pool]
        chosen = (own or [text for text in fits if (resource, text) not in known]) if is_from_pool(item) else []
        result.append(chosen[0] if chosen else item)
        left = [text for text in left if text not in result]
    return tuple(sorted(result))


class Use(NamedTuple):
    """What a pool is to give: to whom, by which property, and whether ranges of IPv4 or IPv6."""

    desired: Desired
    path: str
    pool: str
    length: int | None
    family: str = "ipv4"
    is_named: bool = False
    """Whether the range itself is named."""


async def check_pools(aws: Aws, uses: Sequence[Use]) -> list[Finding]:
    """What the pools would refuse. Whether they have room only AWS knows."""
    if not uses:
        return []
    with ignoring("UnauthorizedOperation"):
        rows = {row["IpamPoolId"]: row for row in await _describe(aws, sorted({item.pool for item in uses}))}
        return [Finding(item.desired, item.path, text) for item in uses for text in _why_not(aws, item, rows)]
    return []


async def _describe(aws: Aws, pools: Sequence[str]) -> list[dict[str, Any]]:
    """A call fails whole where there isn't one of them."""
    with ignoring(_MISSING):
        return await aws.pages("ec2", "describe_ipam_pools", "IpamPools", IpamPoolIds=list(pools))
    return [row for pool in pools for row in await _describe(aws, [pool])] if len(pools) > 1 else []


def _why_not(aws: Aws, use: Use, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    row = rows.get(use.pool)
    if row is None:
        yield f"there is no IPAM pool {use.pool} here; correct the id, or have it shared with this account"
        return
    family, locale = str(row.get("AddressFamily", use.family)), str(row.get("Locale", ""))
    if family != use.family:
        yield f"{use.pool} has ranges of {family}; name a pool of {use.family}"
        return
    if locale and aws.region and locale != aws.region and not locale.startswith(f"{aws.region}-"):
        yield f"{use.pool} is for {locale}; name a pool whose locale is {aws.region}"
    low, high = (row.get(f"Allocation{name}NetmaskLength") for name in ("Min", "Max"))
    if use.length is not None and not (low or 0) <= use.length <= (high or 128):
        yield f"{use.pool} gives no /{use.length}; choose /{low or 0} to /{high or 128}"
    if use.length is None and not use.is_named and row.get("AllocationDefaultNetmaskLength") is None:
        yield f"{use.pool} has no default netmask length; give {use.family}_netmask_length"
    wanted = {tag["Key"]: tag["Value"] for tag in row.get("AllocationResourceTags") or ()}
    if missing := {key: value for key, value in wanted.items() if use.desired.tags.get(key) != value}:
        words = ", ".join(f"{key}: {value}" for key, value in sorted(missing.items()))
        yield f"{use.pool} gives to resources with certain tags only; add {words} to tags"
