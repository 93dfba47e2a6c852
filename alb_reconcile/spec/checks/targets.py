"""Targets: what fits the type of their group, and addresses that AWS takes."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final, NamedTuple

from alb_reconcile.kinds._targets import as_address, is_function
from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline

_PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""RFC 1918 and RFC 6598 (ELBv2 CreateTargetGroup, TargetType)."""


class Target(NamedTuple):
    """A target as a spec has it: where, what, and its port if it has one of its own."""

    path: Path
    text: str
    port: int | None
    zone: str = ""


def targets_of(outline: Outline, group: str) -> Iterator[Target]:
    """The targets of a group."""
    path = ("target_groups", group, "targets")
    for index, item in enumerate(outline.entries("target_groups")[group].get("targets") or ()):
        if isinstance(item, str):
            yield Target((*path, index), item, None)
        for key in ("instances", "address") if isinstance(item, dict) else ():
            if isinstance(item.get(key), str):
                yield Target((*path, index, key), item[key], item.get("port"), item.get("availability_zone", ""))


def check(outline: Outline) -> None:
    """Report targets that AWS would refuse."""
    for name, entry in outline.entries("target_groups").items():
        for path, item in outline.mappings("target_groups", name, "targets", ...):
            _check_form(outline, path, item)
        seen: set[tuple[str, int | None]] = set()
        for target in targets_of(outline, name):
            _check_type(outline, entry, target)
            key = (as_address(target.text) or target.text, target.port or entry.get("port"))
            if key in seen:
                outline.error(target.path, f"{target.text} is given twice on one port; keep one")
            seen.add(key)
            if as_address(target.text):
                _check_address(outline, name, entry, target)
        _check_function(outline, name, entry)
    _check_address_types(outline)


def _check_form(outline: Outline, path: Path, item: Entry) -> None:
    given = [key for key in ("instances", "address") if key in outline.given(path)]
    if len(given) != 1:
        what = "is given together with instances" if given else "is missing"
        outline.error((*path, "address") if given else path, f"address {what}; give one of instances and address")


def _check_type(outline: Outline, entry: Entry, target: Target) -> None:
    kind, text = entry.get("target_type", "instance"), target.text
    if not text.startswith("arn:") and not as_address(text) and not {".", ":"}.isdisjoint(text):
        outline.error(target.path, f'"{text}" is not an address; write one such as 10.0.1.5 or fd00::5')
    elif is_function(text) != (kind == "lambda"):
        hint = "give it one function's ARN" if kind == "lambda" else "a function needs a group with target_type: lambda"
        outline.error(target.path, f'"{text}" can\'t be a target of type {kind}; {hint}')
    elif as_address(text) and kind == "instance":
        outline.error(target.path, f"{text} is an address; set target_type: ip, or name an instance")
    elif kind == "ip" and is_aws_id(text):
        outline.error(target.path, f"{text} is an instance's id, and the targets are addresses; give it its address")
    elif target.zone and not as_address(text):
        outline.error((*target.path[:-1], "availability_zone"), "is for addresses only; leave it out")


def _check_address(outline: Outline, name: str, entry: Entry, target: Target) -> None:
    address = ip_address(target.text)
    family = "ipv6" if address.version == 6 else "ipv4"
    if entry.get("ip_address_type", "ipv4") != family:
        outline.error(target.path, f"{target.text} is an {family} address; set ip_address_type: {family}")
        return
    vpc = outline.vpc_of("target_groups", name)
    blocks = [block for block in _blocks(outline.entries("vpcs").get(vpc or "")) if block.version == address.version]
    inside = any(address in block for block in blocks)
    if not inside and address.version == 4 and not any(address in block for block in _PRIVATE):
        if blocks or not vpc:
            text = "is public, and AWS takes private addresses only; give it one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"
            outline.error(target.path, f"{target.text} {text}")
    elif blocks and inside == bool(target.zone):
        text = "is inside the VPC, where AWS finds the zone; leave availability_zone out"
        if not inside:
            text = "is outside the VPC; write {address: …, availability_zone: all}"
        outline.error(target.path, f"{target.text} {text}")


def _blocks(value: Any) -> list[IPv4Network | IPv6Network]:
    """All ranges that an entry of a VPC has."""
    if isinstance(value, str):
        try:
            return [ip_network(value)] if "/" in value else []
        except ValueError:
            return []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [block for item in items for block in _blocks(item)]


def _check_function(outline: Outline, name: str, entry: Entry) -> None:
    if entry.get("target_type") != "lambda":
        return
    for target in targets_of(outline, name):
        parts = target.text.split(":")
        if len(parts) > 3 and outline.region and parts[3] != outline.region:
            outline.error(target.path, f"is in {parts[3]}, and a function must be in the load balancer's region")
        if parts[7:] == ["$LATEST"]:
            outline.error(target.path, "names $LATEST, for which Lambda takes no permission; leave the version out")
    checks = entry.get("health_check")
    if checks and "enabled" not in outline.given(("target_groups", name, "health_check")):
        outline.warn(
            ("target_groups", name, "health_check"),
            "isn't made, since functions aren't checked by default; set enabled: true",
            at_key=True,
        )


def _check_address_types(outline: Outline) -> None:
    for balancer, path, group in outline.forwards():
        entry = outline.entries("load_balancers")[balancer]
        ipv6 = outline.entries("target_groups").get(group, {}).get("ip_address_type") == "ipv6"
        if ipv6 and not str(entry.get("ip_address_type", "ipv4")).startswith("dualstack"):
            text = f"{group} has IPv6 targets, for which load_balancer.{balancer} has to be dualstack"
            outline.error(path, f"{text}; set its ip_address_type, or make the group ipv4")
