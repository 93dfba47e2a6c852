"""Checks instances against Security Hub's controls."""

from collections.abc import Iterator

from alb_reconcile.kinds.base import Around, Entry, Unmet


def audit(around: Around) -> Iterator[Unmet]:
    """The controls that instances don't meet."""
    described = around.schema("instance")["properties"]
    tokens = described["metadata_options"]["properties"]["http_tokens"]["default"]
    for name, entry in around.entries("instances").items():
        address, path = f"instance.{name}", ("instances", name)
        if (entry.get("metadata_options") or {}).get("http_tokens", tokens) != "required":
            problem = "IMDSv1 is allowed, which shows the instance's credentials without a token"
            change = "write http_tokens: required"
            yield Unmet("EC2.8", address, (*path, "metadata_options", "http_tokens"), problem, change)
        yield from _public_addresses(around, name, entry)
        for below in (("root_volume",), ("data_volumes", ...)):
            for place, volume in around.mappings(*path, *below):
                if volume.get("encrypted") is False:
                    problem = "the volume isn't encrypted"
                    yield Unmet("EC2.3", address, (*place, "encrypted"), problem, "write encrypted: true")
        if entry.get("source_dest_check") is False:
            problem = "it may send and take what isn't from or for it"
            change = "write source_dest_check: true; a NAT gateway needs no instance"
            yield Unmet("EC2.180", address, (*path, "source_dest_check"), problem, change)


def _public_addresses(around: Around, name: str, entry: Entry) -> Iterator[Unmet]:
    """Public addresses of an instance: its own setting outranks its subnet's. Nothing is known about a subnet outside of the file."""
    address, path, key = f"instance.{name}", ("instances", name), "associate_public_ip_address"
    if "elastic_ip" in entry:
        problem, change = "has a public IPv4 address", "leave elastic_ip out"
        yield Unmet("EC2.9", address, (*path, "elastic_ip"), problem, change)
    elif entry.get(key) is True:
        yield Unmet("EC2.9", address, (*path, key), "gets a public IPv4 address", f"write {key}: false")
    elif key not in entry:
        for place, subnet in around.texts(*path, "subnets", ...):
            if around.entries("subnets").get(subnet, {}).get("map_public_ip_on_launch") is True:
                problem = f"gets a public IPv4 address from subnet.{subnet}"
                yield Unmet("EC2.9", address, place, problem, f"write {key}: false, or name subnets that give none")
                return
