"""Elastic IP addresses: one for each instance that is to have one, none for two, and a gateway through which they are reached."""

from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline

_USERS: Final = (
    ("nat_gateways", ("elastic_ip",)),
    ("nat_gateways", ("secondary_elastic_ips", ...)),
    ("nat_gateways", ("availability_zone_addresses", ..., "elastic_ips", ...)),
    ("instances", ("elastic_ip",)),
    ("instances", ("elastic_ip", ...)),
)
"""Where a spec names one: the section, and the place in an entry."""


def check(outline: Outline) -> None:
    """Report addresses that AWS would refuse, or take away from somebody else of this file."""
    _check_uses(outline)
    for name, entry in outline.entries("instances").items():
        if "elastic_ip" in entry:
            _check_count(outline, name, entry)
            _check_gateway(outline, name)


def _check_uses(outline: Outline) -> None:
    seen: dict[str, Path] = {}
    for section, below in _USERS:
        for path, address in outline.texts(section, ..., *below):
            if (first := seen.setdefault(address, path)) != path:
                user = f"nat_gateway.{first[1]}" if first[0] == "nat_gateways" else f"instances.{first[1]}"
                outline.error(path, f"{address} is used by {user} already, and an address serves one; declare another")


def _check_count(outline: Outline, name: str, entry: Entry) -> None:
    count, given = entry.get("count", 1), entry["elastic_ip"]
    path = ("instances", name, "elastic_ip")
    if not isinstance(given, list) and count > 1:
        outline.error(path, f"is one address for {count} instances; write a list of {count}")
    elif isinstance(given, list) and len(given) < count:
        outline.error(path, f"has too few addresses ({len(given)}) for {count} instances; give it {count} or more")


def _check_gateway(outline: Outline, name: str) -> None:
    vpc = outline.vpc_of("instances", name)
    if vpc in outline.entries("vpcs") and vpc not in outline.by_vpc("internet_gateways"):
        text = f"needs an internet gateway, and vpc.{vpc} has none; declare one under internet_gateways"
        outline.error(("instances", name, "elastic_ip"), text, at_key=True)
