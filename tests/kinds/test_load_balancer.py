"""Load balancers: drift, names, replacement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.wafv2.models import wafv2_backends

from alb_reconcile.sandbox.strict.elb_attributes import balancer_defaults
from tests.harness import by_hand, demo
from tests.kinds.example import STACK, Example
from tests.kinds.hand import calls, edited, order, update

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

PUBLIC = "load_balancer.public"
ACLS = [f"arn:aws:wafv2:us-east-1:123456789012:regional/webacl/{name}/0a1b" for name in ("one", "two")]


def make_web_acls() -> None:
    """With ids of our own."""
    known = wafv2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].wacls
    for arn in ACLS:
        made = by_hand("wafv2").create_web_acl(
            Name=arn.split("/")[2], Scope="REGIONAL", DefaultAction={"Allow": {}},
            VisibilityConfig={"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "x"},
        )  # fmt: skip
        known[arn] = known.pop(made["Summary"]["ARN"])
        known[arn].arn = arn


EXAMPLE = Example(
    spec={
        **STACK,
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "amazon_provided_ipv6_cidr_block": True}},
        "subnets": {
            name: {"cidr_block": f"10.0.{number}.0/24", "availability_zone": name, "ipv6_cidr_block": number}
            for number, name in enumerate("abc")
        },
        "security_groups": {"front": {}, "other": {}},
        "load_balancers": {
            "public": {
                "scheme": "internal",
                "ip_address_type": "ipv4",
                "subnets": ["a", "b"],
                "security_groups": ["front"],
                "attributes": {
                    "routing.http.drop_invalid_header_fields.enabled": True,
                    "idle_timeout.timeout_seconds": 90,
                    "routing.http.desync_mitigation_mode": "strictest",
                },
                "web_acl": ACLS[0],
            },
            "front": {"subnets": ["a", "b"], "ipam_pools": {"ipv4_ipam_pool_id": "ipam-pool-0a1b"}},
        },
        "internet_gateways": {"main": {}},
    },
    address=PUBLIC,
    changes={
        "ip_address_type": "dualstack",
        "subnets": ["b", "c"],
        "security_groups": ["other"],
        "attributes.routing.http.drop_invalid_header_fields.enabled": False,
        "attributes.idle_timeout.timeout_seconds": 30,
        "attributes.routing.http.desync_mitigation_mode": "monitor",
        "web_acl": ACLS[1],
    },
    others={"load_balancer.front": {"ipam_pools": {}}},
    prepare=make_web_acls,
    uncalled={
        "wafv2:DisassociateWebACL": "a web_acl that is taken away",
        "s3:GetBucketLocation": "logs into a bucket that its spec doesn't declare",
        "s3:GetBucketPolicy": "the same",
    },
)


def test_only_the_attribute_that_was_changed_by_hand_is_written(hand: Hand) -> None:
    declared = {"idle_timeout.timeout_seconds": 90, "routing.http.desync_mitigation_mode": "strictest"}
    hand.make(edited(demo(), "load_balancers/public/attributes", declared))
    pair = {"Key": "idle_timeout.timeout_seconds", "Value": "30"}
    hand.elb.modify_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC], Attributes=[pair])
    hand.make(hand.spec)
    (params,) = calls(hand.world, "modify_load_balancer_attributes")
    assert params["Attributes"] == [{**pair, "Value": "90"}]


@pytest.mark.slow
def test_more_of_them_than_one_call_shows(hand: Hand) -> None:
    spec = EXAMPLE.spec
    make_web_acls()
    balancer = spec["load_balancers"]["public"]
    hand.make({**spec, "load_balancers": {f"lb-{number}": balancer for number in range(21)}})


def test_a_strangers_load_balancer_of_that_name_is_refused(hand: Hand) -> None:
    hand.make(edited(demo(), "load_balancers", None))
    hand.elb.create_load_balancer(Name="theirs", Subnets=[hand["subnet.public-a"], hand["subnet.public-b"]])
    hand.refuses(edited(demo(), "load_balancers/public/name", "theirs"), 'the name "theirs" belongs to arn')


def test_every_attribute_is_taken_and_read_back(hand: Hand) -> None:
    """All that AWS documents, in two calls, since it takes 20 a call."""
    by_hand("s3").create_bucket(Bucket="our-logs")
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::our-logs/*"}
    by_hand("s3").put_bucket_policy(Bucket="our-logs", Policy=json.dumps({"Statement": [allowed]}))
    other = {"true": False, "false": True, "": "our-logs"}
    attributes = {key: other.get(value, value) for key, value in balancer_defaults().items()}
    attributes |= {"idle_timeout.timeout_seconds": "4000", "client_keep_alive.seconds": 60}
    attributes |= {"deletion_protection.enabled": False, "load_balancing.cross_zone.enabled": True}
    assert len(attributes) > 20
    hand.make(edited(demo(), "load_balancers/public/attributes", attributes))
    answer = hand.elb.describe_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC])["Attributes"]
    assert {item["Key"]: item["Value"] for item in answer} == {
        key: str(value).lower() for key, value in attributes.items()
    }


def test_a_web_acl_is_replaced_in_one_call_and_goes_by_a_persons_word_only(hand: Hand) -> None:
    make_web_acls()
    protected = edited(demo(), "load_balancers/public/web_acl", ACLS[0])
    hand.make(protected)
    hand.repairs(
        update(PUBLIC, "web_acl"), spec=edited(protected, "load_balancers/public/web_acl", ACLS[1]),
        calls={"associate_web_acl": 1, "add_tags": 1},
    )  # fmt: skip
    without = edited(protected, "load_balancers/public/web_acl", "none")
    hand.refuses(without, f"{PUBLIC} would let in whoever the web ACL keeps out .*remove-authentication=1")
    assert not hand.world.sync(without, apply_changes=True).outcomes
    hand.make(without, allow={"remove-authentication": 1})
    assert order(hand.world, "disassociate_web_acl")


def test_a_web_acl_that_isnt_there_is_told_before_anything_is_made(hand: Hand) -> None:
    spec = edited(demo(), "load_balancers/public/web_acl", ACLS[0])
    hand.refuses_run(spec, rf"spec.yaml:\d+:\d+: load_balancers.public.web_acl: there is no web ACL {ACLS[0]}")
    hand.make(demo())
    hand.refuses(spec, "there is no web ACL")
    hand.world.plan(demo())
    assert "get_web_acl" not in {name for name, _ in hand.world.log}


def test_a_web_acl_that_somebody_took_away_is_associated_again(hand: Hand) -> None:
    make_web_acls()
    hand.make(edited(demo(), "load_balancers/public/web_acl", ACLS[0]))
    by_hand("wafv2").disassociate_web_acl(ResourceArn=hand[PUBLIC])
    assert [item.how for item in hand.world.sync(hand.spec).outcomes] == ["done"]
    assert hand.world.plan(hand.spec).is_empty
