"""CloudTrail's event history: what has changed something, newest first, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.sandbox.strict_world import client, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def aws(clock: VirtualClock) -> Iterator[StrictAws]:
    with StrictAws(clock=clock.now, lag=60, throttling=True) as strict:
        yield strict


def about(vpc: str) -> list[dict[str, str]]:
    return [{"AttributeKey": "ResourceName", "AttributeValue": vpc}]


def names(answer: dict[str, Any]) -> list[str]:
    return [event["EventName"] for event in answer["Events"]]


def test_changes_of_a_resource_newest_first_and_late(aws: StrictAws, clock: VirtualClock) -> None:
    ec2, trail = client("ec2"), client("cloudtrail")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    clock.advance(61)
    ec2.describe_vpcs()
    with pytest.raises(ClientError):
        ec2.modify_vpc_attribute(VpcId=vpc)  # what was refused has changed nothing
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert names(trail.lookup_events(LookupAttributes=about(vpc))) == ["CreateVpc"]
    clock.advance(61)
    first = trail.lookup_events(LookupAttributes=about(vpc), MaxResults=1)
    assert names(first) == ["ModifyVpcAttribute"]
    told = json.loads(first["Events"][0]["CloudTrailEvent"])
    assert (told["eventSource"], told["readOnly"]) == ("ec2.amazonaws.com", False)
    assert "Boto3" in told["userAgent"]
    rest = trail.lookup_events(LookupAttributes=about(vpc), MaxResults=1, NextToken=first["NextToken"])
    assert names(rest) == ["CreateVpc"]
    assert "NextToken" not in rest
    clock.advance(5)
    assert names(trail.lookup_events(LookupAttributes=about("vpc-00000000"))) == []


def test_refusals(aws: StrictAws, clock: VirtualClock) -> None:
    trail = client("cloudtrail")
    refuses("InvalidLookupAttributesException", trail.lookup_events, LookupAttributes=about("a") + about("b"))
    trail.lookup_events()
    refuses("ThrottlingException", trail.lookup_events)
    clock.advance(1)
    trail.lookup_events()
