"""The floor: the runbook's stack in bare boto3, as fast as its dependencies allow. `python -m tests.bench.floor VERB`.

`create` makes it in six round trips, `find` looks by tag in two whether all of it is there, `delete` removes it with
the fewest calls that AWS takes, `roll` replaces its instances some at a time. No plan, no comparison, no retries, no
progress: what any tool must at least do. All instances of the stack have one name, so that a subnet's take one call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3
from botocore.config import Config

REGION: Final = "us-west-2"
IMAGE: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
STACK: Final = "floor"
Call = tuple[Callable[..., Any], dict[str, Any]]


def _tags(name: str) -> list[dict[str, str]]:
    return [{"Key": "bench:stack", "Value": STACK}, {"Key": "Name", "Value": name}]


def _specification(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": _tags(name)}]


class Floor:
    """One run."""

    def __init__(self, *services: str, each: int = 1) -> None:
        self.each = each
        """Instances in each of the two subnets."""
        session = boto3.Session(region_name=REGION)
        config = Config(max_pool_connections=16)
        clients = {name: session.client(name, config=config) for name in services}
        self.ec2, self.elb, self.ssm = (clients.get(name) for name in ("ec2", "elbv2", "ssm"))
        self.pool = ThreadPoolExecutor(16)

    def together(self, **calls: Call) -> dict[str, Any]:
        """One round trip: all of these calls at once."""
        waiting = {name: self.pool.submit(call, **params) for name, (call, params) in calls.items()}
        return {name: future.result() for name, future in waiting.items()}

    def create(self, key_name: str) -> None:
        """The runbook, without its bugs."""
        ec2: Any = self.ec2
        elb: Any = self.elb
        ssm: Any = self.ssm
        first = self.together(
            vpc=(ec2.create_vpc, {"CidrBlock": "10.10.0.0/16", "TagSpecifications": _specification("vpc", "alb-vpc")}),
            gateway=(ec2.create_internet_gateway, {"TagSpecifications": _specification("internet-gateway", "alb-internet-gateway")}),
            image=(ssm.get_parameters, {"Names": [IMAGE]}),
        )  # fmt: skip
        vpc = first["vpc"]["Vpc"]["VpcId"]
        gateway = first["gateway"]["InternetGateway"]["InternetGatewayId"]
        image = first["image"]["Parameters"][0]["Value"]
        second = self.together(
            names=(ec2.modify_vpc_attribute, {"VpcId": vpc, "EnableDnsHostnames": {"Value": True}}),
            attach=(ec2.attach_internet_gateway, {"VpcId": vpc, "InternetGatewayId": gateway}),
            subnet_a=(ec2.create_subnet, _subnet(vpc, 0, "a")),
            subnet_b=(ec2.create_subnet, _subnet(vpc, 1, "b")),
            table=(ec2.create_route_table, {"VpcId": vpc, "TagSpecifications": _specification("route-table", "alb-route-table")}),
            group=(ec2.create_security_group, {
                "VpcId": vpc, "GroupName": "alb-security-group", "Description": "security group for efs",
                "TagSpecifications": _specification("security-group", "alb-security-group"),
            }),
            targets=(elb.create_target_group, {
                "Name": "floor-target-group", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "Tags": _tags("floor-target-group"),
            }),
        )  # fmt: skip
        subnets = [second[name]["Subnet"]["SubnetId"] for name in ("subnet_a", "subnet_b")]
        table = second["table"]["RouteTable"]["RouteTableId"]
        group = second["group"]["GroupId"]
        targets = second["targets"]["TargetGroups"][0]["TargetGroupArn"]
        ports = [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            for port in (22, 80)
        ]
        third = self.together(
            rules=(ec2.authorize_security_group_ingress, {"GroupId": group, "IpPermissions": ports}),
            route=(ec2.create_route, {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}),
            balancer=(elb.create_load_balancer, {
                "Name": "floor-alb", "Subnets": subnets, "SecurityGroups": [group], "Tags": _tags("floor-alb"),
            }),
            **{f"public {subnet}": (ec2.modify_subnet_attribute, {"SubnetId": subnet, "MapPublicIpOnLaunch": {"Value": True}}) for subnet in subnets},
            **{f"table {subnet}": (ec2.associate_route_table, {"SubnetId": subnet, "RouteTableId": table}) for subnet in subnets},
        )  # fmt: skip
        balancer = third["balancer"]["LoadBalancers"][0]["LoadBalancerArn"]
        forward = [{"Type": "forward", "TargetGroupArn": targets}]
        fourth = self.together(
            listener=(elb.create_listener, {
                "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80, "DefaultActions": forward, "Tags": _tags("http"),
            }),
            **{subnet: (ec2.run_instances, _instance(image, key_name, group, subnet, self.each)) for subnet in subnets},
        )  # fmt: skip
        instances = [item["InstanceId"] for subnet in subnets for item in fourth[subnet]["Instances"]]
        filters = [{"Name": "instance-id", "Values": instances}]
        found = ec2.describe_instances(Filters=filters)
        assert {item["State"]["Name"] for item in _instances(found)} == {"running"}, "moto's run at once"
        elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": instance, "Port": 80} for instance in instances])

    def find(self) -> Mapping[str, str | list[str]]:
        """Whether the stack is there as it was made: the ids of its parts."""
        ec2: Any = self.ec2
        elb: Any = self.elb
        mine = {"Filters": [{"Name": "tag:bench:stack", "Values": [STACK]}]}
        first = self.together(
            vpcs=(ec2.describe_vpcs, mine),
            subnets=(ec2.describe_subnets, mine),
            gateways=(ec2.describe_internet_gateways, mine),
            tables=(ec2.describe_route_tables, mine),
            groups=(ec2.describe_security_groups, mine),
            instances=(ec2.describe_instances, mine),
            balancers=(elb.describe_load_balancers, {"Names": ["floor-alb"]}),
            targets=(elb.describe_target_groups, {"Names": ["floor-target-group"]}),
        )
        vpc = first["vpcs"]["Vpcs"][0]["VpcId"]
        balancer = first["balancers"]["LoadBalancers"][0]["LoadBalancerArn"]
        targets = first["targets"]["TargetGroups"][0]["TargetGroupArn"]
        second = self.together(
            names=(ec2.describe_vpc_attribute, {"VpcId": vpc, "Attribute": "enableDnsHostnames"}),
            tags=(elb.describe_tags, {"ResourceArns": [balancer, targets]}),
            listeners=(elb.describe_listeners, {"LoadBalancerArn": balancer}),
            health=(elb.describe_target_health, {"TargetGroupArn": targets}),
        )
        table = first["tables"]["RouteTables"][0]
        group = first["groups"]["SecurityGroups"][0]
        live = [item for item in _instances(first["instances"]) if item["State"]["Name"] == "running"]
        assert len(live) == 2 * self.each
        assert len(first["subnets"]["Subnets"]) == 2
        assert all(item["MapPublicIpOnLaunch"] for item in first["subnets"]["Subnets"])
        assert {item["FromPort"] for item in group["IpPermissions"]} == {22, 80}
        assert sum("SubnetId" in item for item in table["Associations"]) == 2
        assert any(item.get("DestinationCidrBlock") == "0.0.0.0/0" for item in table["Routes"])
        assert second["names"]["EnableDnsHostnames"]["Value"]
        assert [item["Port"] for item in second["listeners"]["Listeners"]] == [80]
        assert len(second["health"]["TargetHealthDescriptions"]) == 2 * self.each
        assert all(item["Tags"] for item in second["tags"]["TagDescriptions"])
        return {
            "vpc": vpc, "balancer": balancer, "targets": targets, "table": table["RouteTableId"], "group": group["GroupId"],
            "gateway": first["gateways"]["InternetGateways"][0]["InternetGatewayId"],
            "subnets": [item["SubnetId"] for item in first["subnets"]["Subnets"]],
            "instances": [item["InstanceId"] for item in live],
            "associations": [item["RouteTableAssociationId"] for item in table["Associations"] if "SubnetId" in item],
        }  # fmt: skip

    def delete(self) -> None:
        """The listener goes with its load balancer, the rules with their group.

        The associations would go with their subnets on AWS; moto wants them ended first.
        """
        ec2: Any = self.ec2
        elb: Any = self.elb
        ids = self.find()
        self.together(
            balancer=(elb.delete_load_balancer, {"LoadBalancerArn": ids["balancer"]}),
            instances=(ec2.terminate_instances, {"InstanceIds": ids["instances"]}),
            **{association: (ec2.disassociate_route_table, {"AssociationId": association}) for association in ids["associations"]},
        )  # fmt: skip
        filters = [{"Name": "vpc-id", "Values": [ids["vpc"]]}]
        ec2.describe_network_interfaces(Filters=filters)  # on AWS: until they are gone
        self.together(
            targets=(elb.delete_target_group, {"TargetGroupArn": ids["targets"]}),
            detach=(ec2.detach_internet_gateway, {"InternetGatewayId": ids["gateway"], "VpcId": ids["vpc"]}),
            group=(ec2.delete_security_group, {"GroupId": ids["group"]}),
            **{subnet: (ec2.delete_subnet, {"SubnetId": subnet}) for subnet in ids["subnets"]},
        )
        self.together(
            gateway=(ec2.delete_internet_gateway, {"InternetGatewayId": ids["gateway"]}),
            table=(ec2.delete_route_table, {"RouteTableId": ids["table"]}),
        )
        ec2.delete_vpc(VpcId=ids["vpc"])

    def roll(self, key_name: str, surge: int) -> None:
        """As many new ones as may be there beside the old, in one subnet; when they serve, as many old ones of it go."""
        ec2: Any = self.ec2
        elb: Any = self.elb
        ids = self.find()
        targets = ids["targets"]
        for old in _by_subnet(ec2.describe_instances(InstanceIds=ids["instances"]), surge):
            first = old[0]
            made = ec2.run_instances(
                **_instance(first["ImageId"], key_name, str(ids["group"]), first["SubnetId"], len(old))
            )
            new = [item["InstanceId"] for item in made["Instances"]]
            found = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": new}])
            assert {item["State"]["Name"] for item in _instances(found)} == {"running"}, "moto's run at once"
            elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": instance, "Port": 80} for instance in new])
            elb.describe_target_health(TargetGroupArn=targets)  # on AWS: until they are healthy
            gone = [item["InstanceId"] for item in old]
            elb.deregister_targets(TargetGroupArn=targets, Targets=[{"Id": instance, "Port": 80} for instance in gone])
            elb.describe_target_health(TargetGroupArn=targets)  # on AWS: until they have drained
            ec2.terminate_instances(InstanceIds=gone)


def _by_subnet(answer: dict[str, Any], most: int) -> Iterator[list[dict[str, Any]]]:
    """Instances, in parts of one subnet."""
    rows = _instances(answer)
    for subnet in sorted({item["SubnetId"] for item in rows}):
        inside = [item for item in rows if item["SubnetId"] == subnet]
        yield from (inside[start : start + most] for start in range(0, len(inside), most))


def _subnet(vpc: str, number: int, zone: str) -> dict[str, Any]:
    return {
        "VpcId": vpc, "CidrBlock": f"10.10.{number}.0/24", "AvailabilityZone": f"{REGION}{zone}",
        "TagSpecifications": _specification("subnet", f"alb-subnet-{number + 1}"),
    }  # fmt: skip


def _instance(image: str, key_name: str, group: str, subnet: str, count: int) -> dict[str, Any]:
    return {
        "ImageId": image, "InstanceType": "t2.micro", "MinCount": count, "MaxCount": count, "KeyName": key_name,
        "SecurityGroupIds": [group], "SubnetId": subnet, "TagSpecifications": _specification("instance", "alb-instance"),
    }  # fmt: skip


def _instances(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for reservation in answer["Reservations"] for item in reservation["Instances"]]


def main() -> None:
    """`create KEY_NAME`, `find`, `roll KEY_NAME SURGE` or `delete`; last, how many instances each subnet has."""
    verb, each = sys.argv[1], int(sys.argv[-1])
    if verb == "create":
        Floor("ec2", "elbv2", "ssm", each=each).create(sys.argv[2])
    elif verb == "roll":
        Floor("ec2", "elbv2", each=each).roll(sys.argv[2], int(sys.argv[3]))
    elif verb == "find":
        Floor("ec2", "elbv2", each=each).find()
    else:
        Floor("ec2", "elbv2", each=each).delete()


if __name__ == "__main__":
    main()
