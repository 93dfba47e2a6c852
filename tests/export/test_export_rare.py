"""What hand-made services seldom have: prefix lists in rules, launch templates, CloudFormation stacks in one another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alb_reconcile.aws.client import Aws
from alb_reconcile.export.foreign_names import names_in_stack
from alb_reconcile.export.scope import ExportScope
from tests.export.exporting import adopted, exported, plain, steps
from tests.export.hand_made import by_ansible
from tests.export.surroundings import KEY, key_pair
from tests.harness import by_hand

if TYPE_CHECKING:
    from pathlib import Path

    from tests.properties.watched import WatchedWorld


def test_what_hand_made_services_seldom_have(world: WatchedWorld, tmp_path: Path) -> None:
    made, ec2, elb = by_ansible(world), world.client("ec2"), world.client("elbv2")
    offices = ec2.create_managed_prefix_list(
        PrefixListName="offices", MaxEntries=2, AddressFamily="IPv4", Entries=[{"Cidr": "192.0.2.0/24"}]
    )["PrefixList"]["PrefixListId"]
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": offices}]}
    ec2.authorize_security_group_ingress(GroupId=made["front"], IpPermissions=[rule])
    # AWS documents letters only after the last dot, and public stacks have such rules
    hosts = ["alerts-eu-west-1a.*", "api-*.*"]
    elb.create_rule(
        ListenerArn=elb.describe_listeners(LoadBalancerArn=made["balancer"])["Listeners"][0]["ListenerArn"], Priority=30,
        Actions=[{"Type": "forward", "TargetGroupArn": made["group"]}],
        Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": hosts}}],
    )  # fmt: skip
    found = ec2.describe_instances(InstanceIds=made["instances"][:1])["Reservations"][0]["Instances"][0]
    target = found["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.create_route(RouteTableId=made["table"], DestinationCidrBlock="10.99.0.0/16", NetworkInterfaceId=target)
    # a key pair that whatever an Auto Scaling group launches tomorrow needs
    key_pair(world, made)
    template = ec2.create_launch_template(
        LaunchTemplateName="workers", LaunchTemplateData={"KeyName": KEY, "InstanceType": "t3.micro"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    told = exported(world, ExportScope(vpcs=(made["vpc"],)), tmp_path)
    assert (told.problems, told.notes) == ((), ())
    spec = plain(told)
    assert {"protocol": "tcp", "port": 443, "prefix_list_id": offices} in spec["security_groups"]["front"]["ingress"]
    rules = spec["load_balancers"]["shop"]["listeners"]["http"]["rules"].values()
    assert {"host_header": hosts} in [condition for rule in rules for condition in rule["conditions"]]
    routes = spec["route_tables"]["route-table"]["routes"]
    assert {"destination_cidr_block": "10.99.0.0/16", "network_interface": target} in routes
    assert "key_pairs" not in spec
    assert f"# key pair {KEY} is used by {template} as well" in told.text
    assert steps(adopted(world, told, tmp_path)) == []


def test_names_in_cloudformation_stacks_that_are_nested(world: WatchedWorld) -> None:
    inner = {"Resources": {"Subnet": {
        "Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.40.0.0/16"},
    }}}  # fmt: skip
    by_hand("s3").create_bucket(Bucket="templates")
    by_hand("s3").put_object(Bucket="templates", Key="inner.json", Body=json.dumps(inner))
    outer = {"Resources": {
        "Network": {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": "https://templates.s3.amazonaws.com/inner.json"},
        },
        "Outer": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.41.0.0/16"}},
    }}  # fmt: skip
    world.client("cloudformation").create_stack(StackName="nested", TemplateBody=json.dumps(outer))
    world.clock.advance(60)
    there = {row["CidrBlock"]: row["VpcId"] for row in world.client("ec2").describe_vpcs()["Vpcs"]}

    async def read(aws: Aws) -> dict[str, str]:
        return await names_in_stack(aws, "nested")

    names = world._run(read)
    assert names[there["10.41.0.0/16"]] == "Outer"
    assert names[there["10.40.0.0/16"]] == "Subnet"
