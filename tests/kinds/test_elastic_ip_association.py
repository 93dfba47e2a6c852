"""Elastic IP addresses of instances: who has them, when they move, and what is taken from nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.harness import demo
from tests.kinds.example import Example
from tests.kinds.hand import LINUX_1, LINUX_2, calls, create, edited, order, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

FIRST = "elastic_ip_association.web-1"
ONE, TWO = "instance.web-1", "instance.web-2"


def alone(**keys: Any) -> Spec:
    """Instances without a load balancer."""
    return {
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
        "subnets": {"a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"}},
        "internet_gateways": {"main": {}},
        "elastic_ips": {"main": {}, "other": {}},
        "instances": {
            "web": {
                "image_id": LINUX_1, "instance_type": "t3.micro", "subnets": ["a"], "elastic_ip": "main", **keys,
            }
        },
    }  # fmt: skip


def behind(**keys: Any) -> Spec:
    """The demo, each of whose instances has an address."""
    spec = edited(demo(), "elastic_ips", {"a": {}, "b": {}})
    spec["instances"]["web"] |= {"image_id": LINUX_1, "elastic_ip": ["a", "b"], **keys}
    return spec


EXAMPLE = Example(
    spec=alone(),
    address=FIRST,
    changes={"elastic_ip": "other"},
    uncalled={
        "ec2:DisassociateAddress": "an instance that stays without it",
    },
)


def holders(hand: Hand) -> dict[str, str]:
    """Who has which of the stack's addresses, by name; empty who has none."""
    names = {hand.ids[f"elastic_ip.{name}"]: name for name in hand.spec["elastic_ips"]}
    rows = hand.ec2.describe_addresses()["Addresses"]
    return {names[row["AllocationId"]]: row.get("InstanceId", "") for row in rows if row["AllocationId"] in names}


def test_each_instance_gets_its_address_once_it_runs(hand: Hand) -> None:
    hand.make(behind())
    assert holders(hand) == {"a": hand[ONE], "b": hand[TWO]}
    assert [item["AllowReassociation"] for item in calls(hand.world, "associate_address")] == [False, False]
    hand.make(behind(count=1), allow={"delete": 9})
    assert holders(hand) == {"a": hand[ONE], "b": ""}, "more addresses than instances are spares"
    result = hand.world.destroy(hand.spec)
    assert "disassociate_address" not in result.writes
    assert not hand.ec2.describe_addresses()["Addresses"]


def test_an_address_that_is_not_the_stack_s_gives_way_and_is_told(hand: Hand) -> None:
    hand.make(alone())
    other = hand.ec2.allocate_address(Domain="vpc")
    hand.ec2.associate_address(AllocationId=other["AllocationId"], InstanceId=hand[ONE])
    (step,) = hand.world.plan(alone()).steps
    (change,) = step.changes
    assert (step.action, change.before, change.after) == ("update", other["PublicIp"], hand["elastic_ip.main"])
    hand.repairs(update(FIRST, "elastic_ip"), by="associate_address")


def test_the_stack_s_own_is_taken_back_as_the_plan_says(hand: Hand, stranger: str) -> None:
    hand.make(alone())
    hand.ec2.associate_address(AllocationId=hand["elastic_ip.main"], InstanceId=stranger)
    (step,) = hand.world.plan(alone()).steps
    assert step.effects == (f"takes it from {stranger}, which isn't this stack's",)
    (left,) = hand.world.sync(alone()).selection.left
    assert str(left.address) == FIRST
    hand.repairs(create(FIRST), calls={"associate_address": 2})
    assert holders(hand)["main"] == hand[ONE]


def test_one_outside_of_the_stack_is_taken_from_nobody(hand: Hand, stranger: str) -> None:
    allocation = hand.ec2.allocate_address(Domain="vpc")["AllocationId"]
    association = hand.ec2.associate_address(AllocationId=allocation, InstanceId=stranger)["AssociationId"]
    spec = edited(alone(elastic_ip=allocation), "elastic_ips", None)
    told = f"instances.web.elastic_ip: {allocation} is associated with {stranger}, which isn't this stack's; "
    (line,) = hand.refuses_run(spec)
    assert line.startswith("spec.yaml:")
    assert line.endswith(f"{told}disassociate it there first, or choose another address")
    hand.ec2.disassociate_address(AssociationId=association)
    hand.make(spec)
    hand.world.destroy(spec)
    (address,) = hand.ec2.describe_addresses()["Addresses"]
    assert (address["AllocationId"], address.get("AssociationId")) == (allocation, None)


def test_what_somebody_has_taken_since_the_plan_is_left_to_them(hand: Hand, faults: Faults, stranger: str) -> None:
    allocation = hand.ec2.allocate_address(Domain="vpc")["AllocationId"]
    spec = edited(alone(elastic_ip=allocation), "elastic_ips", None)
    faults.before("run_instances", lambda _: hand.ec2.associate_address(AllocationId=allocation, InstanceId=stranger))
    (failure,) = hand.world.apply(spec).failures
    assert f"{allocation} is associated with {stranger}" in failure


def test_in_a_roll_it_moves_when_the_successor_is_healthy_and_before_the_old_one_goes(
    hand: Hand, faults: Faults
) -> None:
    hand.make(behind())
    old = hand[ONE]
    spec = behind(image_id=LINUX_2, rollout={"max_surge": 2})
    plan = hand.world.plan(spec)
    (step,) = [step for step in plan.steps if str(step.address) == FIRST]
    assert step.effects == (
        f"moves the address from {old} when its successor is healthy; {old} then has another public address, or none",
    )
    assert not any(item.also_deletes for item in plan.steps)  # as if nobody got it
    text = "The pending instance 'i-0a1b2c3d' is not in a valid state for this operation."
    faults.refuse("associate_address", "InvalidInstanceID", text, times=2)
    result = hand.make(spec)
    told = [(event.what, str(event.step.address), event.step.action) for event in result.events]
    healthy = told.index(("done", "registration.web/web-1:80", "replace"))
    moved, gone = told.index(("started", FIRST, "update")), told.index(("started", ONE, "delete"))
    assert healthy < moved < gone
    assert holders(hand) == {"a": hand[ONE], "b": hand[TWO]}


def test_in_a_roll_an_instance_stays_whose_address_aws_refuses_to_move(hand: Hand, faults: Faults) -> None:
    """Found: it was terminated all the same, so that no instance had the address."""
    hand.make(behind())
    old = hand[ONE]
    faults.refuse("associate_address", "InvalidParameterValue", times=9)
    assert hand.world.apply(behind(image_id=LINUX_2)).failures
    assert holders(hand)["a"] == old
    faults.refusals.clear()
    hand.make(behind(image_id=LINUX_2))
    assert holders(hand) == {"a": hand[ONE], "b": hand[TWO]}


def test_without_surge_it_waits_for_the_old_one_to_go(hand: Hand) -> None:
    hand.make(behind())
    spec = behind(image_id=LINUX_2, rollout={"max_surge": 0, "max_unavailable": 1})
    (step,) = [step for step in hand.world.plan(spec).steps if str(step.address) == FIRST]
    assert step.effects == (f"{hand[ONE]} goes first, so nobody has the address until its successor runs",)
    hand.make(spec)
    assert holders(hand) == {"a": hand[ONE], "b": hand[TWO]}
    assert order(hand.world, "run_instances", "associate_address", "terminate_instances")[0] == "terminate_instances"


def test_one_goes_to_another_entry_in_one_call(hand: Hand) -> None:
    spec = alone()
    spec["instances"]["api"] = {**spec["instances"]["web"], "elastic_ip": "other"}
    hand.make(spec)
    spec["instances"]["api"]["elastic_ip"], spec["instances"]["web"]["elastic_ip"] = "main", "other"
    result = hand.make(spec)
    assert result.writes.keys() == {"associate_address", "create_tags"}
    assert holders(hand) == {"main": hand["instance.api-1"], "other": hand[ONE]}


def test_an_address_that_leaves_the_spec_leaves_its_instance_first(hand: Hand) -> None:
    hand.make(alone())
    spec = edited(edited(alone(), "instances/web/elastic_ip", None), "elastic_ips/main", None)
    hand.refuses(spec, "1 Elastic IP address would be given back to AWS")
    plan = hand.world.plan(spec, allow={"delete-elastic-ip": 1})
    assert not plan.kept  # least of all that the instance keeps it
    for planned in (plan, hand.world.plan(spec, destroy=True)):
        assert any("goes back to AWS" in text for step in planned.steps for text in step.effects)
    assert hand.make(spec, allow={"delete-elastic-ip": 1}).writes.keys() == {"disassociate_address", "release_address"}
    assert order(hand.world, "disassociate_address", "release_address")[0] == "disassociate_address"
