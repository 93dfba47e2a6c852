"""Buckets for logs: made with the load balancer that writes to them, repaired, and never deleted with logs in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.load_balancer.log_delivery import may_write, statement
from alb_reconcile.kinds.log_bucket import KIND, LogBucket
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError
from tests.harness import by_hand, demo, load
from tests.kinds.example import STACK, Example
from tests.kinds.hand import edited, order

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

LOGS, PUBLIC = "log_bucket.logs", "load_balancer.public"
EXAMPLE = Example(
    spec={**STACK, "log_buckets": {"logs": {"expiration_days": 90}}},
    address=LOGS,
    changes={"expiration_days": 30, "log_delivery": False, "block_public_access": False},
    uncalled={
        "s3:DeleteObject": "what AWS puts there to try it",
    },
)

DELIVERY: dict[str, Any] = {
    "Effect": "Allow", "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
    "Action": "s3:PutObject", "Resource": "arn:aws:s3:::our-logs/front/AWSLogs/123456789012/*",
}  # fmt: skip


def logging(bucket: str = "logs", **entry: Any) -> Spec:
    """The demo with access logs in a bucket of its own, unless it is somebody else's."""
    spec = edited(demo(), "log_buckets", {"logs": entry}) if bucket == "logs" else demo()
    spec["load_balancers"]["public"]["attributes"] |= {
        "access_logs.s3.enabled": True, "access_logs.s3.bucket": bucket, "access_logs.s3.prefix": "front",
    }  # fmt: skip
    return spec


def bucket_of(hand: Hand) -> str:
    return hand[LOGS].rpartition(":")[2]


def somebodys(policy: dict[str, Any] | None = None) -> None:
    by_hand("s3").create_bucket(Bucket="our-logs")
    if policy is not None:
        by_hand("s3").put_bucket_policy(Bucket="our-logs", Policy=json.dumps(policy))


def test_a_load_balancer_writes_to_it_from_the_start(hand: Hand) -> None:
    hand.make(logging())
    found = hand.elb.describe_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC])["Attributes"]
    assert {"Key": "access_logs.s3.bucket", "Value": bucket_of(hand)} in found
    both = ["put_bucket_policy", "modify_load_balancer_attributes"]
    assert order(hand.world, *both) == both


def test_what_others_have_put_into_its_policy_and_lifecycle_stays(hand: Hand) -> None:
    hand.make(logging(expiration_days=30))
    s3, name = by_hand("s3"), bucket_of(hand)
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    theirs = {**DELIVERY, "Effect": "Deny", "Resource": f"arn:aws:s3:::{name}/*", "Sid": "Theirs"}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({**policy, "Statement": [theirs]}))
    (own,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}}
    for ours in ([], [{**own, "Status": "Disabled"}], [{**own, "Filter": {"Prefix": "elsewhere/"}}]):
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule, *ours]})
        hand.make(hand.spec)
        assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] == [rule, own]
    statements = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert theirs in statements
    assert len(statements) == 2


def test_it_is_deleted_with_what_aws_tried_and_stays_with_logs(hand: Hand) -> None:
    hand.make(logging())
    name = bucket_of(hand)
    by_hand("s3").put_object(Bucket=name, Key="front/AWSLogs/123456789012/elasticloadbalancing/log.gz", Body=b"")
    result = hand.world.apply(hand.spec, destroy=True, allow={"delete-load-balancer": 1})
    (failure,) = result.failures
    assert f"bucket {name} has logs in it, and stays; keep it with forget, or empty it" in failure
    assert not hand.elb.describe_load_balancers()["LoadBalancers"], "all else is gone"
    by_hand("s3").delete_object(Bucket=name, Key="front/AWSLogs/123456789012/elasticloadbalancing/log.gz")
    hand.world.destroy(hand.spec)
    assert not by_hand("s3").list_buckets()["Buckets"]


def test_a_name_that_somebody_has_is_refused_before_anything_is_made(hand: Hand) -> None:
    somebodys()
    told = 'this account has a bucket named "our-logs" outside this stack; choose another name, or adopt it'
    hand.refuses(logging(name="our-logs"), told)


def test_elsewhere_it_is_made_in_that_region_with_what_older_regions_know(hand: Hand) -> None:
    desired = load(EXAMPLE.spec).desired[Address.parse(LOGS)]

    async def make(aws: Aws) -> str:
        there = Aws(hand.world._ask, max_workers=0, region="eu-west-1")
        return await KIND.create(Run(there, "demo"), LogBucket(log_delivery=True, block_public_access=True), desired)

    name = str(hand.world._run(make)).rpartition(":")[2]
    s3 = by_hand("s3")
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    (found,) = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert found["Principal"] == {**DELIVERY["Principal"], "AWS": "arn:aws:iam::156460612806:root"}


@pytest.mark.parametrize(
    ("region", "principal", "arn"),
    [
        ("eu-south-2", {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}, "arn:aws:s3:::b/AWSLogs/1/*"),
        ("cn-north-1", {"AWS": "arn:aws-cn:iam::638102146993:root"}, "arn:aws-cn:s3:::b/AWSLogs/1/*"),
    ],
)
def test_whom_a_policy_names_depends_on_the_region(region: str, principal: dict[str, str], arn: str) -> None:
    found = statement("b", "1", region, "")
    assert (found["Principal"], found["Resource"]) == (principal, arn)
    assert may_write(json.dumps({"Statement": found}), "b", "1", region, "")
    assert not may_write(json.dumps({"Statement": found}), "b", "1", region, "elsewhere")


@pytest.mark.parametrize(
    ("changes", "will_do"),
    [
        ({}, True),
        ({"Principal": {"AWS": "arn:aws:iam::127311923021:root"}}, True),
        ({"Principal": {"AWS": ["127311923021"]}, "Action": ["s3:Put*"], "Resource": "arn:aws:s3:::our-logs/*"}, True),
        ({"Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::our-logs", "arn:aws:s3:::our-logs/*"]}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"Service": "delivery.logs.amazonaws.com"}}, False),
        ({"Action": "s3:GetObject"}, False),
        ({"Resource": "arn:aws:s3:::our-logs/AWSLogs/123456789012/*"}, False),
    ],
    ids=str,
)
def test_whether_a_policy_lets_load_balancers_write(changes: dict[str, Any], will_do: bool) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": {**DELIVERY, **changes}})
    assert may_write(policy, "our-logs", "123456789012", "us-east-1", "front") is will_do


@pytest.mark.parametrize("statement", [None, {**DELIVERY, "Effect": "Deny"}], ids=["none", "denied"])
def test_a_policy_that_doesnt_is_told_with_the_statement_that_is_missing(
    hand: Hand, statement: dict[str, Any] | None
) -> None:
    somebodys(statement and {"Version": "2012-10-17", "Statement": [statement]})
    place, _, missing = "\n".join(hand.refuses_run(logging("our-logs"))).partition("write logs there; add ")
    assert "attributes.access_logs.s3.bucket: no statement in the policy of bucket our-logs" in place
    policy = json.dumps({"Version": "2012-10-17", "Statement": [json.loads(missing)]})
    by_hand("s3").put_bucket_policy(Bucket="our-logs", Policy=policy)
    hand.make(logging("our-logs"))
    hand.world.destroy(hand.spec, allow={"delete-load-balancer": 1})
    assert by_hand("s3").list_buckets()["Buckets"], "it is somebody else's"


def test_a_bucket_that_isnt_there_is_told(hand: Hand) -> None:
    hand.refuses(logging("our-logs"), r"spec.yaml:\d+:\d+: .*there is no bucket our-logs; create it, or declare")


@pytest.mark.parametrize(
    ("whose", "name"), [("the stack's", None), ("somebody's", None), ("somebody's", "our-own-logs")]
)
def test_a_bucket_whose_tags_may_not_be_read_is_named_and_stays(
    hand: Hand, whose: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's with a name that begins alike is in nobody's way. Of any other name nothing is read."""
    spec = edited(demo(), "log_buckets", {"logs": {"name": name} if name else {}})
    hand.make(spec)
    own, other = bucket_of(hand), "demo-other-logs-0a1b2c3d"
    for bucket in (other, "elsewhere"):
        by_hand("s3").create_bucket(Bucket=bucket)
    denied, real = own if whose == "the stack's" else other, hand.world._call

    def call(service: str, operation: str, params: Any) -> Any:
        if operation == "get_bucket_tagging" and params["Bucket"] in (denied, "elsewhere"):
            raise AwsError(service, operation, "AccessDenied", "Access Denied", "req-1")
        return real(service, operation, params)

    monkeypatch.setattr(hand.world, "_call", call)
    if whose == "somebody's":
        assert hand.world.plan(spec).is_empty
    result = hand.world.apply(spec, destroy=True, allow={"delete": 99})
    assert not result.failures
    assert f"may not read the tags of {denied} (s3:GetBucketTagging)" in "\n".join(result.plan.warnings)
    left = {item["Name"] for item in by_hand("s3").list_buckets()["Buckets"]}
    assert left == {other, denied, "elsewhere"}
