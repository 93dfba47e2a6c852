"""Controls of subnets, security groups and instances."""

from collections.abc import Iterator
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import resolved
from alb_reconcile.spec.security.findings import Finding

_EVERYBODY: Final = ("0.0.0.0/0", "::/0")
_ALLOWED: Final = (80, 443)
"""The parameter of EC2.18, as it is by default."""
_RISKY: Final = (
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088, 8888,
    9200, 9300,
)  # fmt: skip
"""The parameter of EC2.19."""
_REMOTE: Final = (22, 3389)
"""The parameter of EC2.53 and EC2.54."""


def find(outline: Outline) -> Iterator[Finding]:
    """What subnets, security groups and instances don't meet."""
    for name, entry in outline.entries("subnets").items():
        for key in ("map_public_ip_on_launch", "assign_ipv6_address_on_creation"):
            if entry.get(key) is True:
                problem = "what is launched in it gets a public address"
                yield Finding("EC2.15", f"subnet.{name}", ("subnets", name, key), problem, f"write {key}: false")
    for path, rule in outline.mappings("security_groups", ..., "ingress", ...):
        for control in _open_to_everybody(rule):
            source = rule.get("cidr_block") or rule["ipv6_cidr_block"]
            problem = f"lets everybody ({source}) in on {_ports_in_words(rule)}"
            change = "name the addresses that need it, or a security_group"
            yield Finding(control, f"security_group.{path[1]}", path, problem, change)
    for name, entry in outline.entries("instances").items():
        yield from _of_instances(outline, name, entry)


def _open_to_everybody(rule: Entry) -> Iterator[str]:
    """The controls that a rule doesn't meet."""
    source = next((rule[key] for key in ("cidr_block", "ipv6_cidr_block") if rule.get(key) in _EVERYBODY), "")
    protocol = rule.get("protocol")
    if not source or protocol not in ("tcp", "udp", "all"):
        return
    first, last = _ports(rule)
    if protocol != "udp":
        for control, port in (("EC2.13", 22), ("EC2.14", 3389)):
            if first <= port <= last:
                yield control
    if protocol != "tcp" or first != last or first not in _ALLOWED:
        yield "EC2.18"
    if protocol != "udp" and any(first <= port <= last for port in _RISKY):
        yield "EC2.19"
    if any(first <= port <= last for port in _REMOTE):
        yield "EC2.53" if source == _EVERYBODY[0] else "EC2.54"


def _ports(rule: Entry) -> tuple[int, int]:
    if "port" in rule:
        return rule["port"], rule["port"]
    return rule.get("from_port", 0), rule.get("to_port", 65535)


def _ports_in_words(rule: Entry) -> str:
    first, last = _ports(rule)
    if rule["protocol"] == "all":
        return "every port"
    return f"{rule['protocol']} {first}" + (f"-{last}" if last != first else "")


def _of_instances(outline: Outline, name: str, entry: Entry) -> Iterator[Finding]:
    address, path = f"instance.{name}", ("instances", name)
    described = resolved("instance")["properties"]
    tokens = described["metadata_options"]["properties"]["http_tokens"]["default"]
    if (entry.get("metadata_options") or {}).get("http_tokens", tokens) != "required":
        problem = "IMDSv1 is allowed, which shows the instance's credentials without a token"
        change = "write http_tokens: required"
        yield Finding("EC2.8", address, (*path, "metadata_options", "http_tokens"), problem, change)
    yield from _public_addresses(outline, name, entry)
    for below in (("root_volume",), ("data_volumes", ...)):
        for place, volume in outline.mappings(*path, *below):
            if volume.get("encrypted") is False:
                problem = "the volume isn't encrypted"
                yield Finding("EC2.3", address, (*place, "encrypted"), problem, "write encrypted: true")
    if entry.get("source_dest_check") is False:
        problem = "it may send and take what isn't from or for it"
        change = "write source_dest_check: true; a NAT gateway needs no instance"
        yield Finding("EC2.180", address, (*path, "source_dest_check"), problem, change)


def _public_addresses(outline: Outline, name: str, entry: Entry) -> Iterator[Finding]:
    """What the instance itself says outranks its subnet. Of a subnet that isn't in the file nothing is known."""
    address, path, key = f"instance.{name}", ("instances", name), "associate_public_ip_address"
    if "elastic_ip" in entry:
        problem, change = "has a public IPv4 address", "leave elastic_ip out"
        yield Finding("EC2.9", address, (*path, "elastic_ip"), problem, change)
    elif entry.get(key) is True:
        yield Finding("EC2.9", address, (*path, key), "gets a public IPv4 address", f"write {key}: false")
    elif key not in entry:
        for place, subnet in outline.texts(*path, "subnets", ...):
            if outline.entries("subnets").get(subnet, {}).get("map_public_ip_on_launch") is True:
                problem = f"gets a public IPv4 address from subnet.{subnet}"
                yield Finding("EC2.9", address, place, problem, f"write {key}: false, or name subnets that give none")
                return
