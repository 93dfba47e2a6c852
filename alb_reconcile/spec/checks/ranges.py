"""Ranges of addresses beside the first of a VPC, and of IPv6: what AWS refuses of them."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline, network

_PRIVATE: Final = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16")))
"""Of which a VPC has one only (Amazon VPC User Guide, "IPv4 CIDR block association restrictions")."""
_LINK_LOCAL: Final = ipaddress.IPv4Network("169.254.0.0/16")


def check(outline: Outline) -> None:
    """Report ranges that a VPC or a subnet can't have."""
    for name, entry in outline.entries("vpcs").items():
        _check_secondary(outline, name, entry)
        _check_ipv6_of_vpc(outline, name, entry)
    for path, sort in outline.texts("load_balancers", ..., "ip_address_type"):
        if (
            sort == "dualstack-without-public-ipv4"
            and outline.entries("load_balancers")[str(path[1])].get("scheme") == "internal"
        ):
            outline.error(
                path, "an internal load balancer has no public addresses; write dualstack, or scheme: internet-facing"
            )
    taken: dict[tuple[str | None, int], str] = {}
    for name, entry in outline.entries("subnets").items():
        _check_ipv6_of_subnet(outline, name, entry, taken)


def _check_secondary(outline: Outline, name: str, entry: Entry) -> None:
    primary = network(entry.get("cidr_block"))
    before = [primary] if primary else []
    for path, text in outline.texts("vpcs", name, "secondary_cidr_blocks", ...):
        block = address_range(outline, path, text, is_of_vpc=True)
        if block is None:
            continue
        if over := [other for other in before if other.overlaps(block)]:
            outline.error(path, f"{block} overlaps {over[0]} of the same VPC; choose a free range")
        elif primary and _is_restricted(block, primary, before):
            outline.error(
                path,
                f"AWS doesn't add {block} to a VPC with {primary}; choose a range of the same private block, of 100.64.0.0/10, or a public one",
            )
        before.append(block)


def address_range(outline: Outline, path: Path, text: str, *, is_of_vpc: bool = False) -> ipaddress.IPv4Network | None:
    """The range, if it is one of IPv4; or None with its mistake reported."""
    ipv6 = str(path[-1]).endswith("ipv6_cidr_block")
    try:
        loose = (ipaddress.IPv6Network if ipv6 else ipaddress.IPv4Network)(text, strict=False)
    except ValueError:
        example = "2001:db8::/32" if ipv6 else "10.0.0.0/16"
        outline.error(path, f'"{text}" is not an address range; write one such as {example}')
        return None
    if is_of_vpc and not 16 <= loose.prefixlen <= 28:
        outline.error(path, f"/{loose.prefixlen} is a size that AWS refuses; give it /16 to /28")
        return None
    if loose.network_address != ipaddress.ip_interface(text).ip:
        outline.error(path, f'"{text}" has host bits set; write {loose}')
    return network(text)


def _is_restricted(
    block: ipaddress.IPv4Network, primary: ipaddress.IPv4Network, present: Iterable[ipaddress.IPv4Network]
) -> bool:
    """The table "IPv4 CIDR block association restrictions"."""
    own, new = (next((item for item in _PRIVATE if part.subnet_of(item)), None) for part in (primary, block))
    if block.overlaps(_LINK_LOCAL) or (new and new != own):
        return True
    low, first = ipaddress.IPv4Network("10.0.0.0/15"), ipaddress.IPv4Network("10.0.0.0/16")
    default = ipaddress.IPv4Network("172.31.0.0/16")
    return (block.subnet_of(first) and any(item.subnet_of(low) for item in present)) or block.subnet_of(default)


def _check_ipv6_of_vpc(outline: Outline, name: str, entry: Entry) -> None:
    path = ("vpcs", name)
    sources = [
        name for name in ("amazon_provided_ipv6_cidr_block", "ipv6_pool", "ipv6_ipam_pool_id") if entry.get(name)
    ]
    for name in sources[1:]:
        outline.error((*path, name), f"is given together with {sources[0]}; keep one")
    if "ipv6_cidr_block" in entry and not {"ipv6_pool", "ipv6_ipam_pool_id"} & entry.keys():
        outline.error(
            (*path, "ipv6_cidr_block"), "comes from a pool of yours; name it as ipv6_pool or ipv6_ipam_pool_id, too"
        )
    if "ipv6_cidr_block_network_border_group" in entry and not entry.get("amazon_provided_ipv6_cidr_block"):
        outline.error(
            (*path, "ipv6_cidr_block_network_border_group"),
            "is for a range of Amazon's; write amazon_provided_ipv6_cidr_block: true as well",
        )
    if "ipv6_cidr_block" in entry:
        ipv6_network(outline, (*path, "ipv6_cidr_block"), entry["ipv6_cidr_block"], range(44, 61, 4))


def ipv6_network(outline: Outline, path: Path, text: str, sizes: range) -> ipaddress.IPv6Network | None:
    """The range, or None with its mistake reported."""
    try:
        loose = ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        outline.error(path, f'"{text}" is not an IPv6 range; write one such as 2001:db8:1234:1a00::/64')
        return None
    if loose.prefixlen not in sizes:
        outline.error(
            path,
            f"/{loose.prefixlen} is a size that AWS refuses; give it /{sizes[0]} to /{sizes[-1]}, in steps of {sizes.step}",
        )
        return None
    if loose.network_address != ipaddress.IPv6Interface(text).ip:
        outline.error(path, f'"{text}" has host bits set; write {loose}')
        return None
    return loose


def _check_ipv6_of_subnet(outline: Outline, name: str, entry: Entry, taken: dict[tuple[str | None, int], str]) -> None:
    path, vpc = ("subnets", name), outline.vpc_of("subnets", name)
    given = entry.get("ipv6_cidr_block")
    if entry.get("ipv6_native") and "cidr_block" in entry:
        outline.error((*path, "cidr_block"), "is given together with ipv6_native: true; leave out one of them")
    if "availability_zone" in entry and "availability_zone_id" in entry:
        outline.error((*path, "availability_zone_id"), "is given together with availability_zone; keep one")
    own = {"ipv6_cidr_block", "ipv6_ipam_pool_id"} & outline.given(path).keys()
    if entry.get("assign_ipv6_address_on_creation") and not own:
        outline.error(
            (*path, "assign_ipv6_address_on_creation"), "needs an IPv6 range; give the subnet an ipv6_cidr_block"
        )
    around = outline.entries("vpcs").get(vpc or "")
    has_ipv6 = around is None or around.get("amazon_provided_ipv6_cidr_block")
    has_ipv6 = has_ipv6 or bool({"ipv6_pool", "ipv6_ipam_pool_id"} & (around or {}).keys())
    if given is not None and not has_ipv6:
        outline.error(
            (*path, "ipv6_cidr_block"),
            f"vpc.{vpc} has no IPv6 range in this file; write amazon_provided_ipv6_cidr_block: true there",
        )
    elif isinstance(given, int):
        if around is not None and "ipv6_pool" in around:
            outline.error(
                (*path, "ipv6_cidr_block"),
                f"a number counts the ranges of Amazon's /56, and vpc.{vpc} takes its range from a pool; write the range itself",
            )
        elif around is not None and "ipv6_ipam_pool_id" in around and around.get("ipv6_netmask_length") != 56:
            outline.error(
                (*path, "ipv6_cidr_block"),
                f"a number counts the ranges of a /56; write ipv6_netmask_length: 56 for vpc.{vpc}, or the range itself here",
            )
        elif (first := taken.setdefault((vpc, given), name)) != name:
            outline.error((*path, "ipv6_cidr_block"), f"is subnet.{first}'s number, too; choose another")
    elif isinstance(given, str):
        ipv6_network(outline, (*path, "ipv6_cidr_block"), given, range(44, 65, 4))
