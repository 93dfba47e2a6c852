"""Instances: drift, disappearance, states and types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.commands.status import count_by_stack
from alb_reconcile.cli.render.style import Style
from tests.harness import by_hand, demo
from tests.kinds.example import Example
from tests.kinds.hand import LINUX_1, Line, calls, edited, order, prepare, replaced, short, update

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

PLAIN = Style(colored=False)
ONE, TWO = "instance.web-1", "instance.web-2"
OTHER_KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
        "subnets": {"a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"}},
        "security_groups": {"web": {}, "other": {}},
        "instances": {
            "web": {
                "image_id": LINUX_1,
                "instance_type": "t3.micro",
                "subnets": ["a"],
                "security_groups": ["web"],
                "iam_instance_profile": "web",
                "metadata_options": {
                    "http_tokens": "required",
                    "http_put_response_hop_limit": 2,
                    "http_endpoint": "enabled",
                    "http_protocol_ipv6": "disabled",
                    "instance_metadata_tags": "disabled",
                },
                "associate_public_ip_address": False,
                "source_dest_check": True,
                "root_volume": {
                    "volume_size": 20,
                    "volume_type": "gp3",
                    "iops": 3000,
                    "throughput": 125,
                    "encrypted": True,
                    "delete_on_termination": True,
                },
                "data_volumes": {"logs": {"device_name": "/dev/sdf", "volume_size": 10, "volume_type": "gp3"}},
                "monitoring": {"enabled": False},
                "credit_specification": {"cpu_credits": "unlimited"},
                "instance_initiated_shutdown_behavior": "stop",
                "disable_api_termination": False,
                "disable_api_stop": False,
            }
        },
    },
    address=ONE,
    one_way=frozenset({"root_volume.volume_size", "root_volume.volume_type"}),
    rest=6 * 3600,
    allow={"lift-protection": 1},
    changes={
        "security_groups": ["other"],
        "iam_instance_profile": "other",
        "metadata_options.http_tokens": "optional",
        "metadata_options.http_put_response_hop_limit": 5,
        "metadata_options.http_endpoint": "disabled",
        "metadata_options.http_protocol_ipv6": "enabled",
        "metadata_options.instance_metadata_tags": "enabled",
        "associate_public_ip_address": True,
        "source_dest_check": False,
        "root_volume.iops": 4000,
        "root_volume.throughput": 250,
        "root_volume.delete_on_termination": False,
        "data_volumes.logs.volume_type": "gp2",
        "monitoring.enabled": True,
        "credit_specification.cpu_credits": "standard",
        "instance_initiated_shutdown_behavior": "terminate",
        "disable_api_termination": True,
        "disable_api_stop": True,
        "state": "stopped",
    },
    prepare=prepare,
    uncalled={
        **dict.fromkeys(
            ("s3:ListBucketVersions", "secretsmanager:DescribeSecret", "ssm:DescribeParameters"),
            "application, which tests/kinds/test_application.py tries",
        ),
        "ec2:AssociateIamInstanceProfile": "an instance that has none",
        "ec2:CreateVolume": "a data volume that outlives its instance",
        "ec2:AttachVolume": "the same",
        "iam:PassRole": "a profile that has a role",
        "ec2:ModifyInstancePlacement": "placement",
        "kms:CreateGrant": "AWS's own, for kms_key_id",
        "kms:Decrypt": "AWS's own, for kms_key_id",
        "kms:DescribeKey": "AWS's own, for kms_key_id",
        "kms:GenerateDataKeyWithoutPlaintext": "AWS's own, for kms_key_id",
        "kms:ReEncryptFrom": "AWS's own, for kms_key_id",
        "kms:ReEncryptTo": "AWS's own, for kms_key_id",
        "ssm:GetParameters": "resolve:ssm: in demo.yaml",
    },
)


@pytest.mark.parametrize("seconds", [0, 60], ids=["stopping", "stopped"])
def test_one_that_somebody_stopped_is_started_where_the_spec_says_so(hand: Hand, seconds: int) -> None:
    hand.make(demo())
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    hand.wait(seconds)
    assert hand.world.plan(edited(demo(), "instances/web/state", "any")).is_empty
    result = hand.repairs(update(ONE, "state"), by="start_instances")
    assert not result.problems


@pytest.mark.parametrize("seconds", [0, 60, 2 * 3600], ids=["shutting down", "terminated", "forgotten"])
def test_one_that_somebody_terminated_is_made_again_with_another_token(hand: Hand, seconds: int) -> None:
    """Of one that nothing shows any more, the token is remembered."""
    seen = set()
    for _ in range(3):
        result = hand.make(demo())
        seen.add(hand[ONE])
        hand.ec2.terminate_instances(InstanceIds=[hand[ONE]])
        hand.wait(seconds)
    assert len(seen) == 3
    assert not result.problems


def test_instances_that_the_spec_stops_leave_their_group_first_and_are_stopped(hand: Hand) -> None:
    hand.make(demo())
    stopped = edited(demo(), "instances/web/state", "stopped")
    hand.make(stopped, allow={"empty-target-group": 1})
    for instance in (hand[ONE], hand[TWO]):
        own = [name for name, params in hand.world.log if instance in str(params)]
        assert own.index("deregister_targets") < own.index("stop_instances")
    hand.ec2.start_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    hand.repairs(update(ONE, "state"), by="stop_instances")
    hand.world.destroy(stopped)
    result = hand.make(stopped)
    assert result.writes["stop_instances"] == 1
    assert "register_targets" not in result.writes


def test_a_type_changes_in_place_one_member_after_the_other(hand: Hand) -> None:
    spec = demo()
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    hand.make(spec)
    before = hand.ids
    hand.make(edited(spec, "instances/web/instance_type", "t3.small"))
    assert (hand[ONE], hand[TWO]) == (before[ONE], before[TWO])
    once = ["deregister_targets", "stop_instances", "modify_instance_attribute", "start_instances", "register_targets"]
    assert order(hand.world, *once) == [*once, *once]
    gone = [params["Targets"][0]["Id"] for params in calls(hand.world, "deregister_targets")]
    back = [params["Targets"][0]["Id"] for params in calls(hand.world, "register_targets")]
    assert gone == back == [before[ONE], before[TWO]]


def test_copies_with_our_tags_are_not_ours_and_told_in_one_warning(hand: Hand) -> None:
    hand.make(demo())
    before = hand.world._run(count_by_stack)[0]["demo"]
    original = hand.ec2.describe_instances(InstanceIds=[hand[ONE]])["Reservations"][0]["Instances"][0]
    made = hand.ec2.run_instances(
        ImageId=LINUX_1, InstanceType="t3.micro", MinCount=12, MaxCount=12, SubnetId=original["SubnetId"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": original["Tags"]}],
    )  # fmt: skip
    copies = [item["InstanceId"] for item in made["Instances"]]
    hand.wait(30)
    plan = hand.world.plan(demo())
    assert plan.is_empty
    (warning,) = plan.warnings
    assert warning.startswith("instances with the tags of demo that weren't launched for it are left alone: i-")
    assert warning.endswith(" and 2 more; remove their alb-reconcile: tags, or terminate them")
    assert sum(copy in warning for copy in copies) == 10
    counts, warnings = hand.world._run(count_by_stack)
    assert (counts["demo"], warnings) == (before, plan.warnings)
    hand.ec2.terminate_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    hand.make(demo())
    assert hand[ONE] not in copies
    hand.ec2.terminate_instances(InstanceIds=copies)
    hand.wait(60)
    assert not hand.world.plan(demo()).warnings


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("instances/web/image_id", LINUX_1, ("image_id", "tags.alb-reconcile:image")),
        ("instances/web/subnets", ["public-b"], ("subnets",)),
        ("instances/web/key_name", "ops", ("key_name",)),
        ("instances/web/root_volume", {"kms_key_id": OTHER_KEY}, ("root_volume.kms_key_id",)),
    ],
)
def test_what_cannot_be_changed_in_place_is_replaced_without_losing_a_target(
    hand: Hand, path: str, value: Any, changed: tuple[str, ...]
) -> None:
    prepare()
    hand.make(demo())
    in_a = [hand[name] for name in (ONE, TWO) if subnet_of(hand, hand[name]) == hand["subnet.public-a"]]
    gone = in_a if path.endswith("subnets") else [hand[ONE], hand[TWO]]
    spec = edited(demo(), path, value)
    expected: list[Line] = []
    for number in (number for number in "12" if hand[f"instance.web-{number}"] in gone):
        expected += replaced(f"instance.web-{number}", *changed)
        expected += replaced(f"registration.web/web-{number}:80", "target")
    assert short(hand.world.plan(spec)) == sorted(expected)
    hand.make(spec)
    once = ["run_instances", "register_targets", "deregister_targets", "terminate_instances"]
    assert order(hand.world, *once) == once * len(gone)
    assert {params["InstanceIds"][0] for params in calls(hand.world, "terminate_instances")} == set(gone)


def subnet_of(hand: Hand, instance: str) -> str:
    found = hand.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(found["SubnetId"])


def test_a_newer_image_behind_the_reference_is_taken_only_on_request(hand: Hand) -> None:
    own = {"Name": "/own/image", "Type": "String", "Value": LINUX_1}
    by_hand("ssm").put_parameter(**own)
    kept = edited(demo(), "instances/web/image_id", "resolve:ssm:/own/image")
    hand.make(kept)
    by_hand("ssm").put_parameter(**{**own, "Value": "ami-1e749f67"}, Overwrite=True)
    assert hand.world.plan(kept).is_empty
    newer = edited(kept, "instances/web/image_update", "replace")
    assert ("replace", ONE, ("image_id",)) in short(hand.world.plan(newer))
    hand.make(newer)
