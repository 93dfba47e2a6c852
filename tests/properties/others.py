"""What somebody else has in an account, and everything that there is in one, as AWS describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]
"""Gives a boto3 client for a service."""


def make_others(client: Client) -> None:
    """Of each sort that a stack has."""
    ec2, elb = client("ec2"), client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    dead, alive = (
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnets[0])["Instances"][0]["InstanceId"]
        for _ in range(2)
    )
    ec2.terminate_instances(InstanceIds=[dead])
    balancer = elb.create_load_balancer(Name="theirs", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": alive}])
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    made = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    listener = made["Listeners"][0]["ListenerArn"]
    paths = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/v2/*"]}}]
    elb.create_rule(ListenerArn=listener, Priority=1, Conditions=paths, Actions=forward)
    ec2.create_tags(Resources=[vpc, *subnets, gateway, alive], Tags=[{"Key": "owner", "Value": "them"}])
    elb.add_tags(ResourceArns=[balancer, group, listener], Tags=[{"Key": "owner", "Value": "them"}])


def seen(client: Client) -> dict[str, Any]:
    """Everything but the dead, by its id; targets and the tags of load balancing beside it."""
    ec2, elb = client("ec2"), client("elbv2")
    found = {
        item[key]: item
        for items, key in (
            (ec2.describe_vpcs()["Vpcs"], "VpcId"),
            (ec2.describe_subnets()["Subnets"], "SubnetId"),
            (ec2.describe_internet_gateways()["InternetGateways"], "InternetGatewayId"),
            (ec2.describe_route_tables()["RouteTables"], "RouteTableId"),
            (ec2.describe_security_groups()["SecurityGroups"], "GroupId"),
            (elb.describe_load_balancers()["LoadBalancers"], "LoadBalancerArn"),
            (elb.describe_target_groups()["TargetGroups"], "TargetGroupArn"),
        )
        for item in items
    }
    for each in ec2.describe_instances()["Reservations"]:
        found |= {item["InstanceId"]: item for item in each["Instances"] if item["State"]["Name"] != "terminated"}
    for item in elb.describe_load_balancers()["LoadBalancers"]:
        for listener in elb.describe_listeners(LoadBalancerArn=item["LoadBalancerArn"])["Listeners"]:
            rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
            found |= {listener["ListenerArn"]: listener} | {rule["RuleArn"]: rule for rule in rules}
    for arn in [item for item in found if item.startswith("arn:")]:
        found[f"tags of {arn}"] = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
        if ":targetgroup/" in arn:
            health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            found[f"targets of {arn}"] = health
    return found
