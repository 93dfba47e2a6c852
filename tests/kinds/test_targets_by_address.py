"""Target groups of type ip: instances by their private addresses, addresses of others, several ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds._targets import addresses_of, by_address, label
from alb_reconcile.model.errors import SpecError
from tests.harness import demo, load
from tests.kinds.hand import create, delete, edited
from tests.properties.watched import watched

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

ONE = "registration.web/web-1:80"
GROUP = "target_group.web"


def by_ip(*targets: Any, **group: Any) -> Spec:
    """The demo, with its instances known by their addresses."""
    spec = demo()
    spec["target_groups"]["web"] |= {"target_type": "ip", **group}
    if targets:
        spec["target_groups"]["web"]["targets"] = list(targets)
    return spec


def shown(hand: Hand) -> dict[str, tuple[str, str]]:
    """What AWS says of the targets: state and reason by address and port."""
    found = hand.elb.describe_target_health(TargetGroupArn=hand[GROUP])["TargetHealthDescriptions"]
    return {
        f"{item['Target']['Id']}:{item['Target']['Port']}": (
            item["TargetHealth"]["State"],
            item["TargetHealth"].get("Reason", ""),
        )
        for item in found
    }


def address(hand: Hand, instance: str) -> str:
    found = hand.ec2.describe_instances(InstanceIds=[hand[instance]])
    return str(found["Reservations"][0]["Instances"][0]["PrivateIpAddress"])


@pytest.mark.slow
@pytest.mark.parametrize("is_taken", [False, True])
def test_the_address_of_a_terminated_instance_goes_or_is_its_successor_s(hand: Hand, is_taken: bool) -> None:
    """Nothing tells AWS that the old address is out of use; EC2 may give it to the successor, or to anybody else."""
    hand.make(by_ip())
    old, subnet = address(hand, "instance.web-1"), hand["subnet.public-a"]
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(120)
    assert shown(hand)[f"{old}:80"] == ("unhealthy", "Target.Timeout")
    if is_taken:
        hand.stranger_in(subnet)
    lines = [create("instance.web-1"), create(ONE), delete(f"registration.web/{old}:80")]
    gone = ("deregister_targets",) if is_taken else ()
    hand.repairs(*lines, by=("run_instances", "register_targets", *gone))
    assert set(shown(hand)) == {f"{address(hand, name)}:80" for name in ("instance.web-1", "instance.web-2")}
    assert (f"{old}:80" in shown(hand)) != is_taken


def test_a_stranger_s_address_is_taken_out_or_kept(hand: Hand) -> None:
    hand.make(by_ip())
    hand.stranger_in(hand["subnet.public-a"])
    hand.elb.register_targets(TargetGroupArn=hand[GROUP], Targets=[{"Id": "10.0.1.77", "Port": 80}])
    hand.wait(60)
    assert hand.world.plan(edited(by_ip(), "target_groups/web/others", "keep")).is_empty
    hand.repairs(delete("registration.web/10.0.1.77:80"), by="deregister_targets")


def test_an_address_outside_of_the_vpc_counts_to_all_zones(hand: Hand) -> None:
    outside = {"address": "192.168.7.7", "port": 8080, "availability_zone": "all"}
    hand.world.strict.health = lambda group, target, port: "healthy"
    hand.make(by_ip("web", outside))
    assert shown(hand)["192.168.7.7:8080"] == ("healthy", "")
    spec = by_ip("web")
    hand.repairs(delete("registration.web/192.168.7.7:8080"), spec=spec, by="deregister_targets")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rollout", "low"),
    [({"max_surge": 1}, 2), ({"max_surge": 2}, 2), ({"max_surge": 0, "max_unavailable": 1}, 1)],
)
def test_a_roll_loses_no_more_targets_than_it_may(rollout: dict[str, int], low: int) -> None:
    with watched() as world:
        spec = edited(by_ip(), "instances/web/rollout", rollout)
        world.converge(spec)
        world.watch()
        world.converge(edited(spec, "instances/web/instance_type", "t3.small"))
        assert {name: item.healthy for name, item in world.lows.items()} == {GROUP: low}


@pytest.mark.parametrize(
    ("targets", "group", "match"),
    [
        (["10.0.1.9"], {"target_type": "instance"}, r"targets\[0\]: 10\.0\.1\.9 is an address; set target_type: ip"),
        (["i-0a1b2c3d4e5f60718"], {}, "is an instance's id, and the targets are addresses"),
        (["8.8.8.8"], {}, "8.8.8.8 is public, and AWS takes private addresses only"),
        (["192.168.1.1"], {}, "outside the VPC; write {address: …, availability_zone: all}"),
        ([{"address": "10.0.1.1", "availability_zone": "all"}], {}, "is inside the VPC, where AWS finds the zone"),
        (["fd00::1"], {}, "is an ipv6 address; set ip_address_type: ipv6"),
        (["999.1.1.1"], {}, '"999.1.1.1" is not an address'),
        (["10.0.1.1", {"address": "10.0.1.1", "port": 80}], {}, "is given twice on one port; keep one"),
        (["web", {"instances": "web", "port": 80}], {}, "web is given twice on one port; keep one"),
        ([{"port": 80}], {}, "give one of instances and address"),
        ([{"instances": "web", "availability_zone": "all"}], {}, "is for addresses only; leave it out"),
        ([{"instances": "wep"}], {}, "did you mean web"),
        (["arn:aws:lambda:us-east-1:123456789012:function:f"], {}, "a function needs a group with target_type: lambda"),
        (["web"], {"health_check": {"enabled": False}}, "only functions can do without checks"),
    ],
)
def test_what_aws_would_refuse_is_told_with_its_place(targets: list[Any], group: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        load(by_ip(*targets, **group))
    assert "spec.yaml:" in str(caught.value)


def test_an_instance_s_first_address_is_that_of_its_first_interface() -> None:
    """DescribeInstances has its interfaces in no order; as a dual-stack instance's row is documented."""
    second = {
        "Attachment": {"DeviceIndex": 1},
        "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.9"}],
        "Ipv6Addresses": [{"Ipv6Address": "fd00::9"}],
    }
    first = {
        "Attachment": {"DeviceIndex": 0},
        "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.5"}, {"PrivateIpAddress": "10.0.1.6"}],
        "Ipv6Addresses": [{"Ipv6Address": "FD00:0::5"}],
    }
    row = {
        "InstanceId": "i-1", "VpcId": "vpc-1", "State": {"Name": "running"},
        "PrivateIpAddress": "10.0.1.5", "NetworkInterfaces": [second, first],
    }  # fmt: skip
    assert addresses_of(row, ipv6=False) == ["10.0.1.5", "10.0.1.6", "10.0.1.9"]
    assert addresses_of(row, ipv6=True) == ["fd00::5", "fd00::9"]
    assert by_address([row])["vpc-1", "fd00::5"] == "i-1"
    assert by_address([{**row, "State": {"Name": "terminated"}}]) == {}


def test_an_ipv6_address_is_in_brackets_in_our_words() -> None:
    assert label("fd00::1", 80) == "[fd00::1]:80"
    with pytest.raises(SpecError, match=r"for which load_balancer\.public has to be dualstack"):
        load(by_ip("fd00::1", ip_address_type="ipv6"))
