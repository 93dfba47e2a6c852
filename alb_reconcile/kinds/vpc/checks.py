"""Checks VPCs of a spec, and that what refers to each other is in one VPC."""

import ipaddress
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from alb_reconcile.kinds import by_section, load_kinds
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.networks import address_range, ipv6_network, network, vpc_of
from alb_reconcile.kinds.vpc.encryption import EXCLUSIONS
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.resource import field_names

_PRIVATE: Final = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16")))
"""Of which a VPC has one only (Amazon VPC User Guide, "IPv4 CIDR block association restrictions")."""
_LINK_LOCAL: Final = ipaddress.IPv4Network("169.254.0.0/16")
_NONE: Final = "give a VPC's id, look one up (vpc: {tag: {Name: shared}}), or declare one under vpcs"


def check_entries(around: Around) -> None:
    """Report ranges that a VPC can't have, and encryption controls that AWS would refuse."""
    for path, text in around.texts("vpcs", ..., "cidr_block"):
        address_range(around, path, text, is_of_vpc=True)
    for name, entry in around.entries("vpcs").items():
        _check_secondary(around, name, entry)
        _check_ipv6(around, name, entry)
        check_lengths(around, ("vpcs", name), entry)
    _check_encryption(around)


def _check_secondary(around: Around, name: str, entry: Entry) -> None:
    primary = network(entry.get("cidr_block"))
    before = [primary] if primary else []
    for path, text in around.texts("vpcs", name, "secondary_cidr_blocks", ...):
        block = address_range(around, path, text, is_of_vpc=True)
        if block is None:
            continue
        if over := [other for other in before if other.overlaps(block)]:
            around.error(path, f"{block} overlaps {over[0]} of the same VPC; choose a free range")
        elif primary and _is_restricted(block, primary, before):
            told = f"AWS doesn't add {block} to a VPC with {primary}; choose a range of the same private block, of 100.64.0.0/10, or a public one"
            around.error(path, told)
        before.append(block)


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


def _check_ipv6(around: Around, name: str, entry: Entry) -> None:
    path = ("vpcs", name)
    sources = [
        name for name in ("amazon_provided_ipv6_cidr_block", "ipv6_pool", "ipv6_ipam_pool_id") if entry.get(name)
    ]
    for name in sources[1:]:
        around.error((*path, name), f"is given together with {sources[0]}; keep one")
    if "ipv6_cidr_block" in entry and not {"ipv6_pool", "ipv6_ipam_pool_id"} & entry.keys():
        text = "comes from a pool of yours; name it as ipv6_pool or ipv6_ipam_pool_id, too"
        around.error((*path, "ipv6_cidr_block"), text)
    if "ipv6_cidr_block_network_border_group" in entry and not entry.get("amazon_provided_ipv6_cidr_block"):
        text = "is for a range of Amazon's; write amazon_provided_ipv6_cidr_block: true as well"
        around.error((*path, "ipv6_cidr_block_network_border_group"), text)
    if "ipv6_cidr_block" in entry:
        ipv6_network(around, (*path, "ipv6_cidr_block"), entry["ipv6_cidr_block"], range(44, 61, 4))


_EXCLUSIVE: Final = (("cidr_block", "ipv4_netmask_length"), ("ipv6_cidr_block", "ipv6_netmask_length"))


def check_lengths(around: Around, path: Path, entry: Entry) -> None:
    """Report ranges of a VPC or subnet that are given twice, or of which only the length is and no pool."""
    for one, other in _EXCLUSIVE:
        keep_one(around, path, entry, one, other)
    lonely = "ipv6_netmask_length" in entry and not {"ipv6_ipam_pool_id", "ipv6_cidr_block"} & entry.keys()
    if lonely:
        text = "is for a range that an IPAM pool chooses; name the pool as ipv6_ipam_pool_id, too"
        around.error((*path, "ipv6_netmask_length"), text)


def keep_one(around: Around, path: Path, entry: Entry, one: str, other: str) -> None:
    """Report the second of two keys that exclude each other."""
    if one in entry and other in entry:
        around.error((*path, other), f"is given together with {one}; keep one")


def _check_encryption(around: Around) -> None:
    """Exclusions where they have a meaning, and gateways that enforcement keeps out."""
    for path, control in around.mappings("vpcs", ..., "vpc_encryption_control"):
        for name, value in control.items():
            if value == "enable" and control.get("mode") == "monitor":
                text = "is for a VPC that enforces encryption; write mode: enforce, or leave it out"
                around.error((*path, name), text)
    for kind in (found for name in EXCLUSIONS if (found := load_kinds().get(name))):
        for name in around.entries(kind.section):
            vpc = vpc_of(around, kind.section, name)
            control = around.entries("vpcs").get(vpc or "", {}).get("vpc_encryption_control") or {}
            if control.get("mode") == "enforce" and control.get(f"{kind.name}_exclusion") != "enable":
                text = (
                    f"keeps {kind.name}.{name} out; write {kind.name}_exclusion: enable as well, or remove the gateway"
                )
                around.error(("vpcs", str(vpc), "vpc_encryption_control", "mode"), text)


def check_use(around: Around) -> None:
    """Report entries whose VPC can't be known, and references from one VPC into another."""
    _check_implied(around)
    _check_references(around)


def _check_implied(around: Around) -> None:
    vpcs = list(around.entries("vpcs"))
    if len(vpcs) == 1 or around.is_misnamed("vpcs"):
        return
    choice = f"say which: {', '.join(vpcs[:8])}" if vpcs else _NONE
    text = f"is missing, and the file has {len(vpcs) or 'no'} VPCs; {choice}"
    for section, kind in by_section().items():
        for name, entry in around.entries(section).items() if "vpc" in field_names(kind.properties) else ():
            is_said = not around.given((section, name)).keys().isdisjoint(("vpc", "subnet"))
            if kind.is_in_vpc(entry) and not is_said and not vpc_of(around, section, name):
                around.error((section, name, "vpc"), text, at_key=True)


def _check_references(around: Around) -> None:
    for (section, name), references in groupby(around.references, lambda reference: reference.path[:2]):
        vpc = vpc_of(around, str(section), str(name))
        for path, kind, target in references:
            other = vpc_of(around, load_kinds()[kind].section, target) if kind != "vpc" else None
            if isinstance(vpc, Lookup) or isinstance(other, Lookup):
                continue  # two may lead to one
            if vpc and other and vpc != other and is_aws_id(vpc) == is_aws_id(other):
                here = f"this is in {vpc}; choose one in the same VPC"
                if user := load_kinds()[kind].used_by:
                    here = f"{user} is in {vpc}; both must be in one"
                around.error(path, f"{target} is in the VPC {other}, but {here}")
