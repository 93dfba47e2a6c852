"""Load balancers: drift, names, replacement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.wafv2.models import wafv2_backends

from alb_reconcile.model.errors import RefusedError
from alb_reconcile.sandbox.strict.elb_attributes import balancer_defaults
from tests.harness import by_hand, demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, edited, order, short, update

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

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
        "stack": "demo",
        "region": "us-east-1",
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
                "minimum_load_balancer_capacity": {"capacity_units": 100},
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
        "minimum_load_balancer_capacity": {},
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


def test_attributes_that_the_spec_leaves_out_are_left_alone(hand: Hand) -> None:
    hand.make(demo())
    pair = {"Key": "idle_timeout.timeout_seconds", "Value": "30"}
    hand.elb.modify_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC], Attributes=[pair])
    assert hand.world.plan(demo()).is_empty


def test_more_of_them_than_one_call_shows(hand: Hand) -> None:
    spec = EXAMPLE.spec
    make_web_acls()
    balancer = spec["load_balancers"]["public"]
    hand.make({**spec, "load_balancers": {f"lb-{number}": balancer for number in range(21)}})


def test_a_load_balancer_that_was_deleted_by_hand_comes_back_with_its_listener(hand: Hand) -> None:
    hand.make(demo())
    hand.elb.delete_load_balancer(LoadBalancerArn=hand[PUBLIC])
    hand.repairs(
        create(PUBLIC), create("listener.public/http"),
        by=("create_load_balancer", "modify_load_balancer_attributes", "create_listener"),
    )  # fmt: skip


def test_another_scheme_makes_another_load_balancer_only_when_allowed(hand: Hand) -> None:
    hand.make(demo())
    spec = edited(demo(), "load_balancers/public/scheme", "internal")
    with pytest.raises(RefusedError, match="--allow replace-load-balancer=1"):
        hand.world.plan(spec)
    hand.make(spec, allow={"replace-load-balancer": 1})
    names = order(hand.world, "create_load_balancer", "create_listener", "delete_load_balancer")
    assert names == ["create_load_balancer", "create_listener", "delete_load_balancer"]


def test_a_kept_name_goes_before_its_replacement_comes(hand: Hand) -> None:
    spec = edited(demo(), "load_balancers/public/name", "kept")
    hand.make(spec)
    other = edited(spec, "load_balancers/public/scheme", "internal")
    hand.make(other, allow={"replace-load-balancer": 1})
    assert order(hand.world, "create_load_balancer", "delete_load_balancer") == [
        "delete_load_balancer",
        "create_load_balancer",
    ]


@pytest.mark.parametrize("scheme", ["internet-facing", "internal"])
def test_a_strangers_load_balancer_of_that_name_is_refused_and_never_touched(hand: Hand, scheme: str) -> None:
    without = edited(demo(), "load_balancers", None)
    hand.make(without)
    hand.elb.create_load_balancer(
        Name="theirs", Scheme=scheme, Subnets=[hand["subnet.public-a"], hand["subnet.public-b"]]
    )
    before = hand.world.strict.inventory()
    with pytest.raises(RefusedError, match='the name "theirs" belongs to arn'):
        hand.world.plan(edited(demo(), "load_balancers/public/name", "theirs"))
    assert hand.world.strict.inventory() == before


@pytest.mark.parametrize("scheme", ["internet-facing", "internal"])
def test_a_stranger_of_that_name_who_comes_meanwhile_is_never_adopted(hand: Hand, faults: Faults, scheme: str) -> None:
    hand.make(edited(demo(), "load_balancers", None))
    real = faults._real

    def stranger_comes_first(service: str, operation: str, params: Any) -> Any:
        if operation == "create_load_balancer":
            hand.elb.create_load_balancer(
                Name="theirs",
                Scheme=scheme,
                Subnets=params["Subnets"],
                SecurityGroups=params["SecurityGroups"],
            )
        return real(service, operation, params)

    faults._real = stranger_comes_first
    result = hand.world.apply(edited(demo(), "load_balancers/public/name", "theirs"))
    (failure,) = [item for item in result.outcomes if item.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert "outside this stack" in str(failure.error)
    theirs = hand.elb.describe_load_balancers(Names=["theirs"])["LoadBalancers"][0]
    assert theirs["Scheme"] == scheme
    assert not hand.elb.describe_tags(ResourceArns=[theirs["LoadBalancerArn"]])["TagDescriptions"][0]["Tags"]
    assert not hand.elb.describe_listeners(LoadBalancerArn=theirs["LoadBalancerArn"])["Listeners"]


def test_a_lost_reply_makes_no_second_load_balancer(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("create_load_balancer")
    hand.world.apply(demo())
    hand.make(demo())
    assert len(hand.elb.describe_load_balancers()["LoadBalancers"]) == 1


def test_the_gateways_attachment_may_be_unknown_for_a_while(hand: Hand, faults: Faults) -> None:
    faults.refuse("create_load_balancer", "InvalidSubnet", "VPC has no internet gateway", times=2)
    hand.make(demo())
    assert faults.made["create_load_balancer"] == 3


def test_a_load_balancer_that_fails_leaves_the_instances_alone(hand: Hand, faults: Faults) -> None:
    faults.refuse("create_load_balancer", "TooManyLoadBalancers")
    result = hand.world.apply(demo())
    how = {str(item.step.address): item.how for item in result.outcomes}
    assert {address for address, word in how.items() if word != "done"} == {PUBLIC, "listener.public/http"}
    assert "quota" in str(next(item.error for item in result.outcomes if item.how == "failed"))
    hand.make(demo())


def test_deletion_protection_stops_its_deletion_with_a_hint(hand: Hand) -> None:
    hand.make(demo())
    pair = {"Key": "deletion_protection.enabled", "Value": "true"}
    hand.elb.modify_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC], Attributes=[pair])
    result = hand.world.apply(edited(demo(), "load_balancers", None), check=False)
    failed = [str(item.error) for item in result.outcomes if item.how == "failed"]
    assert len(failed) == 1
    assert "OperationNotPermitted" in failed[0]
    assert "protection is on" in failed[0]
    assert short(hand.world.plan(demo())) == []


def test_every_attribute_is_taken_and_read_back(hand: Hand) -> None:
    """All that AWS documents, in two calls, since it takes 20 a call."""
    by_hand("s3").create_bucket(Bucket="our-logs")
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::our-logs/*"}
    by_hand("s3").put_bucket_policy(Bucket="our-logs", Policy=json.dumps({"Statement": [allowed]}))
    attributes: dict[str, Any] = {
        "access_logs.s3.enabled": True,
        "access_logs.s3.bucket": "our-logs",
        "access_logs.s3.prefix": "shop",
        "client_keep_alive.seconds": 60,
        "connection_logs.s3.enabled": "true",
        "connection_logs.s3.bucket": "our-logs",
        "connection_logs.s3.prefix": "shop",
        "deletion_protection.enabled": False,
        "health_check_logs.s3.enabled": True,
        "health_check_logs.s3.bucket": "our-logs",
        "health_check_logs.s3.prefix": "shop",
        "idle_timeout.timeout_seconds": "4000",
        "ipv6.deny_all_igw_traffic": True,
        "load_balancing.cross_zone.enabled": True,
        "routing.http.desync_mitigation_mode": "monitor",
        "routing.http.drop_invalid_header_fields.enabled": True,
        "routing.http.preserve_host_header.enabled": True,
        "routing.http.x_amzn_tls_kx.enabled": True,
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": True,
        "routing.http.xff_client_port.enabled": True,
        "routing.http.xff_header_processing.mode": "remove",
        "routing.http2.enabled": False,
        "waf.fail_open.enabled": True,
        "zonal_shift.config.enabled": True,
    }
    assert attributes.keys() == balancer_defaults().keys()
    hand.make(edited(demo(), "load_balancers/public/attributes", attributes))
    answer = hand.elb.describe_load_balancer_attributes(LoadBalancerArn=hand[PUBLIC])["Attributes"]
    assert {item["Key"]: item["Value"] for item in answer} == {
        key: str(value).lower() for key, value in attributes.items()
    }


# -- what stands beside its attributes


def test_a_web_acl_is_replaced_in_one_call_and_goes_by_a_persons_word_only(hand: Hand) -> None:
    make_web_acls()
    protected = edited(demo(), "load_balancers/public/web_acl", ACLS[0])
    hand.make(protected)
    hand.repairs(
        update(PUBLIC, "web_acl"), spec=edited(protected, "load_balancers/public/web_acl", ACLS[1]),
        calls={"associate_web_acl": 1, "add_tags": 1},
    )  # fmt: skip
    without = edited(protected, "load_balancers/public/web_acl", "none")
    with pytest.raises(
        RefusedError, match=f"{PUBLIC} would let in whoever the web ACL keeps out .*remove-authentication=1"
    ):
        hand.world.plan(without)
    assert not hand.world.sync(without, apply_changes=True).outcomes
    hand.make(without, allow={"remove-authentication": 1})
    assert order(hand.world, "disassociate_web_acl")


def test_a_web_acl_that_isnt_there_is_told_before_anything_is_made(hand: Hand) -> None:
    spec = edited(demo(), "load_balancers/public/web_acl", ACLS[0])
    with pytest.raises(
        RefusedError, match=rf"spec.yaml:\d+:\d+: load_balancers.public.web_acl: there is no web ACL {ACLS[0]}"
    ):
        hand.world.apply(spec)
    assert not hand.elb.describe_load_balancers()["LoadBalancers"]
    hand.make(demo())
    with pytest.raises(RefusedError, match="there is no web ACL"):
        hand.world.plan(spec)
    hand.world.plan(demo())
    assert "get_web_acl" not in {name for name, _ in hand.world.log}


def test_a_web_acl_that_these_credentials_may_not_see_is_left_to_aws(hand: Hand, faults: Faults) -> None:
    make_web_acls()
    faults.refuse("get_web_acl", "AccessDeniedException", times=9)
    hand.make(edited(demo(), "load_balancers/public/web_acl", ACLS[0]))


def test_a_web_acl_that_somebody_took_away_is_associated_again(hand: Hand) -> None:
    make_web_acls()
    hand.make(edited(demo(), "load_balancers/public/web_acl", ACLS[0]))
    by_hand("wafv2").disassociate_web_acl(ResourceArn=hand[PUBLIC])
    assert [item.how for item in hand.world.sync(hand.spec).outcomes] == ["done"]
    assert hand.world.plan(hand.spec).is_empty


def test_a_new_web_acl_may_be_unavailable_for_a_while(hand: Hand, faults: Faults) -> None:
    make_web_acls()
    faults.refuse("associate_web_acl", "WAFUnavailableEntityException", times=3)
    hand.make(edited(demo(), "load_balancers/public/web_acl", ACLS[0]))
    assert faults.made["associate_web_acl"] == 4


def test_capacity_waits_until_the_load_balancer_is_there(hand: Hand) -> None:
    spec = edited(demo(), "load_balancers/public/minimum_load_balancer_capacity", {"capacity_units": 100})
    hand.make(spec)
    hand.elb.modify_capacity_reservation(LoadBalancerArn=hand[PUBLIC], ResetCapacityReservation=True)
    hand.repairs(update(PUBLIC, "minimum_load_balancer_capacity"), by="modify_capacity_reservation")
    hand.make(edited(spec, "load_balancers/public/minimum_load_balancer_capacity", {}))
    (params,) = calls(hand.world, "modify_capacity_reservation")
    assert params["ResetCapacityReservation"] is True


def test_what_isnt_declared_isnt_read(hand: Hand) -> None:
    hand.make(demo())
    hand.world.plan(demo())
    assert not {name for name, _ in hand.world.log}.intersection(
        {"get_web_acl_for_resource", "describe_capacity_reservation"}
    )


def test_one_on_an_outpost_stands_in_one_subnet_and_keeps_its_pool(hand: Hand) -> None:
    pools = [f"ipv4pool-coip-{number}" for number in (1, 2)]
    balancer = {"scheme": "internal", "subnets": ["a"], "customer_owned_ipv4_pool": pools[0]}
    hand.make({**EXAMPLE.spec, "load_balancers": {"public": balancer}})
    other = {**EXAMPLE.spec, "load_balancers": {"public": {**balancer, "customer_owned_ipv4_pool": pools[1]}}}
    with pytest.raises(RefusedError, match="--allow replace-load-balancer=1"):
        hand.world.plan(other)
    hand.make(other, allow={"replace-load-balancer": 1})
    (found,) = hand.elb.describe_load_balancers()["LoadBalancers"]
    assert found["CustomerOwnedIpv4Pool"] == pools[1]


def test_a_pool_for_one_that_was_made_internal_is_refused_before_anything_is_changed(hand: Hand) -> None:
    """Found: where the spec doesn't say the scheme, AWS refused it in the middle of a run."""
    spec = edited(demo(), "load_balancers/public/scheme", "internal")
    hand.make(spec)
    del spec["load_balancers"]["public"]["scheme"]
    hand.make(spec)
    pooled = edited(spec, "load_balancers/public/ipam_pools", {"ipv4_ipam_pool_id": "ipam-pool-0a1b"})
    with pytest.raises(RefusedError, match=r"load_balancers\.public\.ipam_pools: are for public addresses, which this"):
        hand.world.plan(pooled)
    hand.make(edited(spec, "load_balancers/public/ipam_pools", {}))
