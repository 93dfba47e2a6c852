"""Stacks as other tools make them: the calls that they make, with what they give and leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.harness import REGION

if TYPE_CHECKING:
    from tests.harness import World

ZONES = (f"{REGION}a", f"{REGION}b")
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    """What EC2's creates take."""
    return [{"ResourceType": kind, "Tags": elb_tags(**tags)}]


def elb_tags(**tags: str) -> list[dict[str, str]]:
    """What ELBv2's take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def image(world: World) -> str:
    """An image that there is."""
    return str(world.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"])


def network(world: World, *, main: bool = False, **tags: str) -> dict[str, Any]:
    """A VPC with two public subnets, their routes in a table of their own, or in the VPC's `main` one as tutorials do it."""
    ec2 = world.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16", TagSpecifications=tagged("vpc", Name="shop", **tags))["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.20.{number}.0/24", AvailabilityZone=zone,
            TagSpecifications=tagged("subnet", Name=f"shop-public-{zone[-1]}", **tags),
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate(ZONES)
    ]  # fmt: skip
    where = [{"Name": "vpc-id", "Values": [vpc]}]
    if main:
        table = ec2.describe_route_tables(Filters=where)["RouteTables"][0]["RouteTableId"]
    else:
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    for subnet in [] if main else subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return {"vpc": vpc, "subnets": subnets, "gateway": gateway, "table": table}


def by_ansible(world: World, *, main: bool = False) -> dict[str, Any]:
    """What amazon.aws.ec2_security_group, ec2_instance, elb_application_lb and community.aws.elb_target_group call."""
    made = network(world, main=main, managed_by="ansible")
    ec2, elb = world.client("ec2"), world.client("elbv2")
    front, web = (
        ec2.create_security_group(GroupName=name, Description=f"Ansible: {name}", VpcId=made["vpc"])["GroupId"]
        for name in ("shop-front", "shop-web")
    )
    anywhere = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=front, IpPermissions=[anywhere])
    inside = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": front}]}
    ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[inside])
    instances = [
        ec2.run_instances(
            ImageId=image(world), InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=made["subnets"][number % 2],
            SecurityGroupIds=[web], UserData="#!/bin/sh\nPASSWORD=hunter2 exec shop\n",
            MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled"},
            TagSpecifications=tagged("instance", Name=f"shop-web-{number + 1}", managed_by="ansible"),
        )["Instances"][0]["InstanceId"]
        for number in range(3)
    ]  # fmt: skip
    world.clock.advance(60)
    group = elb.create_target_group(
        Name="shop-web", Protocol="HTTP", Port=8080, VpcId=made["vpc"], HealthCheckPath="/health",
        HealthCheckIntervalSeconds=10, TargetType="instance",
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=attributes)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": item, "Port": 8080} for item in instances])
    balancer = elb.create_load_balancer(
        Name="shop", Subnets=made["subnets"], SecurityGroups=[front], Tags=elb_tags(managed_by="ansible")
    )["LoadBalancers"][0]["LoadBalancerArn"]
    attributes = [{"Key": "idle_timeout.timeout_seconds", "Value": "120"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=attributes)
    forward = {"Type": "forward", "TargetGroupArn": group}
    listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[forward])
    listener = listener["Listeners"][0]["ListenerArn"]
    answer = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "${soon}: yes\n# really"}
    elb.create_rule(
        ListenerArn=listener, Priority=10, Conditions=[{"Field": "path-pattern", "Values": ["/v2/*"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
    )  # fmt: skip
    elb.create_rule(
        ListenerArn=listener, Priority=20, Conditions=[{"Field": "host-header", "Values": ["old.example.com"]}],
        Actions=[{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "example.com"}}],
    )  # fmt: skip
    world.clock.advance(300)
    return {**made, "instances": instances, "group": group, "balancer": balancer, "web": web, "front": front}
