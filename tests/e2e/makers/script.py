"""A service as somebody's script for boto3 makes it. Prints the VPC's id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

ec2, elb, ssm = (boto3.client(name) for name in ("ec2", "elbv2", "ssm"))
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def tagged(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, {"Key": "team", "Value": "web"}]}]


def main() -> None:
    vpc = ec2.create_vpc(CidrBlock="10.41.0.0/16", TagSpecifications=tagged("vpc", "web"))["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", "web"))["InternetGateway"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
    made = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table", "web-public"))
    table = made["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway["InternetGatewayId"])
    subnets = []
    for number, zone in enumerate("ab"):
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.41.{number}.0/24", AvailabilityZone=f"us-east-1{zone}",
            TagSpecifications=tagged("subnet", f"web-{zone}"),
        )["Subnet"]["SubnetId"]  # fmt: skip
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        subnets.append(subnet)
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    anyone = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[anyone])
    instances = ec2.run_instances(
        ImageId=ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"], InstanceType="t3.micro", MinCount=2, MaxCount=2,
        SubnetId=subnets[0], SecurityGroupIds=[group], UserData=Path("user-data/web-api.py").read_text(encoding="utf-8"),
        TagSpecifications=tagged("instance", "web"),
    )["Instances"]  # fmt: skip
    ids = [item["InstanceId"] for item in instances]
    ec2.get_waiter("instance_running").wait(InstanceIds=ids)
    targets = elb.create_target_group(
        Name="web", Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckPath="/health", HealthCheckIntervalSeconds=10,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": item} for item in ids])
    made = elb.create_load_balancer(Name="web", Subnets=subnets, SecurityGroups=[group])
    balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
    forward = {"Type": "forward", "TargetGroupArn": targets}
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[forward])
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[balancer])
    print(vpc)


main()
