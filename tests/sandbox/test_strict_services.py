"""What EC2 and ELB rest on: S3's conditional writes, CloudTrail's history, roles, images and parameters, as AWS has them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto.moto_api._internal import mock_random

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from alb_reconcile.sandbox.strict.catalogue import shared_images
from tests.sandbox.strict_world import client, refuses

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER, ABSENT = "ami-1e749f67", "ami-00000000000000000"


@pytest.fixture
def s3(aws: StrictAws) -> Any:
    client("s3").create_bucket(Bucket="our-leases")
    return client("s3")


def put(s3: Any, body: bytes, *, bucket: str = "our-leases", **conditions: str) -> str:
    """Write to one key; gives the ETag, or the error's code."""
    try:
        return str(s3.put_object(Bucket=bucket, Key="k", Body=body, **conditions)["ETag"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def test_s3_writes_on_conditions(s3: Any) -> None:
    assert put(s3, b"1", IfMatch='"00"') == "NoSuchKey"
    assert put(s3, b"1", IfNoneMatch='"00"') == "NotImplemented", "moto would write"
    first = put(s3, b"1", IfNoneMatch="*")
    assert first.startswith('"')
    assert put(s3, b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert put(s3, b"2", IfMatch=first) not in (first, "PreconditionFailed")
    assert put(s3, b"3", IfMatch=first) == "PreconditionFailed"


@pytest.fixture
def trail(clock: VirtualClock) -> Iterator[Any]:
    with StrictAws(clock=clock.now, lag=60, throttling=True):
        yield client("cloudtrail")


def about(vpc: str) -> list[dict[str, str]]:
    return [{"AttributeKey": "ResourceName", "AttributeValue": vpc}]


def names(answer: dict[str, Any]) -> list[str]:
    return [event["EventName"] for event in answer["Events"]]


def test_changes_of_a_resource_newest_first_and_late(trail: Any, clock: VirtualClock) -> None:
    ec2 = client("ec2")
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
    refuses("InvalidLookupAttributesException", trail.lookup_events, LookupAttributes=about("a") + about("b"))
    refuses("ThrottlingException", trail.lookup_events)
    clock.advance(1)
    trail.lookup_events()


def test_images_draw_from_no_ids_but_their_own() -> None:
    """Found: all ids differed in what a process tried first, which has the images made."""
    drawn = mock_random.getstate()
    load = shared_images(lambda shelf: shelf.amis.update({mock_random.get_random_hex(): SimpleNamespace()}))
    backend = SimpleNamespace(account_id="1", region_name="here", amis={}, snapshots={})
    load(backend)
    assert backend.amis
    assert mock_random.getstate() == drawn
