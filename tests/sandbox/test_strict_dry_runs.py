"""Dry runs: EC2 says whether a call is permitted, and does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.world import World
from tests.sandbox.strict_world import IMAGE, REGION, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws
    from tests.sandbox.strict_world import Network

HTTP = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ANYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def calls(network: Network) -> dict[str, dict[str, Any]]:
    """Every action that the tool calls and that takes `DryRun`, with parameters with which it would do something."""
    ec2 = network.ec2
    running, stopped = network.running(), network.running()
    ec2.stop_instances(InstanceIds=[stopped])
    network.clock.advance(60)
    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    spare = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.7.0.0/16", GatewayId=network.gateway)
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=network.subnets[0])["AssociationId"]
    empty = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    unused = network.security_group("unused")
    ec2.authorize_security_group_ingress(GroupId=unused, IpPermissions=[HTTP])
    loose = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "10.7.0.0/16"}
    rule = {"GroupId": unused, "IpPermissions": [HTTP]}
    described = {**HTTP, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}]}
    return {
        "create_vpc": {"CidrBlock": "10.8.0.0/16"},
        "create_subnet": {"VpcId": network.vpc, "CidrBlock": "10.0.7.0/24"},
        "create_internet_gateway": {},
        "create_route_table": {"VpcId": network.vpc},
        "create_route": {**route, "DestinationCidrBlock": "10.6.0.0/16", "GatewayId": network.gateway},
        "create_security_group": {"GroupName": "more", "Description": "more", "VpcId": network.vpc},
        "create_tags": {"Resources": [running], "Tags": [{"Key": "a", "Value": "b"}]},
        "run_instances": {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "SubnetId": network.subnets[0]},
        "start_instances": {"InstanceIds": [stopped]},
        "stop_instances": {"InstanceIds": [running]},
        "terminate_instances": {"InstanceIds": [running]},
        "modify_instance_attribute": {"InstanceId": stopped, "InstanceType": {"Value": "t3.small"}},
        "modify_instance_metadata_options": {"InstanceId": running, "HttpTokens": "required"},
        "attach_internet_gateway": {"InternetGatewayId": loose, "VpcId": empty},
        "detach_internet_gateway": {"InternetGatewayId": network.gateway, "VpcId": network.vpc},
        "associate_route_table": {"RouteTableId": spare, "SubnetId": network.subnets[1]},
        "replace_route_table_association": {"RouteTableId": spare, "AssociationId": association},
        "disassociate_route_table": {"AssociationId": association},
        "replace_route": {**route, "GatewayId": network.gateway},
        "delete_route": route,
        "authorize_security_group_ingress": {**rule, "IpPermissions": [ANYTHING]},
        "authorize_security_group_egress": rule,
        "revoke_security_group_ingress": rule,
        "revoke_security_group_egress": {**rule, "IpPermissions": [ANYTHING]},
        "update_security_group_rule_descriptions_ingress": {**rule, "IpPermissions": [described]},
        "update_security_group_rule_descriptions_egress": {
            **rule, "IpPermissions": [{**ANYTHING, "IpRanges": described["IpRanges"]}],
        },
        "delete_internet_gateway": {"InternetGatewayId": loose},
        "delete_route_table": {"RouteTableId": spare},
        "delete_security_group": {"GroupId": unused},
        "delete_subnet": {"SubnetId": network.subnets[1]},
        "delete_vpc": {"VpcId": empty},
        "delete_tags": {"Resources": [running], "Tags": [{"Key": "a"}]},
    }  # fmt: skip


def test_no_action_does_anything(network: Network, aws: StrictAws) -> None:
    wanted = calls(network)
    before = aws.inventory()
    for operation, params in wanted.items():
        refuses("DryRunOperation: would have succeeded", getattr(network.ec2, operation), **params, DryRun=True)
        assert aws.inventory() == before, operation


@pytest.mark.parametrize("dry", [True, False])
def test_what_the_caller_may_not_do(network: Network, aws: StrictAws, *, dry: bool) -> None:
    World(DEFAULT_ACCOUNT_ID, REGION).ledger.denied |= {"DeleteVpc", "CreateVpc"}
    before = aws.inventory()
    with refused("UnauthorizedOperation", status=403):
        network.ec2.delete_vpc(VpcId=network.vpc, DryRun=dry)
    with refused("UnauthorizedOperation", status=403):
        network.ec2.create_vpc(CidrBlock="10.8.0.0/16", DryRun=dry)
    assert aws.inventory() == before
    refuses("DryRunOperation", network.ec2.create_internet_gateway, DryRun=True)
