"""Finds the VPC, the availability zone and the address ranges of entries of a spec, given or implied."""

import ipaddress
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Final

from alb_reconcile.kinds import by_section
from alb_reconcile.kinds.base import AnyKind, Around, Entry
from alb_reconcile.kinds.identifiers import is_aws_id, refer
from alb_reconcile.model.address import Ref
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.resource import field_names

ANYWHERE: Final = ("0.0.0.0/0", "::/0")
"""All addresses of IPv4, and of IPv6."""


def vpc_of(around: Around, section: str, name: str) -> str | None:
    """The name or id of an entry's VPC, also where the spec only implies it; None where the spec doesn't show it."""
    entry = around.entries(section).get(name)
    if entry is None:
        return None
    kind = by_section()[section]
    fields = field_names(kind.properties)
    if not kind.is_in_vpc(entry):
        return None
    if "vpc" not in fields and "subnets" in fields:
        vpcs = subnet_vpcs(around, section, name)
        return vpcs.pop() if len(vpcs) == 1 else None
    if isinstance(subnet := entry.get("subnet"), str) and "subnet" in fields:
        return vpc_of(around, "subnets", subnet)
    vpc = entry.get("vpc")
    if isinstance(vpc, str):
        return vpc if is_aws_id(vpc) or vpc in around.entries("vpcs") else None
    own = around.entries("vpcs")
    return next(iter(own)) if len(own) == 1 and "vpc" not in around.given((section, name)) else None


def implied_fields(kind: AnyKind, name: str, entry: Entry, around: Around) -> dict[str, Ref | None]:
    """The field `vpc` of an entry that is in a VPC, given or implied; no field for other entries."""
    if "vpc" not in field_names(kind.properties) or not kind.is_in_vpc(entry):
        return {}
    vpc = vpc_of(around, kind.section, name)
    if vpc is None and "subnet" not in entry:  # only AWS knows the VPC of a foreign subnet
        raise AssertionError(f"{kind.section}.{name}: the checks let an entry without a VPC through")
    return {"vpc": None if vpc is None else refer("vpc", vpc)}


def by_vpc(around: Around, section: str) -> Mapping[str | None, list[str]]:
    """The names of a section's entries by their VPC. Ask for it as `around.kept(by_vpc, section)`."""
    found: dict[str | None, list[str]] = defaultdict(list)
    for name in around.entries(section):
        found[vpc_of(around, section, name)].append(name)
    return dict(found)


def check_one_in_a_vpc(around: Around, section: str) -> None:
    """Report entries that share a VPC, in a section of which AWS allows one entry in a VPC."""
    seen: dict[str, str] = {}
    for name in around.entries(section):
        vpc = vpc_of(around, section, name)
        if vpc and (first := seen.setdefault(vpc, name)) != name:
            text = f"the VPC {vpc} already has {by_section()[section].name}.{first}, and AWS allows one; remove one"
            around.error((section, name), text, at_key=True)


def check_one_in_a_zone(around: Around, section: str, name: str, advice: str) -> None:
    """Report subnets of an entry that share a zone: AWS allows one in a zone."""
    zones: dict[str, str] = {}
    for path, subnet in around.texts(section, name, "subnets", ...):
        zone = zone_of(around, subnet)
        if zone and (first := zones.setdefault(zone, subnet)) != subnet:
            told = f"{subnet} is in the zone {zone}, as is {first}, and AWS allows one subnet per zone"
            around.error(path, f"{told}; {advice}")


def check_one_vpc(around: Around, section: str, name: str, why: str = "") -> list[str]:
    """Report an entry with subnets in more than one VPC. Returns the VPCs, as far as the spec shows them."""
    vpcs = sorted(filter(None, subnet_vpcs(around, section, name)))
    if len(vpcs) > 1:
        text = f"these are in different VPCs ({', '.join(vpcs)}){why}; choose subnets of one"
        around.error((section, name, "subnets"), text)
    return vpcs


def subnet_vpcs(around: Around, section: str, name: str) -> set[str | None]:
    """The VPCs of the subnets that an entry names; None among them stands for VPCs that the spec doesn't show."""
    subnets = {subnet for _, subnet in around.texts(section, name, "subnets", ...)}
    vpcs = {vpc_of(around, "subnets", subnet) for subnet in subnets}
    return {None if isinstance(vpc, Lookup) else vpc for vpc in vpcs}


def zone_of(around: Around, subnet: str) -> str | None:
    """The zone of a subnet in the spec: its whole name if the region is known."""
    zone = around.entries("subnets").get(subnet, {}).get("availability_zone")
    return f"{around.region}{zone}" if zone and around.region and len(zone) == 1 else zone


def network_of(around: Around, section: str, name: str) -> ipaddress.IPv4Network | None:
    """The IPv4 range of a VPC or subnet in the spec; None where it is missing or wrong."""
    return network(around.entries(section).get(name, {}).get("cidr_block"))


@cache
def network(text: object) -> ipaddress.IPv4Network | None:
    """An IPv4 range without host bits, or None."""
    try:
        return ipaddress.IPv4Network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def address_range(around: Around, path: Path, text: str, *, is_of_vpc: bool = False) -> ipaddress.IPv4Network | None:
    """The range that a text says, if it is a valid one of IPv4; else None. Reports a mistake in it; the path's key says the family."""
    ipv6 = str(path[-1]).endswith("ipv6_cidr_block")
    try:
        loose = (ipaddress.IPv6Network if ipv6 else ipaddress.IPv4Network)(text, strict=False)
    except ValueError:
        example = "2001:db8::/32" if ipv6 else "10.0.0.0/16"
        around.error(path, f'"{text}" is not an address range; write one such as {example}')
        return None
    if is_of_vpc and not 16 <= loose.prefixlen <= 28:
        around.error(path, f"/{loose.prefixlen} is a size that AWS refuses; give it /16 to /28")
        return None
    if loose.network_address != ipaddress.ip_interface(text).ip:
        around.error(path, f'"{text}" has host bits set; write {loose}')
    return network(text)


def ipv6_network(around: Around, path: Path, text: str, sizes: range) -> ipaddress.IPv6Network | None:
    """The IPv6 range that a text says; None where it is wrong, which is reported. `sizes` are the prefix lengths that AWS takes."""
    try:
        loose = ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        around.error(path, f'"{text}" is not an IPv6 range; write one such as 2001:db8:1234:1a00::/64')
        return None
    if loose.prefixlen not in sizes:
        told = f"/{loose.prefixlen} is a size that AWS refuses; give it /{sizes[0]} to /{sizes[-1]}, in steps of {sizes.step}"
        around.error(path, told)
        return None
    if loose.network_address != ipaddress.IPv6Interface(text).ip:
        around.error(path, f'"{text}" has host bits set; write {loose}')
        return None
    return loose
