"""The scenes that faults are tried on: ways of the demo, of private networks, of https names, and the life of each kind's example."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tests.harness import demo
from tests.kinds.example import example_of
from tests.kinds.hand import LINUX_2, edited
from tests.kinds.test_certificate import zone
from tests.kinds.test_elastic_ip_association import behind
from tests.kinds.test_https_names import NAME, named
from tests.kinds.test_https_refusals import https
from tests.kinds.test_nat_gateway import ZONAL, private_stack
from tests.kinds.test_persistent_volumes import kept
from tests.properties.examples import KINDS, changed, prepare
from tests.properties.scenarios import ALL, Way

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Spec

ALLOW = {
    "delete": 999, "replace": 999, "replace-load-balancer": 9, "delete-elastic-ip": 9, "delete-load-balancer": 9, "lift-protection": 9,
    "empty-target-group": 9, "close": 99, "gap": 99,
}  # fmt: skip
ALLOWED: dict[str, Any] = {"allow": ALLOW}
ONE = https(names=[NAME])
MOVED = edited(ZONAL, "nat_gateways/main", {"subnet": "public-b", "elastic_ip": "two"})
NETWORK: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {
        "main": {
            "cidr_block": "10.0.0.0/16", "secondary_cidr_blocks": ["10.4.0.0/16"], "amazon_provided_ipv6_cidr_block": True,
            "enable_dns_hostnames": True,
        }
    },
    "subnets": {
        "a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a", "ipv6_cidr_block": 1},
        "b": {"cidr_block": "10.4.1.0/24", "availability_zone": "b", "assign_ipv6_address_on_creation": True, "ipv6_cidr_block": 2},
    },
    "egress_only_internet_gateways": {"main": {}},
    "route_tables": {"private": {"subnets": ["a", "b"]}},
    "vpc_endpoints": {
        "s3": {"service_name": "s3", "route_tables": ["private"]},
        "ssm": {"service_name": "ssm", "subnets": ["a", "b"], "private_dns_enabled": True},
    },
}  # fmt: skip
"""Further ranges, IPv6 and endpoints."""


def other_ranges() -> Spec:
    """The network with other ranges, and another endpoint."""
    spec = edited(NETWORK, "vpcs/main/secondary_cidr_blocks", ["10.5.0.0/16"])
    spec = edited(spec, "subnets/b", {"cidr_block": "10.5.1.0/24", "availability_zone": "b", "ipv6_cidr_block": 3})
    return edited(spec, "vpc_endpoints/s3/service_name", "dynamodb")


def to_private_subnets() -> Spec:
    """The demo with its instances in private subnets."""
    spec = demo()
    for zone_name, block in (("a", "10.0.16.0/20"), ("b", "10.0.32.0/20")):
        own = f"private-{zone_name}"
        routes = [{"destination_cidr_block": "0.0.0.0/0", "nat_gateway": zone_name}]
        spec["subnets"][own] = {"cidr_block": block, "availability_zone": zone_name}
        spec["route_tables"][own] = {"subnets": [own], "routes": routes}
        for section, name, entry in (
            ("elastic_ips", f"nat-{zone_name}", {}),
            ("nat_gateways", zone_name, {"subnet": f"public-{zone_name}", "elastic_ip": f"nat-{zone_name}"}),
        ):
            spec.setdefault(section, {})[name] = entry
    spec["instances"]["web"]["subnets"] = ["private-a", "private-b"]
    return spec


def called_otherwise() -> Spec:
    """One name, whose load balancer has another name in the file."""
    return {**ONE, "load_balancers": {"front": ONE["load_balancers"]["public"]}}


def _named(before: Spec, after: Spec | None, floor: int = 0) -> Way:
    eyes = frozenset({"names"} if after else ())
    return Way(lambda: before, (lambda: after) if after else None, floor, ALLOWED, lambda: void(zone()), eyes=eyes)


def _private(path: str, value: Any) -> Way:
    """Of specs/private.yaml, with an address more."""
    spec = edited(private_stack(), "elastic_ips/other", {})
    return Way(lambda: spec, lambda: edited(spec, path, value), options=ALLOWED)


def _rolled_in_private(*changes: Callable[[Spec], None]) -> Way:
    """Of specs/private.yaml, with the first change before or not, while its instances are changed."""
    before, after = private_stack(), private_stack()
    for spec in (before, after):
        spec["instances"]["web"]["rollout"] = {"max_surge": 1, "max_unavailable": 0}
    for spec, change in zip((before, after)[-len(changes) :], changes, strict=True):
        change(spec)
    after["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api --new\n"
    return Way(lambda: before, lambda: after, options={**ALLOWED, "check": False})


def _renamed_endpoint(spec: Spec) -> None:
    spec["vpc_endpoints"]["objects"] = spec["vpc_endpoints"].pop("s3")


def _further(block: str | None) -> Callable[[Spec], None]:
    """A further range, with a subnet in it."""

    def change(spec: Spec) -> None:
        spec["vpcs"]["main"]["secondary_cidr_blocks"] = [block] if block else []
        if block:
            spec["subnets"]["further"] = {"cidr_block": block.replace("0.0/16", "1.0/24"), "availability_zone": "a"}
            spec["route_tables"]["private-a"]["subnets"].append("further")

    return change


def void(_: object) -> None:
    """Whatever it returns isn't needed."""


DUAL = named(ip_address_type="dualstack")
_ADDRESSES = frozenset({"addresses"})
_IN_GAPS = {"rollout": {"max_surge": 0, "max_unavailable": 1}}
SCENES: dict[str, Way] = {
    **ALL,
    "private, create": Way(None, lambda: ZONAL),
    "private, another subnet": Way(lambda: ZONAL, lambda: MOVED),
    "private, destroy": Way(lambda: ZONAL, None),
    "private, instances move there": Way(demo, to_private_subnets, floor=2),
    "private, another VPC": _private("vpcs/main/instance_tenancy", "dedicated"),
    "private, another range": _private("subnets/private-a/cidr_block", "10.0.48.0/20"),
    "private, another NAT gateway": _private("nat_gateways/a", {"subnet": "public-b", "elastic_ip": "other"}),
    "private, an endpoint is renamed": _rolled_in_private(_renamed_endpoint),
    "private, another further range": _rolled_in_private(_further("10.4.0.0/16"), _further("10.5.0.0/16")),
    "private, a further range goes": _rolled_in_private(_further("10.4.0.0/16"), _further(None)),
    "network, create": Way(None, lambda: NETWORK),
    "network, other ranges": Way(lambda: NETWORK, other_ranges),
    "network, destroy": Way(lambda: NETWORK, None),
    "https, begins": _named(demo(), ONE),
    "https, is replaced": _named(ONE, edited(ONE, "load_balancers/public/scheme", "internal")),
    "https, is called otherwise": _named(ONE, called_otherwise()),
    "https, one name more": _named(ONE, https(names=[NAME, "www.example.com"])),
    "https, another name": _named(ONE, https(names=["new.example.com"])),
    "https, gives up IPv6": _named(DUAL, named(ip_address_type="ipv4")),
    "https, destroy": _named(DUAL, None),
    "addresses, create": Way(None, behind),
    "addresses, roll": Way(behind, partial(behind, image_id=LINUX_2), floor=2, eyes=_ADDRESSES),
    "addresses, roll in gaps": Way(behind, partial(behind, image_id=LINUX_2, **_IN_GAPS), floor=1),
    "volumes, create": Way(None, partial(kept, count=2)),
    "volumes, roll": Way(partial(kept, count=2), partial(kept, count=2, image_id=LINUX_2)),
}


def ways_of(kind: str) -> dict[str, Way]:
    """The life of a kind's example: made, changed in all that can be changed at once, and destroyed."""
    example = example_of(kind)
    options = {"allow": {**ALLOW, **example.allow}}
    one, other = (lambda: example.spec), (lambda: changed(kind))

    def way(before: Any, after: Any) -> Way:
        return Way(before, after, 0, options, partial(prepare, kind), example.rest, example.hidden)

    ways = {"create": way(None, one), "destroy": way(other, None)}
    return {**ways, "change": way(one, other)} if example.every_change else ways


def scene_of(name: str) -> Way:
    """A scene by its name, which is that of a kind and a part of its life, or one in the table."""
    kind, _, part = name.partition(": ")
    return ways_of(kind)[part] if part else SCENES[name]


NAMES = (*SCENES, *(f"{kind}: {part}" for kind in KINDS for part in ways_of(kind)))
"""All scenes."""
