"""What the tests of adoption share: the three commands in a world, and stacks that somebody built by hand."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.adoption.adopt import Adoption, entries_of, find_adoption
from alb_reconcile.adoption.forget import Forgetting, find_forgetting
from alb_reconcile.adoption.move import Move, find_move
from alb_reconcile.adoption.tagging import carry_out
from alb_reconcile.cli.commands.adoption import parse_choices
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.spec.stack import Stack
from tests.harness import READS, REGION, SPECS, Spec, World, load
from tests.properties.watched import WatchedWorld, watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alb_reconcile.model.plan import Plan

PREFIX = "alb-reconcile:"
SHUT = re.compile("lets .* (in|out).* on port|has no route to an internet gateway")
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


class Keeper:
    """`adopt`, `forget` and `move` in a world; whatever they do, tagging is all that they change."""

    def __init__(self, world: World) -> None:
        self.world = world

    def look(self, spec: Spec | Stack, *choices: str, keep_images: bool = False) -> Adoption:
        target = target_of(spec)
        given = parse_choices(choices, entries_of(target.desired))
        found: Adoption = self._run(lambda aws: find_adoption(aws, target, given, keep_images=keep_images), writes="")
        return found

    def adopt(self, spec: Spec | Stack, *choices: str, keep_images: bool = False) -> Adoption:
        found = self.look(spec, *choices, keep_images=keep_images)
        self.write(found.knowing)
        self.write(found.taggings)
        self.write(found.preview.applied if found.preview else ())
        return found

    def forget(self, spec: Spec, *addresses: str) -> Forgetting:
        target = target_of(spec)
        found: Forgetting = self._run(lambda aws: find_forgetting(aws, target, addresses), writes="")
        self.write([*found.unknowing, *found.strays])
        self.write(found.taggings)
        self.write(found.preview.applied if found.preview else ())
        return found

    def move(self, spec: Spec, *addresses: str) -> Move:
        target, pairs = target_of(spec), list(zip(addresses[::2], addresses[1::2], strict=True))
        found: Move = self._run(lambda aws: find_move(aws, target, pairs), writes="")
        self.write([item for _, item in found.moves])
        self.write(found.preview.applied if found.preview else ())
        return found

    def write(self, taggings: Any) -> None:
        self._run(lambda aws: carry_out(aws, taggings, lambda _: None), writes="tag|change_resource_record_sets")

    def _run(self, main: Any, *, writes: str) -> Any:
        """`writes` is a pattern of the calls that may change something: a DNS record's tags are a record."""
        before = nothing_but_tags(self.world)
        try:
            return self.world._run(main)
        finally:
            done = {name for name, _ in self.world.log if not name.startswith(READS)}
            assert all(writes and re.search(writes, name) for name in done), done
            assert nothing_but_tags(self.world) == before


@contextmanager
def keeper() -> Iterator[tuple[WatchedWorld, Keeper]]:
    """A fresh account, and the three commands in it."""
    with watched() as world:
        yield world, Keeper(world)


def nothing_but_tags(world: World) -> dict[str, Any]:
    """The account without any tag of ours."""
    return {key: _without_tags(value) for key, value in world.strict.inventory().items()}


def _without_tags(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _without_tags(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if (key, item) != ("Tags", [])}
    if isinstance(value, list):
        return [
            _without_tags(item)
            for item in value
            if not (isinstance(item, dict) and str(item.get("Key", "")).startswith(PREFIX))
        ]
    return value


def our_tags(world: World) -> dict[str, dict[str, str]]:
    """The tags of ours, by physical id, of whatever has some."""
    found = {}
    for key, value in world.strict.inventory().items():
        mine = {tag["Key"]: tag["Value"] for tag in value.get("Tags", ()) if tag["Key"].startswith(PREFIX)}
        if mine:
            found[key] = tags.own_tags(mine, value.get("AmiLaunchIndex", 0))
    return found


def planned(found: Adoption | Forgetting | Move) -> Plan:
    """The plan that would be left."""
    assert found.preview is not None
    assert found.preview.plan is not None
    return found.preview.plan


def by_address(found: Adoption) -> dict[str, str]:
    """Physical ids of what was matched."""
    return {str(match.address): match.found.found.id for match in found.matches}


def target_of(spec: Spec | Stack) -> DesiredStack:
    """What the commands know of a spec."""
    stack = spec if isinstance(spec, Stack) else load(spec)
    return DesiredStack(stack.name, REGION, stack.desired, stack.account_ids)


def runbook() -> Spec:
    """`specs/runbook.yaml` with its defaults."""
    text = (SPECS / "runbook.yaml").read_text(encoding="utf-8")
    values = {"AWS_REGION": REGION, "EC2_SSH_KEY_NAME": "key"}

    def value(match: re.Match[str]) -> str:
        return values.get(match[1]) or match[2] or ""

    spec: Spec = yaml.safe_load(re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, text))
    return spec


def build_runbook(world: World, names: Mapping[str, str]) -> dict[str, str]:
    """What the runbook's commands make, with the Name tags of `names` (by address) only. Returns ids by address."""
    ec2, elb, ssm = (world.client(service) for service in ("ec2", "elbv2", "ssm"))
    ids: dict[str, str] = {}

    def keep(address: str, physical_id: str) -> str:
        ids[address] = physical_id
        if address in names:
            ec2.create_tags(Resources=[physical_id], Tags=[{"Key": "Name", "Value": names[address]}])
        return physical_id

    ec2.create_key_pair(KeyName="key")
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    vpc = keep("vpc.main", ec2.create_vpc(CidrBlock="10.10.0.0/16")["Vpc"]["VpcId"])
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnets = []
    for number, zone in enumerate("ab"):
        block = f"10.10.{number}.0/24"
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{REGION}{zone}")["Subnet"]
        subnets.append(keep(f"subnet.subnet-{number + 1}", made["SubnetId"]))
    named = {"GroupName": "alb-security-group", "Description": "security group for efs"}
    group = keep("security_group.main", ec2.create_security_group(VpcId=vpc, **named)["GroupId"])
    for port in (22, 80):
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "0.0.0.0/0"}
        ec2.authorize_security_group_ingress(GroupId=group, **rule)
    gateway = keep("internet_gateway.main", ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"])
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = keep("route_table.main", ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"])
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    for subnet in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    one = {"ImageId": image, "InstanceType": "t2.micro", "KeyName": "key", "SecurityGroupIds": [group]}
    instances = []
    for name, subnet in zip("ab", subnets, strict=True):
        launched = ec2.run_instances(MinCount=1, MaxCount=1, SubnetId=subnet, **one)["Instances"][0]
        instances.append(keep(f"instance.web-{name}-1", launched["InstanceId"]))
    world.clock.advance(60)
    balancer = elb.create_load_balancer(Name="alb", Subnets=subnets, SecurityGroups=[group])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    made = elb.create_target_group(Name="alb-target-group", Protocol="HTTP", Port=80, VpcId=vpc)
    targets = made["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": item, "Port": 80} for item in instances])
    listener = elb.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}]
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    ids |= {"load_balancer.main": arn, "target_group.main": targets, "listener.main/http": listener}
    world.clock.advance(300)
    return ids


RUNBOOK_NAMES = {
    "vpc.main": "alb-vpc",
    "subnet.subnet-1": "alb-subnet-1",
    "subnet.subnet-2": "alb-subnet-2",
    "internet_gateway.main": "alb-internet-gateway",
    "route_table.main": "alb-route-table",
    "security_group.main": "alb-security-group",
    "instance.web-a-1": "alb-instance-1",
    "instance.web-b-1": "alb-instance-2",
}
"""The names that the runbook's create-tags commands give."""
