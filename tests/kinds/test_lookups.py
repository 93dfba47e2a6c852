"""What a spec looks up instead of naming it by its id: by tags, by default, by an SSM parameter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.errors import SpecError
from tests.harness import by_hand, demo, load
from tests.kinds.example import STACK
from tests.kinds.hand import LINUX_1, Hand, calls, edited

if TYPE_CHECKING:
    from tests.harness import Spec


class Network:
    """Somebody else's network, with tags."""

    def __init__(self, hand: Hand, name: str = "shared", tier: str = "private") -> None:
        self.hand = hand
        self.vpc = str(hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])
        self.tag(self.vpc, Name=name)
        self.subnets = [self.subnet(number, zone) for number, zone in enumerate("ab")]
        for subnet in self.subnets:
            self.tag(subnet, Tier=tier, Network=name)
        made = hand.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        self.group = str(made["GroupId"])
        self.tag(self.group, Name="inner")

    def subnet(self, number: int, zone: str) -> str:
        block, place = f"10.9.{number}.0/24", f"us-east-1{zone}"
        made = self.hand.ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=place)
        return str(made["Subnet"]["SubnetId"])

    def tag(self, resource: str, **tags: str) -> None:
        self.hand.changed_tags("ec2", resource, tags)


VPC = {"tag": {"Name": "shared"}}
SUBNETS = {"tag": {"Tier": "private"}}
GROUPS = [{"tag": {"Name": "inner"}}]


def service(vpc: Any = VPC, subnets: Any = SUBNETS, groups: Any = GROUPS) -> Spec:
    """A service in somebody else's network."""
    listeners = {"http": {"protocol": "HTTP", "port": 80, "default_action": {"forward": "web"}}}
    return {
        **STACK,
        "security_groups": {
            "front": {"vpc": vpc, "ingress": [{"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/8"}]}
        },
        "instances": {
            "app": {
                "image_id": LINUX_1,
                "instance_type": "t3.micro",
                "count": 2,
                "subnets": subnets,
                "security_groups": groups,
            }
        },
        "target_groups": {"web": {"vpc": vpc, "protocol": "HTTP", "port": 80, "targets": ["app"]}},
        "load_balancers": {
            "in": {"scheme": "internal", "subnets": subnets, "security_groups": ["front"], "listeners": listeners}
        },
    }


def parameter(name: str, value: str, kind: str = "String") -> None:
    by_hand("ssm").put_parameter(Name=name, Value=value, Type=kind)


def test_a_network_is_found_by_its_tags_told_and_left_alone(hand: Hand) -> None:
    """It is the same spec as one with the ids, which plans for machines have alone."""
    Network(hand, "other")
    network = Network(hand)
    spec = service(subnets={"tag": {"Tier": "private", "Network": "shared"}}, groups=[network.group])
    before = hand.world.strict.inventory()
    plan = hand.world.plan(spec)
    text = render_plan(plan, Style(colored=False))
    assert re.search(rf"vpc +{network.vpc} \(tag Name=shared\)", text)
    assert f"{sorted(network.subnets)[0]} (tag " in text
    assert "tag Tier" not in plan.to_json()
    hand.make(spec)
    found = hand.elb.describe_load_balancers()["LoadBalancers"][0]
    assert found["VpcId"] == network.vpc
    assert {item["SubnetId"] for item in found["AvailabilityZones"]} == set(network.subnets)
    assert hand.world.plan(service(network.vpc, network.subnets, [network.group])).is_empty
    hand.world.destroy(spec)
    assert hand.world.strict.inventory() == before


def test_an_ssm_parameter_may_hold_an_id_or_a_list_of_them(hand: Hand) -> None:
    network = Network(hand)
    parameter("/net/vpc", network.vpc)
    parameter("/net/subnets", ",".join(network.subnets), "StringList")
    parameter("/net/group", network.group)
    spec = service({"ssm": "/net/vpc"}, {"ssm": "/net/subnets"}, [{"ssm": "/net/group"}])
    hand.make(spec)
    assert hand.world.plan(service(network.vpc, network.subnets, [network.group])).is_empty
    assert not calls(hand.world, "get_parameters")
    hand.world.plan(spec)
    assert len(calls(hand.world, "get_parameters")) == 1


def test_the_default_vpc_reaches_the_internet_by_what_is_left_alone(hand: Hand) -> None:
    spec = service({"default": True}, {"default": True}, [])
    del spec["instances"]["app"]["security_groups"]
    spec["instances"]["app"]["instance_type"] = "t2.micro"  # which AWS has in all zones
    spec["load_balancers"]["in"]["scheme"] = "internet-facing"
    (vpc,) = hand.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    where = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    (table,) = hand.ec2.describe_route_tables(Filters=where)["RouteTables"]
    before = hand.world.strict.inventory()
    hand.make(spec)
    (balancer,) = hand.elb.describe_load_balancers()["LoadBalancers"]
    assert (balancer["VpcId"], balancer["Scheme"]) == (vpc["VpcId"], "internet-facing")
    hand.world.destroy(spec)
    assert hand.world.strict.inventory() == before
    assert hand.ec2.describe_route_tables(Filters=where)["RouteTables"] == [table]


def test_what_is_not_there_is_told_with_every_place(hand: Hand) -> None:
    Network(hand)
    lines = hand.refuses(service({"tag": {"Name": "shar*"}})).splitlines()
    assert len(lines) == 2
    text = "no vpc is found by tag Name=shar* in this account and region; correct it, or give a VPC's id"
    assert all(line.startswith("spec.yaml:") and line.endswith(text) for line in lines)
    assert any("security_groups.front.vpc" in line for line in lines)


def test_what_is_there_twice_is_refused_with_both_ids(hand: Hand) -> None:
    one, two = Network(hand), Network(hand)
    first, second = sorted([one.vpc, two.vpc])
    hand.refuses(service(), f"2 of them are found by tag Name=shared \\({first}, {second}\\); add a tag")


def test_subnets_of_two_vpcs_are_refused(hand: Hand) -> None:
    Network(hand)
    Network(hand, "other")
    hand.refuses(service(), "those found by tag Tier=private are in different VPCs")


def test_the_stack_s_own_is_not_looked_up(hand: Hand) -> None:
    hand.make(demo())
    spec = edited(demo(), "security_groups/more", {"vpc": {"tag": {"Name": "demo-main"}}})
    hand.refuses(spec, "is this stack's own; name its entry")


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (None, "there is no SSM parameter /net/vpc in this region"),
        ("subnet-0a1b2c3d", "holds 15 characters that aren't a VPC's id"),
    ],
)
def test_a_parameter_must_be_there_and_hold_an_id(hand: Hand, value: str | None, match: str) -> None:
    Network(hand)
    if value:
        parameter("/net/vpc", value)
    hand.refuses(service({"ssm": "/net/vpc"}), match)


@pytest.mark.parametrize(
    ("vpc", "match"),
    [
        ({"tags": {"Name": "a"}}, 'unknown key "tags"; did you mean tag'),
        ({"tag": {}}, "tag: says nothing"),
        ({"tag": {"Name": "a"}, "default": True}, "has 2 keys"),
        ({}, "says nothing; give one of tag, default, ssm"),
        ({"default": False}, "default: is .*; choose true"),
        ({"ssm": "a b"}, "give it the name of an SSM parameter"),
    ],
)
def test_a_look_up_that_makes_no_sense_is_told_with_its_place(vpc: Any, match: str) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        load(service(vpc))
    assert "security_groups.front.vpc" in str(caught.value)
