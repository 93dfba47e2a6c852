"""Registrations: targets that others take out, put in, or terminate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.kinds.example import Example, network
from tests.kinds.hand import LINUX_1, calls, create, delete, edited, order, short
from tests.kinds.test_lookups import service

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

ONE = "registration.web/web-1:80"
GROUP = "target_group.web"
EXAMPLE = Example(
    spec={
        **network(),
        "subnets": {"a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"}},
        "instances": {"app": {"image_id": LINUX_1, "instance_type": "t3.micro", "subnets": ["a"]}},
        "target_groups": {"web": {"protocol": "HTTP", "port": 80, "targets": ["app"]}},
    },
    address="registration.web/app-1:80",
    uncalled={
        "ec2:GetConsoleOutput": "an instance that doesn't get healthy: test_console.py",
        "elasticloadbalancing:DeregisterTargets": "a target that goes before its group",
        "lambda:AddPermission": "functions: ansible.yaml",
        "lambda:GetFunctionConfiguration": "functions: ansible.yaml",
        "lambda:GetPolicy": "functions: ansible.yaml",
        "lambda:RemovePermission": "functions: ansible.yaml",
    },
)


def written_out(count: int) -> Spec:
    """The demo with so many entries of one instance each, which AWS starts at two a second."""
    spec = demo()
    one = {key: value for key, value in spec["instances"]["web"].items() if key not in ("count", "rollout")}
    spec["instances"] = {f"app-{number}": one for number in range(count)}
    spec["target_groups"]["web"]["targets"] = [*spec["instances"]]
    return spec


def test_instances_of_many_entries_are_registered_in_few_calls(hand: Hand) -> None:
    hand.make(written_out(40))
    assert len(calls(hand.world, "run_instances")) == 40
    asked = [len(params["Targets"]) for params in calls(hand.world, "register_targets")]
    assert sum(asked) == 40
    assert len(asked) <= 6


def targets(hand: Hand) -> set[tuple[str, int, str]]:
    found = hand.elb.describe_target_health(TargetGroupArn=hand[GROUP])["TargetHealthDescriptions"]
    return {(item["Target"]["Id"], item["Target"]["Port"], item["TargetHealth"]["State"]) for item in found}


def put_in(hand: Hand, instance: str, port: int = 80) -> None:
    hand.elb.register_targets(TargetGroupArn=hand[GROUP], Targets=[{"Id": instance, "Port": port}])
    hand.wait(30)


def take_out(hand: Hand, seconds: float) -> None:
    hand.elb.deregister_targets(TargetGroupArn=hand[GROUP], Targets=[{"Id": hand["instance.web-1"], "Port": 80}])
    hand.wait(seconds)


def test_a_target_that_is_still_draining_is_registered_again(hand: Hand) -> None:
    hand.make(demo())
    take_out(hand, 5)
    hand.repairs(create(ONE), by="register_targets")
    assert {state for _, _, state in targets(hand)} == {"healthy"}


def test_a_stranger_leaves_only_when_enough_of_ours_are_healthy(hand: Hand) -> None:
    hand.make(demo())
    stranger = hand.stranger_in(hand["subnet.public-a"])
    put_in(hand, stranger)
    assert hand.world.plan(edited(demo(), "target_groups/web/others", "keep")).is_empty
    take_out(hand, 60)
    went = ["register_targets", "deregister_targets"]
    hand.repairs(create(ONE), delete(f"registration.web/{stranger}:80"), by=tuple(went))
    assert order(hand.world, *went) == went
    state = hand.ec2.describe_instances(InstanceIds=[stranger])["Reservations"][0]["Instances"][0]["State"]
    assert state["Name"] == "running"


def test_an_unhealthy_target_is_no_drift(hand: Hand) -> None:
    hand.make(demo())
    hand.world.strict.set_target_unhealthy(hand[GROUP], hand["instance.web-1"])
    hand.wait(120)
    assert hand.world.plan(demo()).is_empty
    result = hand.world.apply(demo(), timeout=60)
    assert result.writes == {}
    assert any("unhealthy" in text and "Target.ResponseCodeMismatch" in text for text in result.problems)


def test_a_target_that_can_never_be_registered_is_told_soon(hand: Hand) -> None:
    """AWS has one code for an instance that doesn't run yet and for one in another VPC."""
    hand.make(demo())
    _, subnets = in_their_network(hand)
    stranger = hand.stranger_in(subnets[0])
    began = hand.world.clock.now()
    (failed,) = hand.world.apply(edited(demo(), "target_groups/web/targets", ["web", stranger])).failures
    assert "not in the target group VPC" in failed
    assert "must run, in the VPC of the target group" in failed
    assert hand.world.clock.now() - began < 60


def test_a_target_may_join_a_foreign_instance_by_its_id(hand: Hand) -> None:
    hand.make(demo())
    stranger = hand.stranger_in(hand["subnet.public-b"])
    spec = edited(demo(), "target_groups/web/targets", ["web", stranger])
    hand.repairs(create(f"registration.web/{stranger}:80"), spec=spec, by=("register_targets", "add_tags"))
    assert short(hand.world.plan(demo())) == [delete(f"registration.web/{stranger}:80")]
    lines = [delete(f"registration.web/{name}:80") for name in ("web-1", "web-2", stranger)]
    empty = edited(demo(), "target_groups/web/targets", [])
    hand.repairs(*lines, spec=empty, by="deregister_targets", allow={"empty-target-group": 1})
    assert targets(hand) == set()


@pytest.mark.slow
def test_the_group_of_an_instance_that_may_rest_is_replaced_without_it(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/state", "any")
    hand.make(spec)
    hand.ec2.stop_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(60)
    after = edited(spec, "target_groups/web/protocol", "HTTPS")
    plan = hand.make(after).plan
    (note,) = (line for line in plan.kept if line.startswith("registration."))
    assert note.startswith("registration.web/web-1:80: its instance is stopped, as state: any allows")
    (gone,) = (step for step in plan.steps if step.action == "delete" and str(step.address) == ONE)
    assert gone.reason == "its target group is replaced"
    hand.ec2.start_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(120)
    hand.repairs(create(ONE), spec=after, by="register_targets")


def in_their_network(hand: Hand) -> tuple[Spec, list[str]]:
    """A service in somebody else's subnets: the load balancer in the first two zones, the instances in the first."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        hand.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for number, zone in enumerate("abc")
    ]
    ids = [str(item["Subnet"]["SubnetId"]) for item in subnets]
    spec = service(vpc, ids[:1], [])
    del spec["instances"]["app"]["security_groups"]
    spec["instances"]["app"]["count"] = 1
    spec["load_balancers"]["in"]["subnets"] = ids[:2]
    return spec, ids


def test_instances_in_a_foreign_subnet_whose_zone_the_load_balancer_lacks_are_refused(hand: Hand) -> None:
    spec, subnets = in_their_network(hand)
    spec["instances"]["app"]["subnets"] = subnets[2:]
    text = f"instances.app.subnets: instance.app-1 would be in {subnets[2]} \\(us-east-1c\\), a zone that load_balancer.in doesn't serve"
    hand.refuses(spec, text)
    spec["load_balancers"]["in"]["subnets"] = subnets
    hand.make(spec)


def test_a_target_in_a_zone_that_is_not_enabled_has_not_arrived(hand: Hand) -> None:
    """AWS says Target.NotInUse of it, as of the targets of a group that nothing forwards to, and means for ever."""
    spec, subnets = in_their_network(hand)
    hand.make(spec)
    stranger = hand.stranger_in(subnets[2])
    spec["target_groups"]["web"]["targets"] = ["app", stranger]
    (failed,) = hand.world.apply(spec).failures
    assert "Target.NotInUse Target is in an Availability Zone that is not enabled for the load balancer" in failed
    (problem,) = hand.world.apply(spec).problems
    assert stranger in problem
