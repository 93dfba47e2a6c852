"""For how long "not found" means "not yet"."""

from __future__ import annotations

import pytest

from alb_reconcile.aws.just_named import JustNamed
from alb_reconcile.model.errors import AwsError

VPC = {"VpcId": "vpc-1"}


def refusal(code: str = "InvalidVpcID.NotFound") -> AwsError:
    return AwsError("ec2", "create_subnet", code, "The vpc ID 'vpc-1' does not exist", "")


def test_what_aws_has_named_for_five_minutes() -> None:
    named = JustNamed()
    named.note({"Subnet": {"SubnetId": "subnet-1", "State": "pending"}, "Group": {"GroupId": "sg-1"}}, 0.0)
    named.note({"Vpc": {**VPC, "Tags": [{"Key": "Name", "Value": "main"}]}}, 100.0)
    assert named.waits(refusal(), "create_subnet", VPC, 399.9)
    assert not named.waits(refusal(), "create_subnet", VPC, 400.0)
    nested = {"Filters": [{"Values": ["vpc-1"]}]}
    assert named.waits(refusal(), "create_subnet", nested, 399.9)
    assert not named.waits(refusal(), "create_subnet", {"State": "pending"}, 100.0)
    for operation in ("delete_vpc", "terminate_instances", "detach_internet_gateway"):  # what is to end may be gone
        assert not named.waits(refusal(), operation, VPC, 101.0)


def test_what_aws_says_it_doesnt_find_decides() -> None:
    """A call may also name something new that isn't what is missing."""
    named = JustNamed()
    named.note({}, 0.0)
    named.note({"Group": {"GroupId": "sg-1"}}, 100.0)
    assert not named.waits(refusal(), "create_subnet", {**VPC, "Groups": ["sg-1"]}, 101.0)
    assert named.waits(refusal(), "create_subnet", {"Groups": ["sg-1"]}, 101.0)


def test_what_aws_never_named_for_a_minute_of_the_run_unless_it_holds_up_others() -> None:
    named, several = JustNamed(), {"Resources": ["vpc-1", "vpc-2"]}
    assert named.waits(refusal(), "create_subnet", VPC, 1000.0)
    assert named.waits(refusal(), "create_subnet", VPC, 1059.9)
    assert not named.waits(refusal(), "create_subnet", VPC, 1060.0)
    assert not JustNamed().waits(refusal(), "create_tags", several, 1.0)
    named.note({"Vpc": VPC}, 1060.0)
    assert named.waits(refusal(), "create_tags", several, 1061.0)


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        ("InvalidKeyPair.NotFound", True),
        ("InvalidGroup.NotFound", True),
        ("InvalidSubnetID.NotFound", True),
        ("InvalidVpcEndpointId.NotFound", True),
        ("TargetGroupNotFound", True),
        ("ResourceNotFoundException", True),
        ("NoSuchEntity", False),  # roles have a wait of their own; a policy may be misspelt
        ("InvalidPermission.NotFound", False),  # isn't what the call refers to
        ("InvalidRoute.NotFound", False),
        ("InvalidParameterValue", False),
    ],
)
def test_codes(code: str, waits: bool) -> None:
    named = JustNamed()
    named.note({"Vpc": VPC}, 0.0)
    assert named.waits(refusal(code), "create_subnet", VPC, 1.0) is waits
