"""What AWS would refuse half-way is found out before anything is made."""

from __future__ import annotations

from typing import Any

import moto.settings
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.sandbox.strict.quotas import BALANCERS, STANDARD_VCPUS, TARGET_GROUPS, VPCS
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, Spec, by_hand, demo
from tests.kinds.hand import Faults, Hand, edited, prepare

UNKNOWN_IMAGE = "ami-0123456789abcdef0"
ARM_TYPE = "t4g.micro"


@pytest.fixture(autouse=True)
def _prepared(hand: Hand) -> None:
    prepare()


def refusal(hand: Hand, spec: Spec) -> str:
    """What `apply` says, having made nothing."""
    return "\n".join(hand.refuses_run(spec))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("image_id", UNKNOWN_IMAGE, f"instances.web.image_id: there is no image {UNKNOWN_IMAGE} in this region"),
        ("instance_type", ARM_TYPE, "instances.web.instance_type: t4g.micro runs arm64, but image ami-"),
        ("key_name", "lost", 'instances.web.key_name: there is no key pair "lost" in this region'),
    ],
)
def test_a_launch_that_ec2_would_refuse(hand: Hand, path: str, value: str, told: str) -> None:
    text = refusal(hand, edited(demo(), f"instances/web/{path}", value))
    assert told in text
    assert len(text.splitlines()) == 1, "both members have one entry"


def test_images_and_ids_that_dont_exist_are_told_with_the_rest(hand: Hand) -> None:
    spec = edited(demo(), "instances/web/image_id", "resolve:ssm:/lost")
    spec["instances"]["web"] |= {"iam_instance_profile": "lost", "security_groups": ["web", "sg-0123456789abcdef0"]}
    spec["instances"]["web"]["instance_type"] = "t9.micro"
    spec["load_balancers"]["public"]["subnets"] = ["public-a", "subnet-0123456789abcdef0"]
    spec["target_groups"]["web"]["targets"] = []
    lines = refusal(hand, spec).splitlines()
    assert sorted(line.partition(": ")[2] for line in lines) == [
        'instances.web.iam_instance_profile: there is no instance profile "lost" in this account; create it, or correct iam_instance_profile',
        "instances.web.image_id: there is no SSM parameter /lost in this region; correct image_id",
        "instances.web.instance_type: there is no instance type t9.micro in this region; correct instance_type",
        "instances.web.security_groups: there is no security group sg-0123456789abcdef0 in this account and region; correct the id",
        "load_balancers.public.subnets: there is no subnet subnet-0123456789abcdef0 in this account and region; correct the id",
    ]
    assert all(line.split(":")[1].isdecimal() and line.split(":")[2].isdecimal() for line in lines)


def test_a_type_that_isnt_offered_in_the_zone(hand: Hand) -> None:
    def drop(answer: Any) -> None:
        rows = answer["InstanceTypeOfferings"]
        rows[:] = [item for item in rows if item["Location"] != "us-east-1b"]

    hand.answers("describe_instance_type_offerings", drop)
    assert "isn't offered in us-east-1b, only in us-east-1a, " in refusal(hand, demo())


def test_a_replacement_and_a_change_in_place_are_looked_at_too(hand: Hand) -> None:
    hand.make(demo())
    hand.world.plan(demo())
    asked = {name for name, _ in hand.world.log}
    assert not asked & {"describe_instance_types", "describe_images", "describe_key_pairs", "run_instances"}
    assert "no image" in refusal(hand, edited(demo(), "instances/web/image_id", UNKNOWN_IMAGE))
    in_place = edited(demo(), "instances/web/type_change", "in-place")
    in_place["instances"]["web"]["rollout"] = {"max_unavailable": 1}
    assert "no instance type" in refusal(hand, edited(in_place, "instances/web/instance_type", "t9.micro"))
    assert "no instance profile" in refusal(hand, edited(demo(), "instances/web/iam_instance_profile", "lost"))


def test_what_the_credentials_may_not_read_is_left_to_aws(hand: Hand, faults: Faults) -> None:
    for operation in ("describe_instance_types", "describe_instance_type_offerings", "describe_images"):
        faults.refuse(operation, "UnauthorizedOperation")
    faults.refuse("get_instance_profile", "AccessDenied")
    hand.make(edited(demo(), "instances/web/iam_instance_profile", "web"))
    faults.refuse("get_policy", "AccessDenied", times=2)
    assert hand.world.plan(profile("AmazonS3ReadAccess", "AmazonS3ReadOnlyAccess")).steps
    faults.refuse("describe_vpc_endpoint_services", "UnauthorizedOperation")
    assert hand.world.plan(endpoint(service_name="ssm-messages")).steps


@pytest.mark.parametrize(
    ("code", "quota", "told"),
    [
        (VPCS, 1, "vpcs.main: this account may have 1 VPCs in this region and has 1, so 1 more don't fit"),
        (STANDARD_VCPUS, 3, "may have 3 vCPUs of On-Demand standard instances in this region and has 0, so 4 more"),
        (BALANCERS, 0, "load_balancers.public: this account may have 0 application load balancers in this region"),
        (TARGET_GROUPS, 0, "target_groups.web: this account may have 0 target groups in this region and has 0"),
    ],
)
def test_a_quota_that_the_plan_would_exceed(hand: Hand, code: str, quota: float, told: str) -> None:
    Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas[code] = quota
    assert told in refusal(hand, demo())


def secure(certificate: str, *hosts: str) -> Spec:
    """The demo with an HTTPS listener, and a rule for these hosts."""
    spec = demo()
    rule = {"priority": 1, "conditions": [{"host_header": list(hosts)}], "action": {"forward": "web"}}
    spec["load_balancers"]["public"]["listeners"]["https"] = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": certificate, "default_action": {"forward": "web"},
        **({"rules": {"hosts": rule}} if hosts else {}),
    }  # fmt: skip
    return spec


ALLOWED = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}'


def profile(*policies: str) -> Spec:
    spec = edited(demo(), "instance_profiles", {"web": {"managed_policies": list(policies)}})
    return edited(spec, "instances/web/iam_instance_profile", "web")


def test_a_managed_policy_that_isnt_there(hand: Hand) -> None:
    lost = "arn:aws:iam::123456789012:policy/lost"
    own = by_hand("iam").create_policy(PolicyName="own", PolicyDocument=ALLOWED)["Policy"]["Arn"]
    place = "instance_profiles.web.managed_policies: "
    lines = refusal(hand, profile("AmazonS3ReadAccess", "AmazonSSMManagedInstanceCore", own, lost)).splitlines()
    assert [line.partition(place)[2].partition(";")[0] for line in lines] == [
        'AWS has no managed policy "AmazonS3ReadAccess"',
        f"there is no managed policy {lost}",
    ]
    there = profile("AmazonS3ReadOnlyAccess", own)
    hand.make(there)
    hand.world.plan(there)
    assert "get_policy" not in [name for name, _ in hand.world.log]


def endpoint(**keys: Any) -> Spec:
    spec = demo()
    spec["vpc_endpoints"] = {"it": {"subnets": ["public-a"], **keys}}
    return spec


def test_a_service_that_has_no_endpoints(hand: Hand) -> None:
    place = "vpc_endpoints.it.service_name: this region has no service com.amazonaws.us-east-1."
    told = refusal(hand, endpoint(service_name="ssm-messages"))
    assert told.endswith(f"{place}ssm-messages for endpoints; did you mean com.amazonaws.us-east-1.ssmmessages?")
    there = endpoint(service_name="ssmmessages")
    hand.make(there)
    hand.world.plan(there)
    assert "describe_vpc_endpoint_services" not in [name for name, _ in hand.world.log]
    assert f"{place}ssm-messages" in refusal(hand, endpoint(service_name="ssm-messages"))


PLACE = "load_balancers.public.listeners.https.certificate_arn: "


def issued(*names: str) -> str:
    """The ARN of a certificate for these names."""
    request = by_hand("acm").request_certificate
    arn: str = request(DomainName=names[0], SubjectAlternativeNames=list(names))["CertificateArn"]
    return arn


def test_certificates_that_arent_there(hand: Hand) -> None:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/0f0e0d0c-0000-4000-8000-0b0a09080706"
    assert f"{PLACE}there is no certificate {arn} in this region and account" in refusal(hand, secure(arn))
    spec = secure(issued("shop.example.com"), "shop.example.com")
    spec["load_balancers"]["public"]["listeners"]["https"]["certificates"] = [arn]
    place = PLACE.replace("certificate_arn", "certificates")
    assert f"{place}there is no certificate {arn} in this region and account" in refusal(hand, spec)


def test_a_certificate_that_isnt_issued(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto.settings, "ACM_VALIDATION_WAIT", 600)
    arn = issued("api.example.com")
    assert f"{PLACE}certificate {arn} is PENDING_VALIDATION" in refusal(hand, secure(arn))
    Faults(hand.world).refuse("describe_certificate", "AccessDeniedException")
    assert any("UnsupportedCertificate" in text for text in hand.world.apply(secure(arn)).failures)


@pytest.mark.parametrize(
    ("names", "hosts", "bare"),
    [
        (("api.example.com",), ("api.example.com",), ""),
        (("*.example.com",), ("api.example.com", "API.example.com"), ""),
        (("*.example.com",), ("example.com", "a.b.example.com"), "a.b.example.com, example.com"),
        (("api.example.com",), ("*.example.com",), ""),
        (("api.example.com",), ("api.example.org",), "api.example.org"),
    ],
)
def test_host_names_that_a_certificate_doesnt_cover(
    hand: Hand, names: tuple[str, ...], hosts: tuple[str, ...], bare: str
) -> None:
    warnings = [text for text in hand.world.plan(secure(issued(*names), *hosts)).warnings if PLACE in text]
    assert [f"clients of {bare} refuse" in text for text in warnings] == ([True] if bare else [])
