"""Buckets that logs go to: what AWS refuses, and what it writes to see whether it may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import client, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws

FOLDER = "arn:aws:s3:::our-logs/front/AWSLogs/123456789012/*"
DELIVERY = {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}


def balancer() -> str:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        for number, zone in enumerate("ab")
    ]
    ids = [item["Subnet"]["SubnetId"] for item in subnets]
    made = client("elbv2").create_load_balancer(Name="front", Subnets=ids, Scheme="internal")
    return str(made["LoadBalancers"][0]["LoadBalancerArn"])


def switch_on(arn: str, **more: str) -> None:
    given = {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": "our-logs",
        "access_logs.s3.prefix": "front",
        **more,
    }
    pairs = [{"Key": key, "Value": value} for key, value in given.items()]
    client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs)


def policy(principal: Any, resource: str = FOLDER, action: str = "s3:PutObject") -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
    client("s3").put_bucket_policy(Bucket="our-logs", Policy=json.dumps({"Statement": [statement]}))


def test_logs_need_a_bucket_with_a_policy_that_lets_load_balancers_write(aws: StrictAws) -> None:
    arn = balancer()
    refuses("InvalidConfigurationRequest: Access Denied for bucket: our-logs", switch_on, arn)
    client("s3").create_bucket(Bucket="our-logs")
    refuses("InvalidConfigurationRequest: Access Denied for bucket", switch_on, arn)
    for wrong in ({"Service": "delivery.logs.amazonaws.com"}, {"AWS": "123456789012"}):
        policy(wrong)
        refuses("InvalidConfigurationRequest: Access Denied for bucket", switch_on, arn)
    policy(DELIVERY, "arn:aws:s3:::our-logs/AWSLogs/123456789012/*")
    refuses("InvalidConfigurationRequest: Access Denied for bucket", switch_on, arn)
    policy(DELIVERY)
    switch_on(arn)
    assert [item["Key"] for item in client("s3").list_objects_v2(Bucket="our-logs")["Contents"]] == [
        "front/AWSLogs/123456789012/ELBAccessLogTestFile"
    ]


@pytest.mark.parametrize("who", ["*", {"AWS": "arn:aws:iam::127311923021:root"}, {"AWS": ["127311923021"]}], ids=str)
def test_older_policies_name_the_regions_account(aws: StrictAws, who: Any) -> None:
    arn = balancer()
    client("s3").create_bucket(Bucket="our-logs")
    policy(who)
    switch_on(arn)


def test_other_attributes_ask_for_no_bucket(aws: StrictAws) -> None:
    arn = balancer()
    client("s3").create_bucket(Bucket="our-logs")
    policy(DELIVERY)
    switch_on(arn)
    client("s3").delete_bucket_policy(Bucket="our-logs")
    pair = {"Key": "idle_timeout.timeout_seconds", "Value": "90"}
    client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[pair])


def test_a_new_bucket_is_private_and_has_its_tags(aws: StrictAws) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="our-logs", CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "b & c"}]})
    assert s3.get_bucket_tagging(Bucket="our-logs")["TagSet"] == [{"Key": "a", "Value": "b & c"}]
    assert set(s3.get_public_access_block(Bucket="our-logs")["PublicAccessBlockConfiguration"].values()) == {True}
