"""Data volumes that outlive their instance: attached to its successor, found again by their tags, deleted by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adoption.adopting import keeper
from tests.kinds.hand import LINUX_1, LINUX_2, Hand, calls, edited
from tests.kinds.test_instance_options import web

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults

ONE, TWO = "instance.web-1", "instance.web-2"
STACK = {"Key": "alb-reconcile:stack", "Value": "demo"}


def kept(count: int = 1, image_id: str = LINUX_1, **keys: Any) -> Spec:
    disk = {"device_name": "/dev/sdf", "volume_size": 10, "volume_type": "gp3", "persistent": True, **keys}
    rollout = {"max_surge": 0, "max_unavailable": 1}
    return web(count=count, image_id=image_id, rollout=rollout, data_volumes={"logs": disk})


def volumes(hand: Hand) -> dict[str, Any]:
    """Those of the stack that outlive their instance, by the instance's address."""
    rows = hand.ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": ["alb-reconcile:volume"]}])["Volumes"]
    return {next(tag["Value"] for tag in row["Tags"] if tag["Key"] == "alb-reconcile:address"): row for row in rows}


def holder(row: Any) -> str:
    return str(row["Attachments"][0]["InstanceId"]) if row["Attachments"] else ""


def test_it_is_made_beside_its_instance_tagged_and_encrypted(hand: Hand) -> None:
    hand.make(kept(count=2, iops=4000, throughput=500))
    found = volumes(hand)
    assert {address: holder(row) for address, row in found.items()} == {ONE: hand[ONE], TWO: hand[TWO]}
    shown = [found[ONE][key] for key in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted")]
    assert shown == [10, "gp3", 4000, 500, True]
    assert found[ONE]["Attachments"][0]["Device"] == "/dev/sdf"
    tags = {tag["Key"]: tag["Value"] for tag in found[ONE]["Tags"]}
    assert (tags["Name"], tags["alb-reconcile:volume"]) == ("demo-web-1-logs", "logs")
    assert STACK in found[ONE]["Tags"]


def test_in_a_roll_each_successor_gets_its_predecessor_s(hand: Hand) -> None:
    hand.make(kept(count=2))
    before = {address: row["VolumeId"] for address, row in volumes(hand).items()}
    spec = kept(count=2, image_id=LINUX_2)
    steps = {(step.action, str(step.address)): step for step in hand.world.plan(spec).steps}
    told = f"gets {before[ONE]} (logs), which outlives its instance, when nothing else has it"
    assert told in steps["replace", ONE].effects
    assert not any("behind" in text for text in steps["delete", ONE].effects)
    old = hand[ONE]
    hand.make(spec)
    assert {address: row["VolumeId"] for address, row in volumes(hand).items()} == before
    assert holder(volumes(hand)[ONE]) == hand[ONE] != old
    assert not calls(hand.world, "create_volume")


CHANGES: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ({}, {"volume_size": 20}, ("modify_volume", "create_tags")),
    ({"iops": 4000}, {"iops": 4000, "volume_type": "io1"}, ("modify_volume", "create_tags")),
    ({"persistent": False}, {}, ("create_tags", "modify_instance_attribute")),
    ({}, {"image_id": LINUX_2, "volume_size": 20}, ()),
    ({}, {"device_name": "/dev/sdg"}, ()),
]


@pytest.mark.parametrize(("before", "after", "writes"), CHANGES, ids=str)
def test_it_changes_in_place_or_with_its_successor(
    hand: Hand, before: dict[str, Any], after: dict[str, Any], writes: tuple[str, ...]
) -> None:
    """Also one that was launched with its instance. What changes its type alone keeps its speed."""
    hand.make(kept(**before))
    instance, known = hand[ONE], volumes(hand)
    result = hand.make(kept(**after))
    row = volumes(hand)[ONE]
    assert not known or row["VolumeId"] == known[ONE]["VolumeId"]
    shown = {"volume_size": row["Size"], "volume_type": row["VolumeType"], "iops": row["Iops"], "image_id": LINUX_2}
    assert {**shown, "device_name": row["Attachments"][0]["Device"]}.items() >= after.items()
    assert (hand[ONE] == instance) is bool(writes)
    assert not writes or result.writes.keys() == set(writes)


def test_it_comes_to_an_instance_that_there_is_and_comes_back(hand: Hand) -> None:
    """Without it no volume is read. Somebody detaches it later."""
    bare = edited(edited(kept(), "instances/web/data_volumes", None), "tags", None)
    hand.make(bare)
    assert hand.world.plan(bare).is_empty
    assert not calls(hand.world, "describe_volumes")
    old = hand[ONE]
    hand.make(kept())
    volume = volumes(hand)[ONE]["VolumeId"]
    hand.ec2.detach_volume(VolumeId=volume)
    assert hand.make(kept()).writes == {"attach_volume": 1}
    assert (hand[ONE], holder(volumes(hand)[ONE]), volumes(hand)[ONE]["VolumeId"]) == (old, old, volume)


@pytest.mark.parametrize("whose", ["", "other"])
def test_what_is_not_the_stack_s_at_its_device_is_left_alone(hand: Hand, whose: str) -> None:
    hand.make(edited(kept(), "instances/web/data_volumes", None))
    (found,) = hand.ec2.describe_instances(InstanceIds=[hand[ONE]])["Reservations"]
    zone = found["Instances"][0]["Placement"]["AvailabilityZone"]
    volume = hand.ec2.create_volume(Size=3, AvailabilityZone=zone)["VolumeId"]
    if whose:
        hand.changed_tags("ec2", volume, {"alb-reconcile:stack": whose})
    hand.wait(60)
    hand.ec2.attach_volume(VolumeId=volume, InstanceId=hand[ONE], Device="/dev/sdf")
    (row,) = hand.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    (failure,) = hand.world.apply(kept()).failures
    told = f"logs can't be at /dev/sdf of {hand[ONE]}: {volume} is there, which isn't this stack's; detach it first, or choose another device"
    assert told in failure
    assert hand.ec2.describe_volumes(VolumeIds=[volume])["Volumes"] == [row]
    hand.make(kept(device_name="/dev/sdg"))
    assert holder(volumes(hand)[ONE]) == hand[ONE]


def test_that_of_another_instance_at_its_device_stays_that_one_s(hand: Hand) -> None:
    spec = edited(kept(count=2), "instances/web/subnets", ["public-a"])
    hand.make(spec)
    (own, taken) = (volumes(hand)[address]["VolumeId"] for address in (ONE, TWO))
    for volume in (own, taken):
        hand.ec2.detach_volume(VolumeId=volume)
    hand.wait(60)
    hand.ec2.delete_volume(VolumeId=own)
    hand.ec2.attach_volume(VolumeId=taken, InstanceId=hand[ONE], Device="/dev/sdf")
    failures = hand.world.apply(spec).failures
    assert any(f"{taken} is there, which is that of {TWO}; detach it first" in text for text in failures), failures
    assert volumes(hand)[TWO]["VolumeId"] == taken


def test_what_is_left_behind_is_told_kept_and_taken_up_again(hand: Hand) -> None:
    hand.make(kept(count=2))
    left = volumes(hand)[TWO]["VolumeId"]
    hand.make(kept(count=1), allow={"delete": 9})
    plan = hand.world.plan(kept(count=1))
    assert plan.is_empty
    text = f"{left} (logs of {TWO}) was left behind and is kept; where nobody needs its data: aws ec2 delete-volume --volume-id {left}"
    assert text in plan.warnings
    assert text in hand.world.plan(kept(count=1), destroy=True, allow={"delete": 9, "delete-load-balancer": 1}).warnings
    hand.world.destroy(kept(count=1), allow={"delete-load-balancer": 1})
    assert {row["State"] for row in volumes(hand).values()} == {"available"}
    hand.make(kept(count=2))
    assert volumes(hand)[TWO]["VolumeId"] == left


def test_a_new_instance_goes_where_its_volume_is(hand: Hand) -> None:
    spec = edited(kept(count=2), "subnets/b", {"cidr_block": "10.0.9.0/24", "availability_zone": "b"})
    spec["instances"]["web"]["subnets"] = [*spec["instances"]["web"]["subnets"], "b"]
    hand.make(spec)
    zones = {address: row["AvailabilityZone"] for address, row in volumes(hand).items()}
    assert len(set(zones.values())) == 2
    hand.ec2.terminate_instances(InstanceIds=[hand[ONE], hand[TWO]])
    hand.make(spec)
    assert {address: row["AvailabilityZone"] for address, row in volumes(hand).items()} == zones


def test_an_instance_in_another_zone_is_refused_beforehand(hand: Hand) -> None:
    hand.make(kept())
    spec = edited(kept(), "subnets/b", {"cidr_block": "10.0.9.0/24", "availability_zone": "b"})
    spec["instances"]["web"]["subnets"] = ["b"]
    volume = volumes(hand)[ONE]["VolumeId"]
    told = hand.refuses(spec, "^spec.yaml:")
    assert f"subnets: {volume} (logs of {ONE}) is in us-east-1a, and AWS attaches it nowhere else" in told


def test_a_smaller_one_is_refused(hand: Hand) -> None:
    hand.make(kept())
    spec = kept(volume_size=8)
    told = "10 can't become 8 on a volume that is kept; leave it, or give the volume another name and device"
    hand.refuses(spec, told)


@pytest.mark.parametrize("operation", ["create_volume", "attach_volume"])
def test_a_roll_that_was_cut_short_is_finished_by_the_next(hand: Hand, faults: Faults, operation: str) -> None:
    if operation == "attach_volume":
        hand.make(kept(count=2))
    faults.refuse(operation, "InternalError", times=9)
    assert hand.world.apply(kept(count=2, image_id=LINUX_2)).failures
    faults.refusals.clear()
    hand.make(kept(count=2, image_id=LINUX_2))
    assert {address: holder(row) for address, row in volumes(hand).items()} == {ONE: hand[ONE], TWO: hand[TWO]}


@pytest.mark.slow
def test_it_follows_its_instance_when_that_is_renamed_let_go_and_adopted() -> None:
    with keeper() as (world, commands):
        hand = Hand(world)
        hand.make(kept())
        before = volumes(hand)[ONE]["VolumeId"]
        spec = kept()
        spec["instances"]["api"] = spec["instances"].pop("web")
        spec["target_groups"]["web"]["targets"] = ["api"]
        commands.move(spec, "instances.web", "instances.api")
        assert volumes(hand)["instance.api-1"]["VolumeId"] == before
        hand.make(spec)
        commands.forget(spec)
        assert volumes(hand) == {}
        commands.adopt(spec)
        hand.make(spec)
        hand.make(edited(spec, "instances/api/image_id", LINUX_2))
        assert volumes(hand)["instance.api-1"]["VolumeId"] == before
