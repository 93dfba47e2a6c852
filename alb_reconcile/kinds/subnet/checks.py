"""Checks subnets of a spec: ranges that fit into their VPC and beside each other, by length too, and zones."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.networks import address_range, by_vpc, ipv6_network, network, network_of, vpc_of
from alb_reconcile.kinds.vpc.checks import check_lengths, keep_one
from alb_reconcile.model.nodes import Path


def check_entries(around: Around) -> None:
    """Report subnets that AWS would refuse."""
    for path, text in around.texts("subnets", ..., "cidr_block"):
        address_range(around, path, text, is_of_vpc=True)
    _check_ranges(around)
    taken: dict[tuple[str | None, int], str] = {}
    for name, entry in around.entries("subnets").items():
        _check_ipv6(around, name, entry, taken)
    for name, entry in around.entries("subnets").items():
        check_lengths(around, ("subnets", name), entry)
        _check_pools(around, ("subnets", name), entry)
    for vpc in around.entries("vpcs"):
        _check_room(around, vpc)


def _check_ranges(around: Around) -> None:
    found: dict[str, list[tuple[ipaddress.IPv4Network, str]]] = defaultdict(list)
    for name, entry in around.entries("subnets").items():
        block, vpc = network_of(around, "subnets", name), vpc_of(around, "subnets", name)
        zone = entry.get("availability_zone")
        if zone and len(zone) > 1 and around.region and not zone.startswith(around.region):
            text = f"{zone} is not in the region {around.region}; write the letter alone, or a zone of that region"
            around.error(("subnets", name, "availability_zone"), text)
        if block is None or vpc is None:
            continue
        there = _ranges_of(around, vpc)
        if there and not any(block.subnet_of(item) for item in there):
            ranges = ", ".join(map(str, there))
            text = f"{block} is outside vpc.{vpc} ({ranges}); choose a range inside it"
            around.error(("subnets", name, "cidr_block"), text)
        found[vpc].append((block, name))
    for blocks in found.values():
        (last, last_name), *others = sorted(blocks)
        for block, name in others:
            if block.overlaps(last):
                text = f"{block} overlaps subnet.{last_name} ({last}); choose a free range"
                around.error(("subnets", name, "cidr_block"), text)
            if block.broadcast_address > last.broadcast_address:
                last, last_name = block, name


def _ranges_of(around: Around, vpc: str) -> list[ipaddress.IPv4Network]:
    """The IPv4 ranges of a VPC in the spec, as far as they are valid; none where it may have others."""
    entry = around.entries("vpcs").get(vpc, {})
    given = [entry.get("cidr_block"), *(entry.get("secondary_cidr_blocks") or ())]
    if entry.get("ipv4_ipam_pool_id") or not all(isinstance(item, str) for item in given):
        return []  # a pool chooses one
    return [item for text in given if (item := network(text))]


def _check_ipv6(around: Around, name: str, entry: Entry, taken: dict[tuple[str | None, int], str]) -> None:
    path, vpc = ("subnets", name), vpc_of(around, "subnets", name)
    given = entry.get("ipv6_cidr_block")
    if entry.get("ipv6_native") and "cidr_block" in entry:
        around.error((*path, "cidr_block"), "is given together with ipv6_native: true; leave out one of them")
    keep_one(around, path, entry, "availability_zone", "availability_zone_id")
    own = {"ipv6_cidr_block", "ipv6_ipam_pool_id"} & around.given(path).keys()
    if entry.get("assign_ipv6_address_on_creation") and not own:
        text = "needs an IPv6 range; give the subnet an ipv6_cidr_block"
        around.error((*path, "assign_ipv6_address_on_creation"), text)
    whole = around.entries("vpcs").get(vpc or "")
    has_ipv6 = whole is None or whole.get("amazon_provided_ipv6_cidr_block")
    has_ipv6 = has_ipv6 or bool({"ipv6_pool", "ipv6_ipam_pool_id"} & (whole or {}).keys())
    if given is not None and not has_ipv6:
        text = f"vpc.{vpc} has no IPv6 range in this file; write amazon_provided_ipv6_cidr_block: true there"
        around.error((*path, "ipv6_cidr_block"), text)
    elif isinstance(given, int):
        if whole is not None and "ipv6_pool" in whole:
            text = f"a number counts the ranges of Amazon's /56, and vpc.{vpc} takes its range from a pool; write the range itself"
            around.error((*path, "ipv6_cidr_block"), text)
        elif whole is not None and "ipv6_ipam_pool_id" in whole and whole.get("ipv6_netmask_length") != 56:
            text = f"a number counts the ranges of a /56; write ipv6_netmask_length: 56 for vpc.{vpc}, or the range itself here"
            around.error((*path, "ipv6_cidr_block"), text)
        elif (first := taken.setdefault((vpc, given), name)) != name:
            around.error((*path, "ipv6_cidr_block"), f"is subnet.{first}'s number, too; choose another")
    elif isinstance(given, str):
        ipv6_network(around, (*path, "ipv6_cidr_block"), given, range(44, 65, 4))


def _check_pools(around: Around, path: Path, entry: Entry) -> None:
    keep_one(around, path, entry, "ipv6_cidr_block", "ipv6_ipam_pool_id")
    for key in ("ipv4_netmask_length", "ipv4_ipam_pool_id"):
        if entry.get("ipv6_native") and key in entry:
            around.error((*path, key), "is given together with ipv6_native: true; leave out one of them")


def _check_room(around: Around, vpc: str) -> None:
    """Whether the subnets of a VPC fit in by their lengths, as far as all lengths are known."""
    entry = around.entries("vpcs")[vpc]
    ranges = [_length(entry), *map(_length, map(_as_entry, entry.get("secondary_cidr_blocks") or ()))]
    subnets = [(name, around.entries("subnets")[name]) for name in around.kept(by_vpc, "subnets").get(vpc, ())]
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
            around.error(path, f"/{length} is larger than vpc.{vpc} (/{largest}); give it a longer netmask")
            continue
        room -= _addresses([length])
        if room < 0:
            around.error(path, f"vpc.{vpc} has no room left for a /{length}; give its subnets longer netmasks")
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


def given_ranges(around: Around, vpc: str | None) -> tuple[str, ...]:
    """The IPv4 ranges that are given to the subnets of a VPC. Ask for it as `around.kept(given_ranges, vpc)`."""
    subnets = (around.entries("subnets")[name] for name in around.kept(by_vpc, "subnets").get(vpc, ()))
    return tuple(sorted(item["cidr_block"] for item in subnets if "cidr_block" in item))
