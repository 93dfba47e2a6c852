"""Makes others' networks in the local AWS: VPCs, subnets and security groups, also those that a spec looks up."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

from moto.ec2.models import security_groups, subnets, vpcs
from moto.ssm.models import ssm_backends

from alb_reconcile.sandbox.strict.aws import replace
from alb_reconcile.sandbox.strict.ec2_gateways import open_to_internet
from alb_reconcile.sandbox.strict.world import World

ANYWHERE: Final = "0.0.0.0/0"
_NOUNS: Final = {
    "vpc": "VPC",
    "subnet": "subnet",
    "security_group": "security group",
    "internet_gateway": "internet gateway",
}
_SEVERAL: Final = 2
"""The number of subnets made for a look-up that may match many: as many as a load balancer needs."""


def make_vpc(world: World, name: str = "") -> str:
    """Make a VPC (10.0.0.0/16) that reaches the internet. Returns its id: `name`, or a random id if `name` is empty."""
    with ExitStack() as stack:
        if name:
            replace(stack, vpcs, "random_vpc_id", lambda: name)
        vpc = world.ec2.create_vpc("10.0.0.0/16")
    open_to_internet(world.ec2, vpc.id)
    return str(vpc.id)


def make_subnet(world: World, vpc: str, name: str = "") -> str:
    """Make a subnet, in the next zone in turn. Returns its id."""
    zones = [zone.name for zone in world.ec2.describe_availability_zones()]
    number = len(world.subnets(vpc))
    with ExitStack() as stack:
        if name:
            replace(stack, subnets, "random_subnet_id", lambda: name)
        made = world.ec2.create_subnet(vpc, f"10.0.{number}.0/24", availability_zone=zones[number % len(zones)])
    return str(made.id)


def make_group(world: World, vpc: str, name: str = "") -> str:
    """Make a security group that lets everything in. Returns its id."""
    with ExitStack() as stack:
        if name:
            replace(stack, security_groups, "random_security_group_id", lambda: name)
        made = world.ec2.create_security_group(
            f"prepared-{name or len(world.groups())}", "made by sandbox prepare", vpc
        )
    world.ec2.authorize_security_group_ingress(made.id, "-1", None, None, [{"CidrIp": ANYWHERE}])
    return str(made.id)


def make_looked_up(world: World, lookups: list[dict[str, Any]], home: str) -> Iterator[str]:
    """Make the resources that look-ups don't find; yield a line for each. They are in the VPC that is looked up, else in `home`, else in a
    new VPC."""
    parameters = ssm_backends[world.account][world.region]
    for item in sorted(lookups, key=lambda item: list(_NOUNS).index(item["kind"]) if item["kind"] in _NOUNS else 9):
        kind, wanted, parameter = item["kind"], item["tags"], item["parameter"]
        found = [name for name, tags in _tagged(world, kind) if wanted and wanted.items() <= tags.items()]
        if parameter and (known := parameters.get_parameter(parameter)):
            found = str(known.value).split(",")
        if kind == "vpc" and found:
            home = found[0]
        if found or kind not in _NOUNS:
            continue
        if kind != "vpc" and not home:
            home = make_vpc(world)
            yield f"VPC {home} (10.0.0.0/16, with an internet gateway)"
        count = _SEVERAL if item["many"] and kind == "subnet" else 1
        made = [_make(world, kind, home) for _ in range(count)]
        if kind == "vpc":
            home = made[0]
        if wanted:
            world.ec2.create_tags(made, wanted)
        else:
            parameters.put_parameter(
                name=parameter, description="", value=",".join(made), parameter_type="StringList" if item["many"] else "String",
                allowed_pattern="", keyid="", overwrite=False, tags=[], data_type="text", tier="Standard", policies=None,
            )  # fmt: skip
        for name in made:
            yield f"{_NOUNS[kind]} {name} (for {item['words']})"


def _make(world: World, kind: str, home: str) -> str:
    if kind == "vpc":
        return make_vpc(world)
    if kind == "subnet":
        return make_subnet(world, home)
    if kind == "security_group":
        return make_group(world, home)
    return str(world.gateway_of(home).id)  # type: ignore[union-attr]  # made with its VPC


def _tagged(world: World, kind: str) -> list[tuple[str, dict[str, str]]]:
    """The resources of a kind with their tags."""
    names = {
        "vpc": list(world.ec2.vpcs),
        "subnet": [item.id for item in world.subnets()],
        "security_group": [item.id for item in world.groups()],
        "internet_gateway": list(world.ec2.internet_gateways),
    }
    return [(name, world.ec2.tags.get(name, {})) for name in names.get(kind, [])]
