"""Buckets for logs: made with the load balancer that writes to them, repaired, and never deleted with logs in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds._log_delivery import may_write, statement
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.log_bucket import KIND, LogBucket
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, RefusedError
from tests.harness import by_hand, demo, load
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, edited, order, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

LOGS, PUBLIC = "log_bucket.logs", "load_balancer.public"
ATTRIBUTES = "load_balancers/public/attributes"
EXAMPLE = Example(
    spec={"stack": "demo", "region": "us-east-1", "log_buckets": {"logs": {"expiration_days": 90}}},
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
    assert order(hand.world, "put_bucket_policy", "modify_load_balancer_attributes") == [
        "put_bucket_policy", "modify_load_balancer_attributes"
    ]  # fmt: skip
    assert hand.world.plan(hand.spec).is_empty


def test_an_unchanged_plan_reads_five_things_of_it_and_a_stack_without_one_none(hand: Hand) -> None:
    hand.make(logging())
    hand.world.plan(hand.spec)
    read = [name for name, _ in hand.world.log if "bucket" in name or "public_access" in name]
    assert sorted(read) == [
        "get_bucket_lifecycle_configuration", "get_bucket_policy", "get_bucket_tagging", "get_public_access_block",
        "list_buckets",
    ]  # fmt: skip
    hand.world.plan(demo())
    assert not [name for name, _ in hand.world.log if "bucket" in name]


def test_switching_logs_on_and_off_again(hand: Hand) -> None:
    hand.make(demo())
    hand.repairs(
        create(LOGS), update(PUBLIC, *(f"attributes.access_logs.s3.{key}" for key in ("enabled", "bucket", "prefix"))),
        spec=logging(), by=(
            "create_bucket", "put_bucket_policy", "put_public_access_block", "modify_load_balancer_attributes", "add_tags",
        ),
    )  # fmt: skip


def test_what_others_have_put_into_its_policy_and_lifecycle_stays(hand: Hand) -> None:
    hand.make(logging(expiration_days=30))
    s3, name = by_hand("s3"), bucket_of(hand)
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    theirs = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({**policy, "Statement": [theirs]}))
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    hand.repairs(
        update(LOGS, "expiration_days", "log_delivery"), by=("put_bucket_lifecycle_configuration", "put_bucket_policy")
    )
    statements = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert theirs in statements
    assert len(statements) == 2
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {item["ID"] for item in rules} == {"theirs", "expire-logs"}


@pytest.mark.parametrize(
    "changed",
    [{"Status": "Disabled"}, {"Filter": {"Prefix": "elsewhere/"}}, {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}],
    ids=["off", "another prefix", "a tag"],
)
def test_its_own_rule_that_somebody_changed_is_put_right(hand: Hand, changed: dict[str, Any]) -> None:
    hand.make(logging(expiration_days=30))
    s3, name = by_hand("s3"), bucket_of(hand)
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [{**rule, **changed}]})
    hand.repairs(update(LOGS, "expiration_days"), by=("put_bucket_lifecycle_configuration",))
    assert s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] == [rule]


def test_it_is_deleted_with_what_aws_tried_and_stays_with_logs(hand: Hand) -> None:
    hand.make(logging())
    name = bucket_of(hand)
    by_hand("s3").put_object(Bucket=name, Key="front/AWSLogs/123456789012/elasticloadbalancing/log.gz", Body=b"")
    result = hand.world.apply(hand.spec, destroy=True, allow={"delete-load-balancer": 1})
    (failure,) = result.failures
    assert f"bucket {name} has logs in it, and stays; keep it with release, or empty it" in failure
    assert not hand.elb.describe_load_balancers()["LoadBalancers"], "all else is gone"
    by_hand("s3").delete_object(Bucket=name, Key="front/AWSLogs/123456789012/elasticloadbalancing/log.gz")
    hand.world.destroy(hand.spec)
    assert not by_hand("s3").list_buckets()["Buckets"]


def test_what_aws_tried_doesnt_keep_it(hand: Hand) -> None:
    hand.make(logging())
    keys = [item["Key"] for item in by_hand("s3").list_objects_v2(Bucket=bucket_of(hand))["Contents"]]
    assert keys == ["front/AWSLogs/123456789012/ELBAccessLogTestFile"]
    hand.world.destroy(hand.spec, allow={"delete-load-balancer": 1})
    assert not by_hand("s3").list_buckets()["Buckets"]


def test_a_lost_reply_makes_no_second_one(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("create_bucket")
    assert hand.world.apply(logging()).failures
    hand.make(logging())
    assert len(by_hand("s3").list_buckets()["Buckets"]) == 1


def test_a_run_that_ended_before_the_policy_is_finished_by_the_next(hand: Hand, faults: Faults) -> None:
    faults.refuse("put_bucket_policy", "AccessDenied")
    assert hand.world.apply(logging()).failures
    hand.make(logging())


def test_a_name_that_somebody_has_is_refused_before_anything_is_made(hand: Hand) -> None:
    somebodys()
    with pytest.raises(
        RefusedError,
        match='this account has a bucket named "our-logs" outside this stack; choose another name, or adopt it',
    ):
        hand.world.plan(logging(name="our-logs"))


def test_one_that_lost_its_tags_is_somebody_elses(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    name = bucket_of(hand)
    by_hand("s3").delete_bucket_tagging(Bucket=name)
    (failure,) = hand.world.apply(EXAMPLE.spec).failures
    assert f'this account has a bucket named "{name}" outside this stack; choose another name, or adopt it' in failure


def test_a_name_that_another_account_has_is_refused(hand: Hand, faults: Faults) -> None:
    faults.refuse("create_bucket", "BucketAlreadyExists")
    (failure,) = hand.world.apply(EXAMPLE.spec).failures
    assert "another account has a bucket named" in failure


def test_a_new_policy_may_be_seen_late(hand: Hand, faults: Faults) -> None:
    faults.refuse(
        "modify_load_balancer_attributes", "InvalidConfigurationRequest", "Access Denied for bucket: x. Please", times=3
    )
    hand.make(logging())


def test_one_that_somebody_deleted_is_made_again_and_written_to(hand: Hand) -> None:
    hand.make(logging())
    name, s3 = bucket_of(hand), by_hand("s3")
    for item in s3.list_objects_v2(Bucket=name)["Contents"]:
        s3.delete_object(Bucket=name, Key=item["Key"])
    s3.delete_bucket(Bucket=name)
    hand.make(logging())
    assert bucket_of(hand) == name
    assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 1, "AWS has tried it again"


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


def test_another_entry_name_keeps_the_bucket(hand: Hand) -> None:
    """`move` changes tags only, so a bucket is found whose name was derived from another address."""
    hand.make(EXAMPLE.spec)
    tags = {"alb-reconcile:address": "log_bucket.moved"}
    s3 = by_hand("s3")
    found = s3.get_bucket_tagging(Bucket=bucket_of(hand))["TagSet"]
    changed = [{**item, "Value": tags.get(item["Key"], item["Value"])} for item in found]
    s3.put_bucket_tagging(Bucket=bucket_of(hand), Tagging={"TagSet": changed})
    spec = {**EXAMPLE.spec, "log_buckets": {"moved": {"expiration_days": 90}}}
    assert [step.action for step in hand.world.plan(spec).steps] == ["update"]


def test_one_with_a_name_of_its_own_goes_with_the_stack(hand: Hand) -> None:
    """Nothing in its name tells whose it is; its tags do."""
    by_hand("s3").create_bucket(Bucket="somebodys-logs")
    hand.make(logging(name="acme-logs"))
    hand.world.destroy(hand.spec)
    assert [item["Name"] for item in by_hand("s3").list_buckets()["Buckets"]] == ["somebodys-logs"]


# -- buckets of others


@pytest.mark.parametrize(
    "statement",
    [
        DELIVERY,
        {**DELIVERY, "Principal": {"AWS": "arn:aws:iam::127311923021:root"}},
        {
            **DELIVERY,
            "Principal": {"AWS": ["127311923021"]},
            "Action": ["s3:Put*"],
            "Resource": "arn:aws:s3:::our-logs/*",
        },
        {
            **DELIVERY,
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::our-logs", "arn:aws:s3:::our-logs/*"],
        },
    ],
    ids=["service", "account", "patterns", "everybody"],
)
def test_a_policy_that_lets_load_balancers_write_will_do(hand: Hand, statement: dict[str, Any]) -> None:
    somebodys({"Version": "2012-10-17", "Statement": statement})
    hand.make(logging("our-logs"))
    hand.world.destroy(hand.spec, allow={"delete-load-balancer": 1})
    assert by_hand("s3").list_buckets()["Buckets"], "it is somebody else's"


@pytest.mark.parametrize(
    "policy",
    [
        None,
        {"Version": "2012-10-17", "Statement": [{**DELIVERY, "Effect": "Deny"}]},
        {"Version": "2012-10-17", "Statement": [{**DELIVERY, "Principal": {"Service": "delivery.logs.amazonaws.com"}}]},
        {"Version": "2012-10-17", "Statement": [{**DELIVERY, "Action": "s3:GetObject"}]},
        {
            "Version": "2012-10-17",
            "Statement": [{**DELIVERY, "Resource": "arn:aws:s3:::our-logs/AWSLogs/123456789012/*"}],
        },
    ],
    ids=["none", "denied", "another service", "another action", "another prefix"],
)
def test_a_policy_that_doesnt_is_told_with_the_statement_that_is_missing(
    hand: Hand, policy: dict[str, Any] | None
) -> None:
    somebodys(policy)
    with pytest.raises(RefusedError) as caught:
        hand.world.apply(logging("our-logs"))
    place, _, missing = str(caught.value).partition("write logs there; add ")
    assert "attributes.access_logs.s3.bucket: no statement in the policy of bucket our-logs" in place
    assert not hand.elb.describe_load_balancers()["LoadBalancers"]
    by_hand("s3").put_bucket_policy(
        Bucket="our-logs", Policy=json.dumps({"Version": "2012-10-17", "Statement": [json.loads(missing)]})
    )
    hand.make(logging("our-logs"))


def test_a_bucket_that_isnt_there_is_told(hand: Hand) -> None:
    with pytest.raises(RefusedError, match=r"spec.yaml:\d+:\d+: .*there is no bucket our-logs; create it, or declare"):
        hand.world.plan(logging("our-logs"))


def test_a_policy_is_read_only_where_logs_are_switched_on(hand: Hand) -> None:
    somebodys({"Version": "2012-10-17", "Statement": [DELIVERY]})
    hand.make(logging("our-logs"))
    hand.world.plan(hand.spec)
    assert not calls(hand.world, "get_bucket_policy")
    hand.world.plan(edited(hand.spec, f"{ATTRIBUTES}/idle_timeout.timeout_seconds", 90))
    assert not calls(hand.world, "get_bucket_policy")
    with pytest.raises(RefusedError, match="no statement"):
        hand.world.plan(edited(hand.spec, f"{ATTRIBUTES}/access_logs.s3.prefix", "elsewhere"))


def test_a_policy_that_these_credentials_may_not_read_is_left_to_aws(hand: Hand, faults: Faults) -> None:
    somebodys({"Version": "2012-10-17", "Statement": [DELIVERY]})
    faults.refuse("get_bucket_policy", "AccessDenied", times=9)
    hand.make(logging("our-logs"))


@pytest.mark.parametrize(
    ("whose", "name"), [("the stack's", None), ("somebody's", None), ("somebody's", "our-own-logs")]
)
def test_a_bucket_whose_tags_may_not_be_read_is_named_and_stays(
    hand: Hand, whose: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: `destroy` left the stack's own and said nothing. Somebody else's with a name that begins alike is in nobody's way, and one
    of any other name isn't spoken of: the smallest policy lets nothing of it be read."""
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
