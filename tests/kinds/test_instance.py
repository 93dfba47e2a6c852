"""Instances: drift, disappearance, states and types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.commands.status import count_by_stack
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.status import StatusView, status_json, status_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.discover import discover
from alb_reconcile.model.errors import RefusedError
from tests.at_length import at_length
from tests.harness import REGION, by_hand, demo, load
from tests.kinds.example import Example
from tests.kinds.hand import (
    LINUX_1,
    LINUX_2,
    calls,
    create,
    delete,
    edited,
    order,
    prepare,
    replaced,
    rich,
    short,
    update,
)

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

PLAIN = Style(colored=False)
ONE, TWO = "instance.web-1", "instance.web-2"
OTHER_KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
BACK = ("replace", "registration.web/web-1:80", ())
AWAY = delete("registration.web/web-1:80")
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
                "ipv6_address_count": 0,
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
                "private_dns_name_options": {
                    "hostname_type": "ip-name",
                    "enable_resource_name_dns_a_record": False,
                    "enable_resource_name_dns_aaaa_record": False,
                },
                "monitoring": {"enabled": False},
                "maintenance_options": {"auto_recovery": "default"},
                "credit_specification": {"cpu_credits": "unlimited"},
                "instance_initiated_shutdown_behavior": "stop",
                "disable_api_termination": False,
                "disable_api_stop": False,
            }
        },
    },
    address=ONE,
    one_way=frozenset({"root_volume.volume_size", "root_volume.volume_type", "ipv6_address_count"}),
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
        "private_dns_name_options.enable_resource_name_dns_a_record": True,
        "private_dns_name_options.enable_resource_name_dns_aaaa_record": True,
        "monitoring.enabled": True,
        "maintenance_options.auto_recovery": "disabled",
        "credit_specification.cpu_credits": "standard",
        "instance_initiated_shutdown_behavior": "terminate",
        "disable_api_termination": True,
        "disable_api_stop": True,
        "state": "stopped",
    },
    prepare=prepare,
    uncalled={
        "ec2:AssignIpv6Addresses": "more IPv6 addresses",
        "ec2:UnassignIpv6Addresses": "fewer of them",
        "ec2:AssociateIamInstanceProfile": "an instance that has none",
        "ec2:CreateVolume": "a data volume that outlives its instance",
        "ec2:AttachVolume": "the same",
        "ec2:StartInstances": "one that somebody stopped",
        "iam:PassRole": "a profile that has a role",
        "ec2:ModifyInstanceCapacityReservationAttributes": "capacity_reservation_specification",
        "ec2:ModifyInstanceCpuOptions": "cpu_options",
        "ec2:ModifyInstanceNetworkPerformanceOptions": "network_performance_options",
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


def association(hand: Hand) -> str:
    found = hand.ec2.describe_iam_instance_profile_associations(
        Filters=[{"Name": "instance-id", "Values": [hand[ONE]]}]
    )
    return str(found["IamInstanceProfileAssociations"][0]["AssociationId"])


def test_a_profile_that_was_taken_away_by_hand_returns(hand: Hand) -> None:
    prepare()
    hand.make(rich())
    hand.ec2.disassociate_iam_instance_profile(AssociationId=association(hand))
    hand.repairs(update(ONE, "iam_instance_profile"), by="associate_iam_instance_profile")


def test_foreign_tags_stay(hand: Hand) -> None:
    hand.make(demo())
    hand.changed_tags("ec2", hand[ONE], {"somebody": "else"})
    assert hand.world.plan(demo()).is_empty


def test_protection_outlives_its_entry(hand: Hand) -> None:
    hand.make(edited(demo(), "instances/web/prevent_destroy", True))
    gone = edited(edited(demo(), "instances", None), "target_groups/web/targets", [])
    with pytest.raises(RefusedError, match=r"instance\.web-1 .* is protected by prevent_destroy"):
        hand.world.plan(gone)
    hand.make(edited(demo(), "instances/web/prevent_destroy", False))
    hand.make(gone, allow={"empty-target-group": 1})


def test_a_stopped_instance_is_started(hand: Hand) -> None:
    hand.make(demo())
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    result = hand.repairs(update(ONE, "state"), by="start_instances")
    assert not result.problems


def test_a_stopping_instance_is_started_once_it_has_stopped(hand: Hand) -> None:
    hand.make(demo())
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    result = hand.world.converge(demo())
    assert result.writes.get("start_instances", 0) == 1


def test_instances_that_the_spec_stops_leave_their_group_first_and_are_stopped(hand: Hand) -> None:
    hand.make(demo())
    stopped = edited(demo(), "instances/web/state", "stopped")
    hand.make(stopped, allow={"empty-target-group": 1})
    left = {
        params["Targets"][0]["Id"]: index
        for index, (name, params) in enumerate(hand.world.log)
        if name == "deregister_targets"
    }
    stop = {
        params["InstanceIds"][0]: index
        for index, (name, params) in enumerate(hand.world.log)
        if name == "stop_instances"
    }
    assert left.keys() == stop.keys() == {hand[ONE], hand[TWO]}
    assert all(left[instance] < stop[instance] for instance in stop)
    hand.ec2.start_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    hand.repairs(update(ONE, "state"), by="stop_instances")


def test_any_state_is_left_alone(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/state", "any")
    hand.make(spec)
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    assert hand.world.plan(spec).is_empty


def test_a_group_made_as_stopped_is_stopped_after_its_launch(hand: Hand) -> None:
    result = hand.make(edited(demo(), "instances/web/state", "stopped"))
    assert result.writes["stop_instances"] == 1
    assert "register_targets" not in result.writes


def test_a_type_changes_in_place_one_member_after_the_other(hand: Hand) -> None:
    spec = demo()
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    hand.make(spec)
    before = hand.ids
    hand.make(edited(spec, "instances/web/instance_type", "t3.small"))
    assert (hand[ONE], hand[TWO]) == (before[ONE], before[TWO])
    once = [
        "deregister_targets",
        "stop_instances",
        "modify_instance_attribute",
        "start_instances",
        "register_targets",
    ]
    assert order(hand.world, *once) == [*once, *once]
    gone = [params["Targets"][0]["Id"] for params in calls(hand.world, "deregister_targets")]
    back = [params["Targets"][0]["Id"] for params in calls(hand.world, "register_targets")]
    assert gone == back == [before[ONE], before[TWO]]


def test_a_type_that_was_changed_by_hand_is_changed_back_in_place(hand: Hand) -> None:
    spec = demo()
    spec["instances"]["web"] |= {"type_change": "in-place", "rollout": {"max_unavailable": 1}}
    hand.make(spec)
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    hand.ec2.modify_instance_attribute(InstanceId=hand[ONE], InstanceType={"Value": "t3.small"})
    hand.ec2.start_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    hand.repairs(
        update(ONE, "instance_type"), BACK, AWAY,
        calls={"deregister_targets": 1, "stop_instances": 1, "modify_instance_attribute": 1, "start_instances": 1, "register_targets": 1},
    )  # fmt: skip


def test_an_instance_that_was_terminated_by_hand_is_made_again(hand: Hand) -> None:
    hand.make(demo())
    old = hand[ONE]
    hand.ec2.terminate_instances(InstanceIds=[old])
    hand.wait(60)
    result = hand.repairs(create(ONE), create("registration.web/web-1:80"), by=("run_instances", "register_targets"))
    assert hand[ONE] != old
    assert not result.problems


def test_an_instance_that_is_shutting_down_is_made_again(hand: Hand) -> None:
    hand.make(demo())
    old = hand[ONE]
    hand.ec2.terminate_instances(InstanceIds=[old])
    hand.make(demo())
    assert hand[ONE] != old


def test_an_instance_that_is_terminated_time_and_again_is_made_with_another_token_each_time(
    hand: Hand,
) -> None:
    seen = set()
    for _ in range(4):
        hand.make(demo())
        seen.add(hand[ONE])
        hand.ec2.terminate_instances(InstanceIds=[hand[ONE]])
        hand.wait(60)
    assert len(seen) == 4


def test_a_token_whose_instance_has_long_been_forgotten_is_not_used_again(hand: Hand) -> None:
    hand.make(demo())
    old = hand[ONE]
    hand.ec2.terminate_instances(InstanceIds=[old])
    hand.wait(2 * 3600)  # nothing shows it any more, but the token is remembered
    result = hand.make(demo())
    assert hand[ONE] != old
    assert result.writes["run_instances"] == 2


def test_a_copy_with_our_tags_is_not_ours(hand: Hand) -> None:
    hand.make(demo())
    before = hand.world._run(count_by_stack)[0]["demo"]
    original = hand.ec2.describe_instances(InstanceIds=[hand[ONE]])["Reservations"][0]["Instances"][0]
    copy = hand.ec2.run_instances(
        ImageId=LINUX_1, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=original["SubnetId"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": original["Tags"]}],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    hand.wait(30)
    plan = hand.world.plan(demo())
    assert plan.is_empty
    told = f"instances with the tags of demo that weren't launched for it are left alone: {copy}; "
    found = hand.world._run(lambda aws: discover(aws, "demo", load(demo()).desired))
    view = StatusView("demo", REGION, found, {})
    for text in (render_plan(plan, PLAIN), status_text(view, PLAIN)):
        assert [line for line in text.splitlines() if copy in line] == [
            f"Warning: {told}remove their alb-reconcile: tags, or terminate them"
        ]
    assert json.loads(status_json(view))["warnings"] == list(plan.warnings)
    assert told in hand.world.sync(demo()).notes[0]
    assert any(told in text for text in hand.world.plan(demo(), destroy=True).warnings)
    counts, warnings = hand.world._run(count_by_stack)
    assert (counts["demo"], warnings) == (before, plan.warnings)
    hand.ec2.terminate_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    hand.make(demo())
    assert hand[ONE] != copy
    hand.ec2.terminate_instances(InstanceIds=[copy])
    hand.wait(60)
    assert not hand.world.plan(demo()).warnings


def test_many_copies_are_one_warning(hand: Hand) -> None:
    hand.make(demo())
    original = hand.ec2.describe_instances(InstanceIds=[hand[ONE]])["Reservations"][0]["Instances"][0]
    hand.ec2.run_instances(
        ImageId=LINUX_1, InstanceType="t3.micro", MinCount=12, MaxCount=12, SubnetId=original["SubnetId"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": original["Tags"]}],
    )  # fmt: skip
    (warning,) = hand.world.plan(demo()).warnings
    assert warning.count("i-") == 10
    assert " and 2 more; " in warning


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("instances/web/image_id", LINUX_1, ("image_id", "tags.alb-reconcile:image")),
        ("instances/web/subnets", ["public-b"], ("subnets",)),
        *at_length(
            ("instances/web/instance_type", "t3.small", ("instance_type",)),
            ("instances/web/key_name", "ops", ("key_name",)),
            ("instances/web/root_volume", {"kms_key_id": OTHER_KEY}, ("root_volume.kms_key_id",)),
            ("instances/web/user_data", "#!/bin/sh\nexec other\n", ("user_data",)),
        ),
    ],
)
def test_what_cannot_be_changed_in_place_is_replaced_without_losing_a_target(
    hand: Hand, path: str, value: Any, changed: tuple[str, ...]
) -> None:
    prepare()
    hand.make(demo())
    in_a = [hand[name] for name in (ONE, TWO) if subnet_of(hand, hand[name]) == hand["subnet.public-a"]]
    gone = in_a if path.endswith("subnets") else [hand[ONE], hand[TWO]]
    addresses = [name for name in (ONE, TWO) if hand[name] in gone]
    spec = edited(demo(), path, value)
    expected = [line for name in addresses for line in replaced(name, *changed)]
    for name in addresses:
        number = name[-1]
        expected += replaced(f"registration.web/web-{number}:80", "target")
    assert short(hand.world.plan(spec)) == sorted(expected)
    hand.make(spec)
    count = len(gone)
    assert (
        order(hand.world, "run_instances", "register_targets", "deregister_targets", "terminate_instances")
        == [
            "run_instances",
            "register_targets",
            "deregister_targets",
            "terminate_instances",
        ]
        * count
    )
    assert {params["InstanceIds"][0] for params in calls(hand.world, "terminate_instances")} == set(gone)


def subnet_of(hand: Hand, instance: str) -> str:
    found = hand.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(found["SubnetId"])


def test_instances_spread_over_their_subnets_and_stay_where_they_may_be(hand: Hand) -> None:
    hand.make(edited(demo(), "instances/web/count", 4))
    places = [subnet_of(hand, hand[f"instance.web-{number}"]) for number in range(1, 5)]
    assert sorted(places) == sorted([hand["subnet.public-a"], hand["subnet.public-b"]] * 2)


def test_a_newer_image_behind_the_reference_is_taken_only_on_request(hand: Hand) -> None:
    hand.make(demo())
    spec = edited(demo(), "instances/web/image_update", "replace")
    assert hand.world.plan(spec).is_empty
    parameter = demo()["instances"]["web"]["image_id"].removeprefix("resolve:ssm:")
    own = {"Name": "/own/image", "Type": "String", "Value": LINUX_1}
    by_hand("ssm").put_parameter(**own)
    assert parameter.startswith("/aws/")
    kept = edited(demo(), "instances/web/image_id", "resolve:ssm:/own/image")
    hand.make(kept)
    by_hand("ssm").put_parameter(**{**own, "Value": "ami-1e749f67"}, Overwrite=True)
    assert hand.world.plan(kept).is_empty
    newer = edited(kept, "instances/web/image_update", "replace")
    lines = [line for line in short(hand.world.plan(newer)) if line[0] == "replace" and line[1] == ONE]
    assert lines == [("replace", ONE, ("image_id",))]
    hand.make(newer)


def test_an_image_reference_is_resolved_once_a_look(hand: Hand) -> None:
    """Also where another group's reference is settled and isn't asked for at all."""
    spec = demo()
    hand.make(spec)
    hand.world.client("ssm").put_parameter(Name="/team/api", Value=LINUX_2, Type="String")
    api = {**spec["instances"]["web"], "image_id": "resolve:ssm:/team/api", "count": 1}
    plan = hand.world.plan({**spec, "instances": {**spec["instances"], "api": api}})
    assert [str(step.address) for step in plan.steps if step.action == "create"] == ["instance.api-1"]
    assert len(calls(hand.world, "get_parameters")) == 1
