"""Launching instances: what AWS says no to, and what it doesn't know yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import by_hand, demo
from tests.kinds.hand import calls, edited, prepare, rich

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kinds.hand import Faults, Hand


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidSubnetID.NotFound", "The subnet ID does not exist"),
        ("InvalidGroup.NotFound", "The security group does not exist"),
        ("InvalidParameterValue", "Value (web) is invalid. Invalid IAM Instance Profile name"),
    ],
)
def test_what_aws_does_not_know_yet_is_asked_for_again(hand: Hand, faults: Faults, code: str, message: str) -> None:
    faults.refuse("run_instances", code, message, times=3)
    hand.make(demo())
    assert faults.made["run_instances"] == 5


@pytest.mark.parametrize(
    "code", ["InsufficientInstanceCapacity", "VcpuLimitExceeded", "Unsupported", "UnauthorizedOperation"]
)
def test_a_launch_that_fails_takes_down_only_what_depends_on_it(hand: Hand, faults: Faults, code: str) -> None:
    faults.refuse("run_instances", code)
    result = hand.world.apply(demo())
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


def test_a_wrong_parameter_is_not_tried_again(hand: Hand, faults: Faults) -> None:
    faults.refuse("run_instances", "InvalidParameterValue", "something else", times=2)
    result = hand.world.apply(demo())
    assert faults.made["run_instances"] == 2
    assert len(result.failures) == 4


def test_a_lost_reply_launches_nothing_twice(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("run_instances")
    hand.world.apply(demo())
    hand.make(demo())
    assert len(hand.ec2.describe_instances()["Reservations"]) == 2


def test_a_token_of_a_terminated_instance_gives_way_to_the_next(hand: Hand, faults: Faults) -> None:
    faults.refuse("run_instances", "IdempotentInstanceTerminated", times=2)
    hand.make(edited(demo(), "instances/web/count", 1))
    tokens = [params["ClientToken"] for params in calls(hand.world, "run_instances")]
    assert faults.made["run_instances"] == 3
    assert len({token[:24] for token in tokens}) == 1


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    prepare()
    hand.world.strict.reference_lag = 20.0
    hand.make(rich())
    spec = edited(rich(), "instances/web/image_id", "ami-1e749f67")
    hand.make(spec)


def test_a_profile_that_does_not_exist_fails_after_two_minutes(hand: Hand, faults: Faults) -> None:
    """Where these credentials may not look for it."""
    faults.refuse("get_instance_profile", "AccessDenied")
    spec = edited(demo(), "instances/web/iam_instance_profile", "web")
    started = hand.world.clock.now()
    result = hand.world.apply(spec)
    assert any("Invalid IAM Instance Profile" in text for text in result.failures)
    assert 120 <= hand.world.clock.now() - started < 600
    by_hand("iam").create_instance_profile(InstanceProfileName="web")
    hand.make(spec)


def test_an_ssm_parameter_that_does_not_exist_is_refused_before_anything_is_made(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/image_id", "resolve:ssm:/no/such/image")
    with pytest.raises(RefusedError, match="/no/such/image"):
        hand.world.plan(spec)


def test_disks_and_their_tags_are_made_as_declared(hand: Hand) -> None:
    prepare()
    hand.make(rich())
    volumes = hand.ec2.describe_volumes()["Volumes"]
    assert {(item["Size"], item["VolumeType"], item["Encrypted"]) for item in volumes} == {(20, "gp3", True)}
    assert all({"Key": "alb-reconcile:stack", "Value": "demo"} in item["Tags"] for item in volumes)


def test_new_instances_ask_for_sessions_and_encrypt_their_disks_unless_told_otherwise(hand: Hand) -> None:
    hand.make(demo())
    for params in calls(hand.world, "run_instances"):
        options = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert params["MetadataOptions"] == options
        assert params["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        assert params["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True


def test_an_instance_without_its_metadata_service_is_told_nothing_else_about_it(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/metadata_options", {"http_endpoint": "disabled", "http_tokens": "required"})
    hand.make(spec)
    assert {str(params["MetadataOptions"]) for params in calls(hand.world, "run_instances")} == {
        "{'HttpEndpoint': 'disabled'}"
    }
    hand.make(edited(demo(), "instances/web/metadata_options", {"http_tokens": "required"}))
    assert hand.world.plan(hand.spec).is_empty, "somebody has switched it off, and the spec doesn't say that it is on"
    hand.make(edited(hand.spec, "instances/web/metadata_options/http_endpoint", "enabled"))
    (params, _) = calls(hand.world, "modify_instance_metadata_options")
    assert {**params, "InstanceId": ""} == {"InstanceId": "", "HttpEndpoint": "enabled", "HttpTokens": "required"}


def test_a_roll_launches_together_what_it_may_have_too_many(hand: Hand) -> None:
    """And makes all other calls together, too: each subnet's, or the group's, for each `max_surge` of them."""
    spec = edited(edited(demo(), "instances/web/count", 8), "instances/web/rollout", {"max_surge": 4})
    hand.make(spec)
    seen: list[int] = []
    ask = hand.world._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "terminate_instances" and "DryRun" not in params:
            seen.append(running(hand))
        return ask(service, operation, params)

    hand.world._call = call  # type: ignore[method-assign]  # to look in between
    result = hand.make(edited(spec, "instances/web/instance_type", "t3.small"), allow={"replace": 8})
    assert result.writes == {
        "run_instances": 4, "register_targets": 2, "deregister_targets": 2, "terminate_instances": 2,
    }  # fmt: skip
    assert seen == [12, 12]


def running(hand: Hand) -> int:
    """How many instances run."""
    found = hand.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    return sum(len(item["Instances"]) for item in found["Reservations"])
