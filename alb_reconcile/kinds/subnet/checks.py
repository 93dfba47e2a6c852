"""Checks subnets of a spec: whether their ranges fit into their VPC without an overlap, and their zones."""

import ipaddress
from collections import defaultdict

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.networks import address_range, ipv6_network, network, network_of, vpc_of


def check_entries(around: Around) -> None:
    """Report subnets that AWS would refuse."""
    for path, text in around.texts("subnets", ..., "cidr_block"):
        address_range(around, path, text, is_of_vpc=True)
    _check_ranges(around)
    taken: dict[tuple[str | None, int], str] = {}
    for name, entry in around.entries("subnets").items():
        _check_ipv6(around, name, entry, taken)


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
    """The IPv4 ranges of a VPC in the spec, as far as they are valid."""
    entry = around.entries("vpcs").get(vpc, {})
    given = [entry.get("cidr_block"), *(entry.get("secondary_cidr_blocks") or ())]
    return [item for text in given if (item := network(text))]


def _check_ipv6(around: Around, name: str, entry: Entry, taken: dict[tuple[str | None, int], str]) -> None:
    path, vpc = ("subnets", name), vpc_of(around, "subnets", name)
    given = entry.get("ipv6_cidr_block")
    if entry.get("ipv6_native") and "cidr_block" in entry:
        around.error((*path, "cidr_block"), "is given together with ipv6_native: true; leave out one of them")
    if entry.get("assign_ipv6_address_on_creation") and "ipv6_cidr_block" not in around.given(path):
        text = "needs an IPv6 range; give the subnet an ipv6_cidr_block"
        around.error((*path, "assign_ipv6_address_on_creation"), text)
    whole = around.entries("vpcs").get(vpc or "")
    if isinstance(given, int):
        if whole is not None and not whole.get("amazon_provided_ipv6_cidr_block"):
            text = f"vpc.{vpc} has no IPv6 range in this file; write amazon_provided_ipv6_cidr_block: true there"
            around.error((*path, "ipv6_cidr_block"), text)
        elif (first := taken.setdefault((vpc, given), name)) != name:
            around.error((*path, "ipv6_cidr_block"), f"is subnet.{first}'s number, too; choose another")
    elif isinstance(given, str):
        ipv6_network(around, (*path, "ipv6_cidr_block"), given, range(44, 65, 4))
