"""Names targets: as AWS's calls and answers do, and as the addresses of registrations do."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from alb_reconcile.kinds.base import Around
from alb_reconcile.model.nodes import Path

IP: Final = "ip"
LAMBDA: Final = "lambda"
Row = Mapping[str, Any]
Place = tuple[str, str]
"""A VPC and an address in it."""


def is_function(text: str) -> bool:
    """Whether a target is a Lambda function."""
    return text.startswith("arn:") and text.split(":")[2:3] == ["lambda"]


def as_address(text: str) -> str:
    """An IP address in AWS's form; empty for a text that is no IP address."""
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def label(target: str, port: int | None) -> str:
    """A target as a registration's address names it: an instance's name, an IP address or a function's name, and the port."""
    if port is None:
        return target.partition(":function:")[2] or target
    return f"[{target}]:{port}" if ":" in as_address(target) else f"{target}:{port}"


def target_name(target: str, port: int | None) -> str:
    """A target's name in messages: with its port, if it has one."""
    return target if port is None else f"{target}:{port}"


def addresses_of(instance: Row, *, ipv6: bool) -> list[str]:
    """The private addresses of an instance; the first address of its first interface comes first."""
    interfaces = sorted(
        instance.get("NetworkInterfaces", ()), key=lambda item: (item.get("Attachment") or {}).get("DeviceIndex", 0)
    )
    if ipv6:
        return [as_address(item["Ipv6Address"]) for part in interfaces for item in part.get("Ipv6Addresses", ())]
    first = [instance["PrivateIpAddress"]] if instance.get("PrivateIpAddress") else []
    others = [item["PrivateIpAddress"] for part in interfaces for item in part.get("PrivateIpAddresses", ())]
    return list(dict.fromkeys((*first, *others)))


def by_address(instances: Iterable[Row]) -> dict[Place, str]:
    """Instances by VPC and private address. A terminated instance has no address."""
    return {
        (str(item.get("VpcId", "")), address): str(item["InstanceId"])
        for item in instances
        for ipv6 in (False, True)
        for address in addresses_of(item, ipv6=ipv6)
        if item["State"]["Name"] not in ("shutting-down", "terminated")
    }


class EntryTarget(NamedTuple):
    """A target in a spec: its path, its text, and its port and zone if the spec gives it its own."""

    path: Path
    text: str
    port: int | None
    zone: str = ""


def targets_of(around: Around, group: str) -> Iterator[EntryTarget]:
    """The targets of a group."""
    path = ("target_groups", group, "targets")
    for index, item in enumerate(around.entries("target_groups")[group].get("targets") or ()):
        if isinstance(item, str):
            yield EntryTarget((*path, index), item, None)
        for key in ("instances", "address") if isinstance(item, dict) else ():
            if isinstance(item.get(key), str):
                yield EntryTarget((*path, index, key), item[key], item.get("port"), item.get("availability_zone", ""))
