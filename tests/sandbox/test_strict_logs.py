"""Buckets that logs go to: what AWS refuses, and what it writes to see whether it may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import client, refuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.strict_world import Network

FOLDER = "arn:aws:s3:::our-logs/front/AWSLogs/123456789012/*"
DELIVERY = {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}


@pytest.fixture
def switch_on(network: Network) -> Callable[[], None]:
    """Of a load balancer's logs."""
    arn = network.balancer("front")
    given = {"enabled": "true", "bucket": "our-logs", "prefix": "front"}
    pairs = [{"Key": f"access_logs.s3.{key}", "Value": value} for key, value in given.items()]
    return lambda: network.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs)


def policy(principal: Any, resource: str = FOLDER, action: str = "s3:PutObject") -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
    client("s3").put_bucket_policy(Bucket="our-logs", Policy=json.dumps({"Statement": [statement]}))


def test_logs_need_a_bucket_with_a_policy_that_lets_load_balancers_write(
    network: Network, switch_on: Callable[[], None]
) -> None:
    s3, told = client("s3"), "InvalidConfigurationRequest: Access Denied for bucket: our-logs"
    refuses(told, switch_on)
    s3.create_bucket(Bucket="our-logs")
    refuses(told, switch_on)
    for wrong in ({"Service": "delivery.logs.amazonaws.com"}, {"AWS": "123456789012"}):
        policy(wrong)
        refuses(told, switch_on)
    policy(DELIVERY, "arn:aws:s3:::our-logs/AWSLogs/123456789012/*")
    refuses(told, switch_on)
    policy(DELIVERY)
    switch_on()
    written = [item["Key"] for item in s3.list_objects_v2(Bucket="our-logs")["Contents"]]
    assert written == ["front/AWSLogs/123456789012/ELBAccessLogTestFile"]
    s3.delete_bucket_policy(Bucket="our-logs")
    arn = network.elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    pair = {"Key": "idle_timeout.timeout_seconds", "Value": "90"}  # which asks for no bucket
    network.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[pair])


@pytest.mark.usefixtures("aws")
def test_a_new_bucket_is_private_and_has_its_tags() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="our-logs", CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "b & c"}]})
    assert s3.get_bucket_tagging(Bucket="our-logs")["TagSet"] == [{"Key": "a", "Value": "b & c"}]
    assert set(s3.get_public_access_block(Bucket="our-logs")["PublicAccessBlockConfiguration"].values()) == {True}
