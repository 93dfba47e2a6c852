"""Random private stacks: what stands between instances and the internet, and beside them. As in strategies.py, by genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import assume
from hypothesis import strategies as st

from tests.kinds.test_key_pair import ONE, TWO
from tests.kinds.test_nat_gateway import private_stack

if TYPE_CHECKING:
    from tests.harness import Spec

Genes = dict[str, Any]
DEFAULT = {"destination_cidr_block": "0.0.0.0/0"}
PRIVATE = ("private-a", "private-b")


def _one_of(*options: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


GENES: dict[str, st.SearchStrategy[Any]] = {
    "nat": _one_of("zonal", "zonal", "single", "regional", None),
    "nat.addresses": _one_of("nat", "nat", "other"),
    "nat.zone": _one_of("a", "b"),
    "nat.secondary": _one_of(None, None, [], ["spare"]),
    "tables": _one_of("each", "each", "one"),
    "blackhole": _one_of(None, "198.51.100.0/24"),
    "s3": _one_of(None, "all", "first"),
    "s3.name": _one_of("s3", "s3", "objects"),
    "ssm": _one_of(None, ["private-a"], ["private-a", "private-b"]),
    "ssm.groups": _one_of(["web"], ["endpoints"], ["endpoints", "web"]),
    "ssm.dns": _one_of(None, True, False),
    "ipv6": _one_of(False, False, True),
    "ipv6.egress": _one_of(True, False),
    "secondary": _one_of(None, None, "10.4.0.0/16", "10.5.0.0/16"),
    "instances.subnets": _one_of("private", "private", "public", "both"),
    "instances.count": _one_of(2, 3, 1),
    "instances.user_data": _one_of("#!/bin/sh\nexec web-api\n", "#!/bin/sh\nexec web-api --new\n"),
    "instances.key": _one_of(None, ONE, TWO),
    "instances.profile": _one_of(None, {"session_manager": True}, {"managed_policies": ["CloudWatchAgentServerPolicy"]}),
    "instances.volume": _one_of(None, 10, 20),
    "instances.check": _one_of(None, True, False),
    "instances.address": _one_of(None, None, True, False),
    "target_type": _one_of(None, None, "ip"),
    "dualstack": _one_of(False, True),
}  # fmt: skip

genomes = st.fixed_dictionaries(GENES)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Spec, Spec]:
    """Two valid specs that differ in a few genes."""
    before = draw(genomes)
    moved = draw(st.lists(st.sampled_from(sorted(GENES)), min_size=1, max_size=draw(_one_of(1, 3, 8)), unique=True))
    first, second = render(before), render({**before, **{name: draw(GENES[name]) for name in moved}})
    assume(first != second)
    return first, second


def render(genes: Genes) -> Spec:
    """The spec that the genes stand for."""
    spec = {**private_stack(), "stack": "demo", "vpc_endpoints": {}, "elastic_ips": {}, "nat_gateways": {}}
    _add_tables(spec, genes)
    _add_gateways(spec, genes)
    _add_endpoints(spec, genes)
    _add_ranges(spec, genes)
    _add_instances(spec, genes)
    return {key: value for key, value in spec.items() if value}


def _add_tables(spec: Spec, genes: Genes) -> None:
    tables = spec["route_tables"]
    tables["private-a"]["routes"], tables["private-b"]["routes"] = [], []
    if genes["tables"] == "one":
        del tables["private-b"]
        tables["private-a"]["subnets"] = list(PRIVATE)
    if genes["blackhole"]:
        tables["public"]["routes"].append({"destination_cidr_block": genes["blackhole"], "internet_gateway": "main"})


def _add_gateways(spec: Spec, genes: Genes) -> None:
    kind, zones = genes["nat"], {"zonal": "ab", "single": genes["nat.zone"]}.get(genes["nat"], "")
    for zone in zones:
        address = f"{genes['nat.addresses']}-{zone}"
        spec["elastic_ips"][address] = {}
        spec["nat_gateways"][zone] = {"subnet": f"public-{zone}", "elastic_ip": address}
    if zones and genes["nat.secondary"] is not None:
        more = [f"{name}-address" for name in genes["nat.secondary"]]
        spec["elastic_ips"] |= {name: {} for name in more}
        spec["nat_gateways"][zones[0]]["secondary_elastic_ips"] = more
    if kind == "regional":
        spec["nat_gateways"]["all"] = {"availability_mode": "regional"}
    for zone in "ab":
        table = spec["route_tables"].get(f"private-{zone}")
        if table is not None and spec["nat_gateways"]:
            gateway = zone if zone in spec["nat_gateways"] else next(iter(spec["nat_gateways"]))
            table["routes"].append({**DEFAULT, "nat_gateway": gateway})


def _add_endpoints(spec: Spec, genes: Genes) -> None:
    private = [name for name in spec["route_tables"] if name.startswith("private")]
    if genes["s3"]:
        tables = private if genes["s3"] == "all" else private[:1]
        spec["vpc_endpoints"][genes["s3.name"]] = {"service_name": "s3", "route_tables": tables}
    if genes["ssm"]:
        spec["security_groups"]["endpoints"] = {"description": "HTTPS to endpoints"}
        entry = {"service_name": "ssm", "subnets": genes["ssm"], "security_groups": genes["ssm.groups"]}
        dns = {} if genes["ssm.dns"] is None else {"private_dns_enabled": genes["ssm.dns"]}
        spec["vpc_endpoints"]["ssm"] = entry | dns


def _add_ranges(spec: Spec, genes: Genes) -> None:
    if genes["ipv6"]:
        spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
        for number, subnet in enumerate(spec["subnets"].values()):
            subnet["ipv6_cidr_block"] = number
        if genes["ipv6.egress"]:
            spec["egress_only_internet_gateways"] = {"main": {}}
            route = {"destination_ipv6_cidr_block": "::/0", "egress_only_internet_gateway": "main"}
            spec["route_tables"]["private-a"]["routes"].append(route)
        if genes["dualstack"]:
            spec["load_balancers"]["public"]["ip_address_type"] = "dualstack"
    if genes["secondary"]:
        spec["vpcs"]["main"]["secondary_cidr_blocks"] = [genes["secondary"]]
        block = genes["secondary"].replace(".0.0/16", ".1.0/24")
        spec["subnets"]["further"] = {"cidr_block": block, "availability_zone": "a"}
        spec["route_tables"]["private-a"]["subnets"].append("further")


def _add_instances(spec: Spec, genes: Genes) -> None:
    entry = spec["instances"]["web"]
    public = ["public-a", "public-b"]
    entry["subnets"] = {"private": [*PRIVATE], "public": public, "both": [*public, *PRIVATE]}[
        genes["instances.subnets"]
    ]
    entry["count"], entry["user_data"] = genes["instances.count"], genes["instances.user_data"]
    entry["rollout"] = {"max_surge": 1, "max_unavailable": 0}
    if genes["instances.key"]:
        spec["key_pairs"] = {"ops": {"public_key": genes["instances.key"]}}
        entry["key_name"] = "ops"
    if genes["instances.profile"]:
        spec["instance_profiles"] = {"web": genes["instances.profile"]}
        entry["iam_instance_profile"] = "web"
    if genes["instances.volume"]:
        disk = {"device_name": "/dev/sdf", "volume_size": genes["instances.volume"], "volume_type": "gp3"}
        entry["data_volumes"] = {"logs": disk}
    for key, gene in (("source_dest_check", "check"), ("associate_public_ip_address", "address")):
        if genes[f"instances.{gene}"] is not None:
            entry[key] = genes[f"instances.{gene}"]
    if genes["target_type"]:
        spec["target_groups"]["web"]["target_type"] = genes["target_type"]
