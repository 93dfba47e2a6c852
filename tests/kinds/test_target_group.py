"""Target groups: drift, disappearance, replacement, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import demo
from tests.kinds.example import Example, network
from tests.kinds.hand import calls, create, edited, order, replaced, short, update
from tests.kinds.test_listener import CERTIFICATES, upload_certificates

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

WEB = "target_group.web"
ONE, TWO = "registration.web/web-1:80", "registration.web/web-2:80"
EXAMPLE = Example(
    spec={
        **network(),
        "target_groups": {
            "web": {
                "protocol": "HTTP",
                "port": 80,
                "health_check": {
                    "protocol": "HTTP",
                    "port": "traffic-port",
                    "path": "/health",
                    "interval_seconds": 10,
                    "timeout_seconds": 4,
                    "healthy_threshold_count": 2,
                    "unhealthy_threshold_count": 3,
                    "matcher": "200",
                },
                "attributes": {
                    "deregistration_delay.timeout_seconds": 30,
                    "stickiness.enabled": False,
                    "load_balancing.algorithm.type": "round_robin",
                },
            },
            "function": {
                "target_type": "lambda",
                "health_check": {"enabled": False},
                "attributes": {"lambda.multi_value_headers.enabled": False},
            },
        },
    },
    address=WEB,
    changes={
        "health_check.protocol": "HTTPS",
        "health_check.port": 8080,
        "health_check.path": "/other",
        "health_check.interval_seconds": 20,
        "health_check.timeout_seconds": 7,
        "health_check.healthy_threshold_count": 4,
        "health_check.unhealthy_threshold_count": 5,
        "health_check.matcher": "200-299",
        "attributes.deregistration_delay.timeout_seconds": 77,
        "attributes.stickiness.enabled": True,
        "attributes.load_balancing.algorithm.type": "least_outstanding_requests",
    },
    others={
        "target_group.function": {
            "health_check.enabled": True,
            "attributes.lambda.multi_value_headers.enabled": True,
        }
    },
)


def test_a_group_that_was_deleted_by_hand_comes_back_with_its_targets_and_in_its_listener(hand: Hand) -> None:
    hand.make(demo())
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    hand.elb.modify_listener(ListenerArn=hand["listener.public/http"], DefaultActions=[answer])
    hand.elb.delete_target_group(TargetGroupArn=hand[WEB])
    hand.repairs(
        create(WEB), create(ONE), create(TWO), update("listener.public/http", "default_action"),
        by=("create_target_group", "modify_target_group_attributes", "register_targets", "modify_listener"),
    )  # fmt: skip


def secured(**group: Any) -> Spec:
    """The demo with HTTPS towards its clients."""
    upload_certificates()
    spec = demo()
    spec["load_balancers"]["public"]["listeners"]["http"] |= {"protocol": "HTTPS", "certificate_arn": CERTIFICATES[0]}
    spec["target_groups"]["web"] |= group
    return spec


@pytest.mark.slow
@pytest.mark.parametrize("version", ["HTTP2", "GRPC"])
def test_http_2_comes_after_https(hand: Hand, version: str) -> None:
    """Its targets couldn't be checked beside the old group's, behind a listener that is HTTP yet."""
    hand.make(demo())
    health_check = {"matcher": "0-99" if version == "GRPC" else "200-499"}
    there = secured(protocol_version=version, health_check=health_check)
    told = hand.refuses(there, "first apply protocol: HTTPS")
    assert told.startswith(f"listener.public/http: listener.public/http is HTTP now, and {WEB} with {version}")
    hand.make(secured(), allow={"close": 1})
    hand.make(there, allow={"close": 1})
    hand.make(demo(), allow={"close": 1})
    rule = {"priority": 1, "conditions": [{"path_pattern": "/a"}], "action": {"forward": "web"}}
    there["load_balancers"]["public"]["listeners"]["http"] |= {
        "default_action": {"fixed_response": {"status_code": 404}},
        "rules": {"a": rule},
    }
    hand.refuses(there, r"(?m)^rule\.public/http/a: listener\.public/http is HTTP now")


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("target_groups/web/protocol", "HTTPS", "protocol"),
        ("target_groups/web/protocol_version", "HTTP2", "protocol_version"),
        ("target_groups/web/port", 8080, "port"),
        ("target_groups/web/target_control_port", 3000, "target_control_port"),
        ("target_groups/web/target_type", "ip", "target_type"),
        ("target_groups/web/name", "fresh", "name"),  # an own name is the Name tag, too
    ],
)
def test_a_replacement_serves_before_the_old_group_is_drained(hand: Hand, path: str, value: Any, changed: str) -> None:
    before = secured() if changed == "protocol_version" else demo()  # HTTP/2 needs an HTTPS listener
    hand.make(before)
    spec = edited(before, path, value)
    word = {"close": 1} if changed == "protocol_version" else {}  # clients of HTTP/1.1 may get 464
    plan = hand.world.plan(spec, allow=word)
    paths = (changed, "tags.Name") if changed == "name" else (changed,)
    assert [line for line in short(plan) if line[1] == WEB] == sorted(replaced(WEB, *paths))
    hand.make(spec, allow=word)
    names = ["create_target_group", "register_targets", "modify_listener", "deregister_targets", "delete_target_group"]
    assert order(hand.world, *names) == [names[0], "modify_listener", *names[1:]]
    beside, alone = [
        {item["TargetGroupArn"].split("/")[-2]: item.get("Weight", 1) for item in params["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]}
        for params in calls(hand.world, "modify_listener")
    ]  # fmt: skip
    assert sorted(beside.values()) == [0, 1]
    assert beside.pop(next(iter(alone))) == 0
    assert len(alone) == 1


@pytest.mark.slow
def test_a_group_with_a_kept_name_that_serves_cant_be_replaced(hand: Hand) -> None:
    spec = edited(demo(), "target_groups/web/name", "kept")
    hand.make(spec)
    other = edited(spec, "target_groups/web/port", 8080)
    hand.refuses(other, r"^target_group\.web: port is 80 and should be 8080, .*change name, too$")
    hand.make(edited(other, "target_groups/web/name", "new"))


def test_a_kept_name_keeps_a_check_that_somebody_changed_from_being_put_back(hand: Hand) -> None:
    """The present targets may fail the spec's, and another group can't stand beside this one."""
    spec = edited(demo(), "target_groups/web/name", "web")
    hand.make(spec)
    hand.elb.modify_target_group(TargetGroupArn=hand[WEB], HealthCheckPath="/other")
    hand.refuses(spec, r'health_check.path is "/other".*keep what it has, or change name, too')


def test_a_group_of_that_name_which_is_not_ours_is_refused(hand: Hand) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    hand.elb.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=vpc)
    hand.refuses(edited(demo(), "target_groups/web/name", "theirs"), 'the name "theirs" belongs to arn')
