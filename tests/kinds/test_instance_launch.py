"""Launching instances: what AWS says no to, what it doesn't know yet, and images by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import demo
from tests.kinds.hand import LINUX_1, calls, edited, short

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidGroup.NotFound", "The security group does not exist"),
        ("InvalidParameterValue", "Value (web) is invalid. Invalid IAM Instance Profile name"),
    ],
)
def test_what_aws_does_not_know_yet_is_asked_for_again(hand: Hand, faults: Faults, code: str, message: str) -> None:
    faults.refuse("run_instances", code, message, times=3)
    hand.make(demo())
    assert faults.made["run_instances"] == 5


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "InvalidParameterValue"])
def test_a_launch_that_fails_takes_down_only_what_depends_on_it(hand: Hand, faults: Faults, code: str) -> None:
    faults.refuse("run_instances", code)
    result = hand.world.apply(demo())
    assert faults.made["run_instances"] == 2, "it isn't tried again"
    failed = [outcome for outcome in result.outcomes if outcome.how == "failed"]
    assert [str(outcome.step.address) for outcome in failed] == ["instance.web-1"]
    assert failed[0].error is not None
    assert code in str(failed[0].error)
    skipped = {str(outcome.step.address): outcome for outcome in result.outcomes if outcome.how == "skipped"}
    assert skipped.keys() == {"registration.web/web-1:80"}
    assert all(outcome.cause is failed[0].step for outcome in skipped.values())
    hand.make(demo())
    assert calls(hand.world, "run_instances")
    running = hand.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    assert len(running["Reservations"]) == 2


def test_a_token_of_a_terminated_instance_gives_way_to_the_next(hand: Hand, faults: Faults) -> None:
    faults.refuse("run_instances", "IdempotentInstanceTerminated", times=2)
    hand.make(edited(demo(), "instances/web/count", 1))
    tokens = [params["ClientToken"] for params in calls(hand.world, "run_instances")]
    assert faults.made["run_instances"] == 3
    assert len({token[:24] for token in tokens}) == 1


def test_new_instances_ask_for_sessions_and_encrypt_their_disks_unless_told_otherwise(hand: Hand) -> None:
    hand.make(demo())
    for params in calls(hand.world, "run_instances"):
        options = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert params["MetadataOptions"] == options
        assert params["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        assert params["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True


# -- images by owner, name and architecture

ONE = "instance.web-1"


def by_name(name: str = "team-web-*", **keys: Any) -> Spec:
    spec = edited(demo(), "instances/web/image_id", None)
    spec["instances"]["web"] |= {"image": {"owner": "self", "name": name, "architecture": "x86_64"}, **keys}
    return spec


def build(hand: Hand, name: str) -> str:
    """The team's next image."""
    hand.wait(60)
    running = hand.ec2.run_instances(ImageId=LINUX_1, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
    image = str(hand.ec2.create_image(InstanceId=running["InstanceId"], Name=name)["ImageId"])
    hand.ec2.terminate_instances(InstanceIds=[running["InstanceId"]])
    return image


def image_of(hand: Hand, address: str = ONE) -> str:
    found = hand.ec2.describe_instances(InstanceIds=[hand[address]])["Reservations"][0]["Instances"][0]
    return str(found["ImageId"])


def test_the_one_that_fits_is_launched_shown_and_kept(hand: Hand) -> None:
    old = build(hand, "team-web-1")
    build(hand, "team-api-1")
    (step,) = [item for item in hand.world.plan(by_name()).steps if str(item.address) == ONE]
    assert getattr(step.state, "image_id", "") == old
    hand.make(by_name())
    assert image_of(hand) == old
    assert hand.world.plan(by_name()).is_empty
    assert not calls(hand.world, "describe_images")


def test_a_newer_one_is_taken_on_request(hand: Hand) -> None:
    old = build(hand, "team-web-1")
    hand.make(by_name())
    new = build(hand, "team-web-2")
    made = {old: "2026-01-01T00:00:00.000Z", new: "2026-02-01T00:00:00.000Z"}

    def dated(answer: Any) -> None:
        for row in answer["Images"]:
            row["CreationDate"] = made.get(row["ImageId"], row.get("CreationDate"))

    hand.answers("describe_images", dated)
    assert hand.world.plan(by_name()).is_empty
    newer = by_name(image_update="replace")
    assert ("replace", ONE, ("image_id",)) in short(hand.world.plan(newer))
    hand.make(newer)
    assert image_of(hand) == new
    found = hand.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["alb-reconcile:image"]}])["Tags"]
    assert {item["Value"] for item in found} == {"resolve:image:self:x86_64:team-web-*"}
    hand.make(by_name(name="team-web-1"))
    assert image_of(hand) == old


def test_a_name_that_no_image_has_is_refused_before_anything_is_made(hand: Hand) -> None:
    build(hand, "team-web-1")
    name = "no such *"
    line = hand.refuses(by_name(name=name), "image")
    text = f'instances.web.image: there is no available image of self named "{name}" for x86_64 in this region; correct image'
    assert line.partition(": ")[2] == text
