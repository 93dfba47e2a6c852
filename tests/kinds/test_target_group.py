"""Target groups: drift, disappearance, replacement, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.shown import short_id, show_change
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.sandbox.strict.elb_attributes import group_defaults
from tests.harness import demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, delete, edited, order, replaced, short, update
from tests.kinds.test_listener import CERTIFICATES, upload_certificates

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

WEB = "target_group.web"
ONE, TWO = "registration.web/web-1:80", "registration.web/web-2:80"
EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
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


def test_only_the_attribute_that_was_changed_by_hand_is_written(hand: Hand) -> None:
    hand.make(EXAMPLE.spec)
    pair = {"Key": "stickiness.enabled", "Value": "true"}
    hand.elb.modify_target_group_attributes(TargetGroupArn=hand[WEB], Attributes=[pair])
    hand.make(EXAMPLE.spec)
    (params,) = calls(hand.world, "modify_target_group_attributes")
    assert params["Attributes"] == [{**pair, "Value": "false"}]


def test_attributes_and_checks_that_the_spec_leaves_out_are_left_alone(hand: Hand) -> None:
    spec = demo()
    hand.make(spec)
    hand.elb.modify_target_group(TargetGroupArn=hand[WEB], UnhealthyThresholdCount=7)
    hand.elb.modify_target_group_attributes(
        TargetGroupArn=hand[WEB], Attributes=[{"Key": "stickiness.enabled", "Value": "true"}]
    )
    assert hand.world.plan(spec).is_empty


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


@pytest.mark.parametrize("version", ["HTTP2", "GRPC"])
def test_http_2_comes_after_https(hand: Hand, version: str) -> None:
    """Its targets couldn't be checked beside the old group's, behind a listener that is HTTP yet."""
    hand.make(demo())
    health_check = {"matcher": "0-99" if version == "GRPC" else "200-499"}
    there = secured(protocol_version=version, health_check=health_check)
    with pytest.raises(RefusedError, match="first apply protocol: HTTPS") as caught:
        hand.world.plan(there)
    assert str(caught.value).startswith(
        f"listener.public/http: listener.public/http is HTTP now, and {WEB} with {version}"
    )
    hand.make(secured(), allow={"close": 1})
    hand.make(there, allow={"close": 1})
    hand.make(demo(), allow={"close": 1})
    rule = {"priority": 1, "conditions": [{"path_pattern": "/a"}], "action": {"forward": "web"}}
    there["load_balancers"]["public"]["listeners"]["http"] |= {
        "default_action": {"fixed_response": {"status_code": 404}},
        "rules": {"a": rule},
    }
    with pytest.raises(RefusedError, match=r"(?m)^rule\.public/http/a: listener\.public/http is HTTP now"):
        hand.world.plan(there)


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
    names = (
        "create_target_group",
        "register_targets",
        "modify_listener",
        "deregister_targets",
        "delete_target_group",
    )
    assert order(hand.world, *names) == [
        "create_target_group",
        "modify_listener",
        "register_targets",
        "modify_listener",
        "deregister_targets",
        "delete_target_group",
    ]
    beside, alone = [
        {item["TargetGroupArn"].split("/")[-2]: item.get("Weight", 1) for item in params["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]}
        for params in calls(hand.world, "modify_listener")
    ]  # fmt: skip
    assert sorted(beside.values()) == [0, 1]
    assert beside.pop(next(iter(alone))) == 0
    assert len(alone) == 1


def test_a_group_with_a_kept_name_that_serves_cant_be_replaced(hand: Hand) -> None:
    spec = edited(demo(), "target_groups/web/name", "kept")
    hand.make(spec)
    other = edited(spec, "target_groups/web/port", 8080)
    with pytest.raises(RefusedError, match=r"^target_group\.web: port is 80 and should be 8080, .*change name, too$"):
        hand.world.plan(other)
    hand.make(edited(other, "target_groups/web/name", "new"))


def test_a_kept_name_keeps_a_check_that_somebody_changed_from_being_put_back(hand: Hand) -> None:
    """The present targets may fail the spec's, and another group can't stand beside this one."""
    spec = edited(demo(), "target_groups/web/name", "web")
    hand.make(spec)
    hand.elb.modify_target_group(TargetGroupArn=hand[WEB], HealthCheckPath="/other")
    with pytest.raises(RefusedError, match=r'health_check.path is "/other".*keep what it has, or change name, too'):
        hand.world.plan(spec)


def test_a_group_that_nothing_uses_and_has_a_kept_name_goes_before_its_replacement_comes(hand: Hand) -> None:
    spec = demo()
    spec["target_groups"]["spare"] = {"protocol": "HTTP", "port": 80, "name": "kept"}
    hand.make(spec)
    other = edited(spec, "target_groups/spare/port", 8080)
    hand.repairs(*replaced("target_group.spare", "port"), spec=other, by=("delete_target_group", "create_target_group"))
    assert order(hand.world, "delete_target_group", "create_target_group") == [
        "delete_target_group",
        "create_target_group",
    ]


@pytest.mark.parametrize("port", [80, 9999])
def test_a_group_of_that_name_which_is_not_ours_is_refused_and_never_touched(hand: Hand, port: int) -> None:
    without = edited(edited(demo(), "load_balancers", None), "target_groups/web/name", "theirs")
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    hand.elb.create_target_group(Name="theirs", Protocol="HTTP", Port=port, VpcId=vpc)
    before = hand.world.strict.inventory()
    with pytest.raises(RefusedError, match='the name "theirs" belongs to arn'):
        hand.world.plan(without)
    assert hand.world.strict.inventory() == before


@pytest.mark.parametrize("port", [80, 9999])
def test_a_group_of_that_name_that_appears_meanwhile_is_refused_at_its_creation(
    hand: Hand, faults: Faults, port: int
) -> None:
    hand.make(edited(demo(), "load_balancers", None))
    spec = edited(demo(), "load_balancers", None)
    spec["target_groups"]["late"] = {"protocol": "HTTP", "port": 80, "name": "theirs"}
    vpc = hand["vpc.main"]
    real = faults._real

    def stranger_comes_first(service: str, operation: str, params: Any) -> Any:
        if operation == "create_target_group":
            hand.elb.create_target_group(Name="theirs", Protocol="HTTP", Port=port, VpcId=vpc, TargetType="instance")
        return real(service, operation, params)

    faults._real = stranger_comes_first
    result = hand.world.apply(spec)
    (failure,) = [outcome for outcome in result.outcomes if outcome.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert "outside this stack" in str(failure.error)
    theirs = hand.elb.describe_target_groups(Names=["theirs"])["TargetGroups"][0]
    tags = hand.elb.describe_tags(ResourceArns=[theirs["TargetGroupArn"]])["TagDescriptions"][0]["Tags"]
    assert tags == []
    assert theirs["Port"] == port


def test_a_group_still_in_use_is_deleted_when_aws_lets_it_go(hand: Hand, faults: Faults) -> None:
    spec = demo()
    spec["target_groups"]["spare"] = {"protocol": "HTTP", "port": 80}
    hand.make(spec)
    faults.refuse("delete_target_group", "ResourceInUse", times=3)
    hand.repairs(delete("target_group.spare"), spec=demo(), calls={"delete_target_group": 4})


def test_a_group_that_others_fill_is_not_emptied(hand: Hand) -> None:
    spec = edited(demo(), "target_groups/web/targets", None)
    hand.make(demo())
    kept = hand.make(spec)
    assert kept.writes == {}
    assert any("targets no longer managed" in note for note in kept.plan.kept)


@pytest.mark.parametrize("algorithm", ["round_robin", "weighted_random"])
def test_every_attribute_is_taken_and_read_back(hand: Hand, algorithm: str) -> None:
    """All that AWS documents; of those that exclude each other, one after the other."""
    weighted = algorithm == "weighted_random"
    health = "target_group_health"
    attributes: dict[str, Any] = {
        "deregistration_delay.timeout_seconds": 0,
        "load_balancing.algorithm.type": algorithm,
        "load_balancing.algorithm.anomaly_mitigation": "on" if weighted else "off",
        "load_balancing.cross_zone.enabled": False if weighted else "use_load_balancer_configuration",
        "slow_start.duration_seconds": 0 if weighted else 30,
        "stickiness.enabled": True,
        "stickiness.type": "app_cookie" if weighted else "lb_cookie",
        "stickiness.app_cookie.cookie_name": "session",
        "stickiness.app_cookie.duration_seconds": 604_800,
        "stickiness.lb_cookie.duration_seconds": "1",
        f"{health}.dns_failover.minimum_healthy_targets.count": "off" if weighted else 2,
        f"{health}.dns_failover.minimum_healthy_targets.percentage": 100,
        f"{health}.unhealthy_state_routing.minimum_healthy_targets.count": 2,
        f"{health}.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
        "routing.http2.rst_stream_error_forwarding.enabled": True,
        "waf.http2.traffic_inspection_behavior": "inspect_after_sufficient_data",
    }
    assert attributes.keys() == group_defaults("HTTP2").keys()
    hand.make(secured(protocol_version="HTTP2", attributes=attributes))
    answer = hand.elb.describe_target_group_attributes(TargetGroupArn=hand[WEB])["Attributes"]
    shown = {item["Key"]: item["Value"] for item in answer}
    assert shown == {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in attributes.items()
    }


def test_a_roll_that_was_cut_short_shows_which_group_is_which(hand: Hand, faults: Faults) -> None:
    """Both have the entry's name: that of the two which the step keeps."""
    hand.make(spec := demo())
    new = edited(spec, "target_groups/web/port", 8082)
    faults.refuse("register_targets", "UnauthorizedOperation", times=2)
    assert hand.world.apply(new).failures
    hand.world.log.clear()
    for wanted in (new, spec):
        plan = hand.world.plan(wanted)
        (change,) = next(step for step in plan.steps if step.address.kind == "listener").changes
        kept, other = change.after.forward[0].target_group, {item.target_group for item in change.before.forward}
        (gone,) = other - {kept}
        ((_, text),) = show_change(change, plan.names)
        before = text.removesuffix(" → forward to target_group.web").removeprefix("forward to ")
        assert sorted(item.partition(" at ")[0] for item in before.split(", ")) == [WEB, short_id(gone)]
