"""Checks VPCs of a spec, and that entries that refer to each other are in one VPC."""

import ipaddress
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from alb_reconcile.kinds import by_section, load_kinds
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.networks import address_range, network, vpc_of
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.resource import field_names

_PRIVATE: Final = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16")))
"""Private blocks, of which a VPC has ranges from one only (Amazon VPC User Guide, "IPv4 CIDR block association restrictions")."""
_LINK_LOCAL: Final = ipaddress.IPv4Network("169.254.0.0/16")
_NONE: Final = "give a VPC's id, look one up (vpc: {tag: {Name: shared}}), or declare one under vpcs"


def check_entries(around: Around) -> None:
    """Report ranges that a VPC can't have."""
    for path, text in around.texts("vpcs", ..., "cidr_block"):
        address_range(around, path, text, is_of_vpc=True)
    for name, entry in around.entries("vpcs").items():
        _check_secondary(around, name, entry)


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
    """Whether AWS doesn't add a range to a VPC (the table "IPv4 CIDR block association restrictions")."""
    own, new = (next((item for item in _PRIVATE if part.subnet_of(item)), None) for part in (primary, block))
    if block.overlaps(_LINK_LOCAL) or (new and new != own):
        return True
    low, first = ipaddress.IPv4Network("10.0.0.0/15"), ipaddress.IPv4Network("10.0.0.0/16")
    default = ipaddress.IPv4Network("172.31.0.0/16")
    return (block.subnet_of(first) and any(item.subnet_of(low) for item in present)) or block.subnet_of(default)


def check_use(around: Around) -> None:
    """Report entries with a VPC that the spec doesn't show, and references from one VPC into another."""
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
                continue  # two look-ups may find the same VPC
            if vpc and other and vpc != other and is_aws_id(vpc) == is_aws_id(other):
                here = f"this is in {vpc}; choose one in the same VPC"
                if user := load_kinds()[kind].used_by:
                    here = f"{user} is in {vpc}; both must be in one"
                around.error(path, f"{target} is in the VPC {other}, but {here}")
