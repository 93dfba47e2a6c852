"""S3's conditional writes, as leases need them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.harness import FAKE_ENVIRONMENT


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Any:
    """PutObject to one key; gives the ETag, or the error's code."""
    for name, value in FAKE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with StrictAws(VirtualClock().now):
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="our-leases")

        def attempt(body: bytes, **conditions: str) -> str:
            try:
                return str(s3.put_object(Bucket="our-leases", Key="k", Body=body, **conditions)["ETag"])
            except ClientError as error:
                return str(error.response["Error"]["Code"])

        yield attempt


def test_if_none_match_makes_an_object_once(put: Any) -> None:
    assert put(b"1", IfNoneMatch="*").startswith('"')
    assert put(b"2", IfNoneMatch="*") == "PreconditionFailed"


def test_if_match_writes_over_what_was_read(put: Any) -> None:
    assert put(b"1", IfMatch='"00"') == "NoSuchKey"
    first = put(b"1")
    second = put(b"2", IfMatch=first)
    assert second not in (first, "PreconditionFailed")
    assert put(b"3", IfMatch=first) == "PreconditionFailed"


def test_the_bucket_is_the_expected_accounts(put: Any) -> None:
    assert put(b"1", ExpectedBucketOwner="123456789012").startswith('"')
    assert put(b"2", ExpectedBucketOwner="999999999999") == "AccessDenied"


@pytest.mark.usefixtures("put")
def test_a_bucket_belongs_to_the_account_that_made_it() -> None:
    s3_backends["111111111111"]["aws"].create_bucket("their-leases", "us-east-1")
    s3 = boto3.client("s3", region_name="us-east-1")
    wanted = {"Bucket": "their-leases", "Key": "k", "Body": b"1"}
    assert s3.put_object(**wanted, ExpectedBucketOwner="111111111111")["ETag"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(**wanted, ExpectedBucketOwner="123456789012")


def test_if_none_match_takes_an_asterisk_only(put: Any) -> None:
    """moto would write."""
    assert put(b"1", IfNoneMatch='"00"') == "NotImplemented"


@pytest.mark.usefixtures("put")
def test_rules_of_a_lifecycle_have_names_of_their_own() -> None:
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3 = boto3.client("s3", region_name="us-east-1")
    with pytest.raises(ClientError, match="Rule ID must be unique"):
        s3.put_bucket_lifecycle_configuration(Bucket="our-leases", LifecycleConfiguration={"Rules": [rule, rule]})
    s3.put_bucket_lifecycle_configuration(
        Bucket="our-leases", LifecycleConfiguration={"Rules": [rule, {**rule, "ID": "b"}]}
    )


@pytest.mark.usefixtures("put")
def test_tags_keep_the_spaces_around_them() -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    told = [{"Key": "note", "Value": "demo "}, {"Key": "other", "Value": " a & b"}]
    s3.put_bucket_tagging(Bucket="our-leases", Tagging={"TagSet": told})
    assert s3.get_bucket_tagging(Bucket="our-leases")["TagSet"] == told
