"""`adopt`, `forget` and `move`, in text and JSON, with what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tests.golden.scene import Scene

SHOP: Final = """\
stack: shop
region: us-east-1
vpcs:
  main: {cidr_block: 10.7.0.0/16}
subnets:
  a: {cidr_block: 10.7.1.0/24, availability_zone: a}
security_groups:
  web: {description: web, ingress: [{protocol: tcp, port: 80, cidr_block: 10.0.0.0/8}]}
"""


def named(kind: str, name: str) -> list[dict[str, Any]]:
    """What a creation takes for a Name."""
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


@pytest.mark.slow
def test_adoption(scene: Scene) -> None:
    """Taken over, renamed, let go; each refused first where it can be."""
    ec2 = scene.account.ec2
    scene.write("shop.yaml", SHOP)
    scene.run("adopt", "--yes", "shop.yaml")
    vpcs = sorted(
        ec2.create_vpc(CidrBlock="10.7.0.0/16", TagSpecifications=named("vpc", "shop-main"))["Vpc"]["VpcId"]
        for _ in range(2)
    )
    scene.note(f"somebody makes two VPCs of that name, {vpcs[0]} and {vpcs[1]}")
    scene.note("and in the first a subnet and a security group")
    subnet = ec2.create_subnet(VpcId=vpcs[0], CidrBlock="10.7.1.0/24", AvailabilityZone="us-east-1a")["Subnet"]
    ec2.create_security_group(
        VpcId=vpcs[0], GroupName="web", Description="web",
        TagSpecifications=named("security-group", "shop-web"),
    )  # fmt: skip
    scene.run("adopt", "--yes", "shop.yaml")
    scene.run("adopt", "--yes", "--format", "json", "shop.yaml")
    scene.run("adopt", "shop.yaml", f"vpc.main={vpcs[0]}")
    scene.run("adopt", "--yes", "shop.yaml", "vpc.main=vpc-0123456789abcdef0", "subnet.x=new")
    scene.run("adopt", "--yes", "shop.yaml", "vpc.main=sg-0123456789abcdef0")
    scene.note("one of the VPCs goes")
    ec2.delete_vpc(VpcId=vpcs[1])
    scene.run("adopt", "shop.yaml")
    scene.run("adopt", "--format", "json", "shop.yaml")
    scene.run("adopt", "--yes", "shop.yaml")
    scene.run("adopt", "--yes", "shop.yaml")
    scene.run("adopt", "--yes", "--format", "json", "shop.yaml")
    scene.run("sync", "shop.yaml")
    scene.run("plan", "shop.yaml")
    scene.note("somebody removes the tags of the subnet")
    ours = ("alb-reconcile:stack", "alb-reconcile:address")
    ec2.delete_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": key} for key in ours])
    scene.run("plan", "shop.yaml")
    scene.run("adopt", "--yes", "shop.yaml")
    scene.run("move", "shop.yaml", "security_group.web", "security_group.api")
    scene.write("shop.yaml", SHOP.replace("  web:", "  api:"))
    scene.run("move", "--yes", "shop.yaml", "security_group.none", "security_group.api")
    scene.run("move", "--yes", "shop.yaml", "security_group.web", "vpc.main")
    scene.run("move", "--yes", "--format", "json", "shop.yaml", "security_group.web", "security_group.api")
    scene.run("move", "--yes", "shop.yaml", "security_group.web", "security_group.api")
    scene.run("plan", "shop.yaml")
    scene.run("forget", "shop.yaml", "security_group.api")
    scene.run("forget", "--yes", "shop.yaml", "security_group.none")
    scene.run("forget", "--yes", "--format", "json", "shop.yaml", "security_group.api")
    scene.run("adopt", "--yes", "shop.yaml")
    scene.run("forget", "shop.yaml")
    scene.run("forget", "--yes", "shop.yaml")
    scene.run("forget", "--yes", "shop.yaml")
    scene.run("stacks")
    scene.check()
