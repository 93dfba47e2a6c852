"""Ranges and addresses that IPAM pools choose, and ranges of which only the length is given."""

from collections.abc import Iterable
from typing import Any, Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline, network

_EXCLUSIVE: Final = (("cidr_block", "ipv4_netmask_length"), ("ipv6_cidr_block", "ipv6_netmask_length"))


def check(outline: Outline) -> None:
    """Report what AWS would refuse of them, and lengths that don't fit into their VPC."""
    for section in ("vpcs", "subnets"):
        for name, entry in outline.entries(section).items():
            _check_lengths(outline, (section, name), entry)
    for name, entry in outline.entries("subnets").items():
        _check_subnet(outline, ("subnets", name), entry)
    for name, entry in outline.entries("elastic_ips").items():
        _keep_one(outline, ("elastic_ips", name), entry, "public_ipv4_pool", "ipam_pool_id")
    for vpc in outline.entries("vpcs"):
        _check_room(outline, vpc)


def _keep_one(outline: Outline, path: Path, entry: Entry, one: str, other: str) -> None:
    if one in entry and other in entry:
        outline.error((*path, other), f"is given together with {one}; keep one")


def _check_lengths(outline: Outline, path: Path, entry: Entry) -> None:
    for one, other in _EXCLUSIVE:
        _keep_one(outline, path, entry, one, other)
    lonely = "ipv6_netmask_length" in entry and not {"ipv6_ipam_pool_id", "ipv6_cidr_block"} & entry.keys()
    if lonely:
        outline.error(
            (*path, "ipv6_netmask_length"),
            "is for a range that an IPAM pool chooses; name the pool as ipv6_ipam_pool_id, too",
        )


def _check_subnet(outline: Outline, path: Path, entry: Entry) -> None:
    _keep_one(outline, path, entry, "ipv6_cidr_block", "ipv6_ipam_pool_id")
    for key in ("ipv4_netmask_length", "ipv4_ipam_pool_id"):
        if entry.get("ipv6_native") and key in entry:
            outline.error((*path, key), "is given together with ipv6_native: true; leave out one of them")


def _check_room(outline: Outline, vpc: str) -> None:
    """Whether the subnets of a VPC fit in by their lengths, as far as all lengths are known."""
    entry = outline.entries("vpcs")[vpc]
    ranges = [_length(entry), *map(_length, map(_as_entry, entry.get("secondary_cidr_blocks") or ()))]
    subnets = [(name, outline.entries("subnets")[name]) for name in outline.by_vpc("subnets").get(vpc, ())]
    if None in ranges:
        return
    room = _addresses(ranges) - _addresses(_length(item) for _, item in subnets if "cidr_block" in item)
    largest = min(item for item in ranges if item is not None)
    for name, item in subnets:
        length = None if "cidr_block" in item else item.get("ipv4_netmask_length")
        if length is None:
            continue
        path = ("subnets", name, "ipv4_netmask_length")
        if length < largest:
            outline.error(path, f"/{length} is larger than vpc.{vpc} (/{largest}); give it a longer netmask")
            continue
        room -= _addresses([length])
        if room < 0:
            outline.error(path, f"vpc.{vpc} has no room left for a /{length}; give its subnets longer netmasks")
            return


def _as_entry(item: Any) -> Entry:
    return item if isinstance(item, dict) else {"cidr_block": item}


def _length(entry: Entry) -> int | None:
    """How long the netmask of an entry's IPv4 range is; None where only a pool knows."""
    block = network(entry.get("cidr_block"))
    length: int | None = block.prefixlen if block else entry.get("ipv4_netmask_length")
    return length


def _addresses(lengths: Iterable[int | None]) -> int:
    return sum(2 ** (32 - length) for length in lengths if length is not None)
