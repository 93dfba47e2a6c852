"""What the tests of the strict AWS share: clients, a small network, and how a refusal is expected."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from alb_reconcile.sandbox.strict import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "us-east-1"
IMAGE = "ami-04681a1dbd79675a5"
ROUND = Timing(
    pending=10, stopping=15, shutting_down=15, provisioning=60, interfaces_linger=60, nat_pending=120, nat_deleting=60
)
"""Times that these tests count with, whatever is known of AWS's."""
NO_RETRIES = Config(retries={"total_max_attempts": 1})


@functools.cache
def client(service: str, region: str = REGION) -> Any:
    """Clients take a quarter of a second to make, and outlive the AWS that they talk to."""
    return boto3.client(service, region_name=region, config=NO_RETRIES)


@contextmanager
def refused(code: str, match: str | None = None, status: int = 400) -> Iterator[None]:
    with pytest.raises(ClientError, match=match) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def refuses(told: str, call: Callable[..., object], /, *args: Any, **params: Any) -> None:
    """`told` is the code, and after a colon some of the words (a regular expression)."""
    code, _, words = told.partition(": ")
    with refused(code, words or None):
        call(*args, **params)


@dataclass
class Network:
    """A VPC with an attached gateway, two subnets in two zones, and a security group."""

    ec2: Any
    elb: Any
    clock: Any
    vpc: str = ""
    gateway: str = ""
    subnets: tuple[str, ...] = ()
    group: str = ""

    @classmethod
    def make(cls, ec2: Any, elb: Any, clock: Any, cidr: str = "10.0.0.0/16") -> Network:
        network = cls(ec2, elb, clock)
        network.vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
        network.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc)
        prefix = cidr.rsplit(".", 2)[0]
        network.subnets = tuple(
            network.subnet(f"{prefix}.{number}.0/24", f"{REGION}{zone}") for number, zone in ((0, "a"), (1, "b"))
        )
        network.group = network.security_group("web")
        return network

    def subnet(self, cidr: str, zone: str) -> str:
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=zone)
        return str(made["Subnet"]["SubnetId"])

    def security_group(self, name: str) -> str:
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(made["GroupId"])

    def table(self) -> str:
        return str(self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"])

    def address(self) -> str:
        return str(self.ec2.allocate_address(Domain="vpc")["AllocationId"])

    @property
    def attachment(self) -> dict[str, str]:
        """Of the gateway, as calls name it."""
        return {"InternetGatewayId": self.gateway, "VpcId": self.vpc}

    def launch(self, **overrides: Any) -> str:
        params = {"SubnetId": self.subnets[0], "SecurityGroupIds": [self.group]}
        return self.launch_several(1, **params | overrides)[0]

    def launch_several(self, most: int, /, least: int = 0, **overrides: Any) -> list[str]:
        params = {"ImageId": IMAGE, "InstanceType": "t3.micro", "MinCount": least or most, "MaxCount": most}
        return [item["InstanceId"] for item in self.ec2.run_instances(**params | overrides)["Instances"]]

    def running(self, **overrides: Any) -> str:
        instance = self.launch(**overrides)
        self.clock.advance(10)
        return instance

    def stopped(self, **overrides: Any) -> str:
        instance = self.running(**overrides)
        self.ec2.stop_instances(InstanceIds=[instance])
        self.clock.advance(60)
        return instance

    def state(self, instance: str) -> str:
        return str(self.show(instance)["State"]["Name"])

    def show(self, instance: str) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[instance])
        return dict(answer["Reservations"][0]["Instances"][0])

    def balancer(self, name: str = "lb", **overrides: Any) -> str:
        params = {"Name": name, "Subnets": list(self.subnets), "SecurityGroups": [self.group]}
        return str(self.elb.create_load_balancer(**params | overrides)["LoadBalancers"][0]["LoadBalancerArn"])

    def target_group(self, name: str = "tg", /, **overrides: Any) -> str:
        params = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc}
        return str(self.elb.create_target_group(**params | overrides)["TargetGroups"][0]["TargetGroupArn"])

    def listener(self, balancer: str, group: str, port: int = 80, **overrides: Any) -> str:
        params = {
            "LoadBalancerArn": balancer,
            "Protocol": "HTTP",
            "Port": port,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
        }
        return str(self.elb.create_listener(**params | overrides)["Listeners"][0]["ListenerArn"])

    def rule(self, listener: str, priority: int, group: str | None = None) -> str:
        fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        made = self.elb.create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{priority}"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": group} if group else fixed],
        )
        return str(made["Rules"][0]["RuleArn"])

    def health(self, group: str) -> dict[tuple[str, int], tuple[str, str]]:
        answer = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {
            (entry["Target"]["Id"], entry["Target"]["Port"]): (
                entry["TargetHealth"]["State"],
                entry["TargetHealth"].get("Reason", ""),
            )
            for entry in answer
        }

    def health_of(self, group: str, instance: str, port: int = 80) -> tuple[str, str] | None:
        return self.health(group).get((instance, port))

    def interfaces(self) -> list[dict[str, Any]]:
        answer = self.ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        return list(answer["NetworkInterfaces"])
