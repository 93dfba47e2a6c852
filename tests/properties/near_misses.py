"""What others have in an account that looks nearly like a stack's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alb_reconcile.model import tags

if TYPE_CHECKING:
    from tests.harness import World

IMAGE = "ami-12c6146b"
NEAR_MISSES: tuple[dict[str, str], ...] = (
    {},
    {tags.STACK: "demo2", tags.ADDRESS: "{kind}.web"},
    {tags.STACK: "Demo", tags.ADDRESS: "{kind}.web"},
    {tags.STACK: "dem", tags.ADDRESS: "{kind}.web"},
    {tags.STACK: "demo ", tags.ADDRESS: "{kind}.web"},
    {"Alb-Reconcile:Stack": "demo", "Alb-Reconcile:Address": "{kind}.web"},
    {"alb-reconcile:stacks": "demo", tags.ADDRESS: "{kind}.web"},
    {tags.ADDRESS: "{kind}.web", "Name": "demo-web"},
    {"Name": "demo-web", "service": "demo"},
)


def tag_list(found: dict[str, str], kind: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value.format(kind=kind)} for key, value in found.items()]


def _spec(found: dict[str, str], resource: str, kind: str) -> dict[str, Any]:
    listed = tag_list(found, kind)
    return {"TagSpecifications": [{"ResourceType": resource, "Tags": listed}]} if listed else {}


def add_strangers(world: World, misses: tuple[dict[str, str], ...] = NEAR_MISSES) -> None:
    """A foreign network with one of everything for each near miss."""
    ec2, elb = world.client("ec2"), world.client("elbv2")
    for number, found in enumerate(misses):
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", **_spec(found, "vpc", "vpc"))["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{place}.0/24", AvailabilityZone=f"us-east-1{'_ab'[place]}",
                **_spec(found, "subnet", "subnet"),
            )["Subnet"]["SubnetId"]
            for place in (1, 2)
        ]  # fmt: skip
        gateway = ec2.create_internet_gateway(**_spec(found, "internet-gateway", "internet_gateway"))
        gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc)
        ec2.create_route_table(VpcId=vpc, **_spec(found, "route-table", "route_table"))
        group = ec2.create_security_group(
            GroupName=f"demo-web-{number}", Description="HTTP from the load balancer", VpcId=vpc,
            **_spec(found, "security-group", "security_group"),
        )["GroupId"]  # fmt: skip
        instance = ec2.run_instances(
            ImageId=IMAGE, InstanceType="t3.micro", SubnetId=subnets[0], SecurityGroupIds=[group], MinCount=1, MaxCount=1,
            **_spec({**found, **({tags.ADDRESS: "{kind}.web-1"} if tags.ADDRESS in found else {})}, "instance", "instance"),
        )["Instances"][0]["InstanceId"]  # fmt: skip
        world.clock.advance(60)
        _add_balancing(elb, number, found, vpc, subnets, group, instance)


def _add_balancing(
    elb: Any, number: int, found: dict[str, str], vpc: str, subnets: list[str], group: str, instance: str
) -> None:
    def tagged(kind: str) -> dict[str, Any]:
        return {"Tags": tag_list(found, kind)} if found else {}

    target_group = elb.create_target_group(
        Name=f"demo-web-{number:08x}", Protocol="HTTP", Port=80, VpcId=vpc, **tagged("target_group")
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=target_group, Targets=[{"Id": instance, "Port": 80}])
    balancer = elb.create_load_balancer(
        Name=f"demo-public-{number:08x}", Subnets=subnets, SecurityGroups=[group], **tagged("load_balancer")
    )["LoadBalancers"][0]["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": target_group}]
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward, **tagged("listener")
    )["Listeners"][0]["ListenerArn"]
    elb.create_rule(
        ListenerArn=listener, Priority=10, Actions=forward, Conditions=[{"Field": "path-pattern", "Values": ["/v2/*"]}],
        **tagged("rule"),
    )  # fmt: skip
