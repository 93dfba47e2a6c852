"""What waits for a person holds back nothing else: the rest is corrected at once, within a resource too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import by_hand, demo
from tests.kinds.hand import LINUX_1, Hand, edited
from tests.kinds.test_preconditions import issued
from tests.kinds.test_record import Names, plain, record
from tests.sync.rounds import go_round
from tests.sync.words import done, left, with_image, writes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alb_reconcile.journal.record import Record
    from tests.harness import Spec

LOWERED = "ELBSecurityPolicy-2016-08"
STRICT = "ELBSecurityPolicy-TLS13-1-2-2021-06"
OFFICE = {"path_pattern": "/admin/*"}, {"source_ip": "10.0.0.0/8"}


@pytest.fixture
def names(hand: Hand) -> Names:
    return Names(hand.world)


@pytest.fixture
def secure(hand: Hand, names: Names) -> Spec:
    """A service with HTTPS, a rule for the office and a DNS name, applied."""
    spec = with_image(demo(), LINUX_1)
    spec["instances"]["web"]["root_volume"] = {"volume_size": 20, "volume_type": "gp3"}
    spec["instances"]["web"]["source_dest_check"] = True
    spec["load_balancers"]["public"] |= {
        "attributes": {
            "deletion_protection.enabled": False, "routing.http.drop_invalid_header_fields.enabled": True,
        },
    }  # fmt: skip
    spec["load_balancers"]["public"]["listeners"]["https"] = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": issued("api.example.com"), "ssl_policy": STRICT,
        "default_action": {"forward": "web"},
        "rules": {"office": {"priority": 10, "conditions": [*OFFICE], "action": {"forward": "web"}}},
    }  # fmt: skip
    spec["security_groups"]["load-balancer"]["ingress"].append(
        {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    )
    spec["records"] = {"api": record("api", alias="public")}
    hand.make(spec)
    hand.wait(600)
    return spec


def other_group(hand: Hand) -> str:
    """A security group outside the stack."""
    made = hand.ec2.create_security_group(GroupName="other", Description="other", VpcId=hand["vpc.main"])
    return str(made["GroupId"])


def lower(hand: Hand) -> None:
    hand.elb.modify_listener(ListenerArn=hand["listener.public/https"], SslPolicy=LOWERED)


def open_rule(hand: Hand) -> None:
    hand.elb.modify_rule(
        RuleArn=hand["rule.public/https/office"], Conditions=[{"Field": "path-pattern", "Values": ["/admin/*"]}]
    )


def lead_away(hand: Hand) -> None:
    zone = by_hand("route53").list_hosted_zones()["HostedZones"][0]["Id"].rpartition("/")[2]
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": plain("api.example.com", "6.6.6.6")}]}
    by_hand("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def check(hand: Hand) -> None:
    hand.elb.modify_target_group(TargetGroupArn=hand["target_group.web"], HealthCheckPath="/x")


def protect(hand: Hand) -> None:
    """Against deletion, and let others in."""
    on: Any = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    on.append({"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "false"})
    hand.elb.modify_load_balancer_attributes(LoadBalancerArn=hand["load_balancer.public"], Attributes=on)
    groups = [hand["security_group.load-balancer"], other_group(hand)]
    hand.elb.set_security_groups(LoadBalancerArn=hand["load_balancer.public"], SecurityGroups=groups)


def grow(hand: Hand) -> None:
    """A full disk, and another group for the instance."""
    (item,) = hand.ec2.describe_instances(InstanceIds=[hand["instance.web-1"]])["Reservations"][0]["Instances"]
    volume = item["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    hand.ec2.modify_volume(VolumeId=volume, Size=40)
    made = hand.ec2.create_security_group(GroupName="more", Description="more", VpcId=hand["vpc.main"])["GroupId"]
    groups = [hand["security_group.web"], made]
    hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], Groups=groups)
    hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], SourceDestCheck={"Value": False})


GRAVE = (lower, open_rule, lead_away)
MENDED = {"listener.public/https": "drift", "rule.public/https/office": "drift", "record.api": "drift"}
WAITS = {"check": "target_group.web", "protect": "load_balancer.public", "grow": "instance.web-1"}
WITHIN = {"check": {}, "protect": {"load_balancer.public": "drift"}, "grow": {"instance.web-1": "drift"}}
ITS_CHANGES = {
    "check": ("health_check.path: /x → /health",),
    "protect": ("attributes.deletion_protection.enabled: true → false",),
    "grow": ("root_volume.volume_size: 40 → 20",),
}


def told(record: Record) -> dict[str, tuple[str, ...]]:
    """What waits in a run's record, with its changes; each once."""
    steps = [step for step in record.withheld if not step.key.startswith("delete:")]
    assert len({step.address for step in steps}) == len(steps)
    return {step.address: step.changes for step in steps}


@pytest.mark.parametrize("waiting", [(check,), (protect,), (grow,), (check, protect, grow)])
def test_what_is_grave_is_corrected_beside_what_waits(
    hand: Hand, secure: Spec, tmp_path: Path, waiting: tuple[Callable[[Hand], None], ...]
) -> None:
    """Found: in each round the listener "depends on registration.web/web-1:80, which isn't done"."""
    for act in (*GRAVE, *waiting):
        act(hand)
    hand.wait(600)
    texts: list[str] = []
    report, first = go_round(hand, secure, tmp_path, texts=texts)
    names = [act.__name__ for act in waiting]
    wanted = {WAITS[name]: ITS_CHANGES[name] for name in names}
    assert told(first) == wanted
    within = {address for name in names for address in WITHIN[name]}
    assert {step.address for step in first.having(how="done")} == MENDED.keys() | within
    assert all(step.cause == "drift" for step in first.steps)
    assert (report.code, first.result) == (2, "left")
    assert next(iter(wanted)) in texts[0]
    (listener,) = hand.elb.describe_listeners(ListenerArns=[hand["listener.public/https"]])["Listeners"]
    assert listener["SslPolicy"] == STRICT
    report, second = go_round(hand, secure, tmp_path, texts=texts)
    assert (report.code, told(second), second.having(how="done")) == (2, wanted, ())
    assert set(writes(hand)) <= {"lookup_events"}
    assert {step.reason for step in first.withheld} == {step.reason for step in second.withheld}


@pytest.mark.parametrize("change", ["health_check/interval_seconds", "health_check/path"])
def test_an_unapplied_change_of_the_same_entry_holds_back_no_drift(hand: Hand, secure: Spec, change: str) -> None:
    """The group's entry says something new as well, or its new path is what waits."""
    for act in GRAVE if change.endswith("path") else (*GRAVE, check):
        act(hand)
    hand.wait(600)
    changed = edited(secure, f"target_groups/web/{change}", "/new" if change.endswith("path") else 20)
    for number in range(2):
        ending = hand.world.sync(changed)
        assert (done(ending), left(ending)) == ({} if number else MENDED, {"target_group.web": "spec"})
    (group,) = [step for step in ending.selection.left if step.action == "replace"]
    paths = {item.path for item in group.changes}
    assert paths == {"health_check.path"} | ({change.replace("/", ".")})
    assert not hand.world.sync(secure).outcomes or not change.endswith("path")


def test_the_rest_of_what_is_to_be_replaced_is_corrected(hand: Hand, secure: Spec) -> None:
    """And its digest goes on saying that a part of it isn't applied."""
    hand.elb.modify_target_group(
        TargetGroupArn=hand["target_group.web"], HealthCheckPath="/x", HealthCheckIntervalSeconds=25
    )
    ending = hand.world.sync(secure)
    assert (done(ending), left(ending)) == ({"target_group.web": "drift"}, {"target_group.web": "drift"})
    assert left(hand.world.sync(secure)) == {"target_group.web": "drift"}
    assert writes(hand) == []


def test_a_digest_isnt_written_while_a_part_of_its_entry_waits(hand: Hand, secure: Spec) -> None:
    """With --apply-changes: the interval is applied, the path waits, and stays the spec's doing."""
    changed = edited(secure, "target_groups/web/health_check", {"path": "/new", "interval_seconds": 20})
    ending = hand.world.sync(changed, apply_changes=True)
    assert done(ending) == {"target_group.web": "spec"}
    assert left(ending) == {"target_group.web": "spec"}
    for _ in range(2):
        assert left(hand.world.sync(changed)) == {"target_group.web": "spec"}
        assert writes(hand) == []


def test_what_is_ignored_holds_back_nothing_either(hand: Hand, secure: Spec) -> None:
    for act in (*GRAVE, check):
        act(hand)
    hand.wait(600)
    ending = hand.world.sync({**secure, "sync": {"ignore": ["target_group.web"]}})
    assert (done(ending), left(ending)) == (MENDED, {})
    assert not ending.selection.withheld


def test_a_stopped_instance_waits_and_its_group_is_taken_off(hand: Hand, secure: Spec) -> None:
    groups = [hand["security_group.web"], other_group(hand)]
    hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], Groups=groups)
    hand.ec2.stop_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(120)
    hand.elb.deregister_targets(
        TargetGroupArn=hand["target_group.web"], Targets=[{"Id": hand["instance.web-1"], "Port": 80}]
    )
    hand.wait(600)
    ending = hand.world.sync(secure)
    assert not ending.is_failed
    assert done(ending) == {"instance.web-1": "drift"}
    assert left(ending) == {"instance.web-1": "drift", "registration.web/web-1:80": "drift"}, (
        "AWS registers none that is stopped"
    )


def test_a_listener_that_asks_for_a_login_is_put_right_otherwise(hand: Hand, secure: Spec) -> None:
    """A login was added by hand, which `sync` never takes away, and the policy lowered."""
    login = {
        "Issuer": "https://i.example.com", "AuthorizationEndpoint": "https://i.example.com/a",
        "TokenEndpoint": "https://i.example.com/t", "UserInfoEndpoint": "https://i.example.com/u",
        "ClientId": "c", "ClientSecret": "s",
    }  # fmt: skip
    actions: Any = [
        {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": login},
        {"Type": "forward", "Order": 2, "TargetGroupArn": hand["target_group.web"]},
    ]
    hand.elb.modify_listener(ListenerArn=hand["listener.public/https"], SslPolicy=LOWERED, DefaultActions=actions)
    ending = hand.world.sync(secure)
    assert done(ending) == {"listener.public/https": "drift"}
    (step,) = ending.selection.left
    assert [change.path for change in step.changes] == ["default_action"]
    (listener,) = hand.elb.describe_listeners(ListenerArns=[hand["listener.public/https"]])["Listeners"]
    assert (listener["SslPolicy"], len(listener["DefaultActions"])) == (STRICT, 2)


def test_what_the_old_one_still_uses_stays(hand: Hand, secure: Spec) -> None:
    """A subnet leaves the spec, and its instances are to be replaced, which waits: it can't go before them."""
    spec = edited(secure, "instances/web/subnets", ["public-a"])
    spec["subnets"]["public-c"] = {"cidr_block": "10.0.9.0/24", "availability_zone": "c", "vpc": "main"}
    spec["load_balancers"]["public"]["subnets"].append("public-c")
    spec["route_tables"]["public"]["subnets"].append("public-c")
    spec["instances"]["web"]["subnets"] = ["public-c"]
    hand.make(spec, allow={"replace": 9, "delete": 9})
    spec["load_balancers"]["public"]["subnets"].remove("public-c")
    spec["route_tables"]["public"]["subnets"].remove("public-c")
    spec["instances"]["web"]["subnets"] = ["public-a"]
    del spec["subnets"]["public-c"]
    spec["sync"] = {"correct": ["delete"]}
    for _ in range(2):
        ending = hand.world.sync(spec, apply_changes=True)
        assert not ending.is_failed
        assert "subnet.public-c" in left(ending)


def test_the_port_of_a_listener_that_waits_stays_its_own(hand: Hand, secure: Spec) -> None:
    spec = edited(secure, "load_balancers/public/listeners/http/port", 8081)
    fixed = {"fixed_response": {"status_code": 200}}
    spec["load_balancers"]["public"]["listeners"]["second"] = {"protocol": "HTTP", "port": 80, "default_action": fixed}
    spec["sync"] = {"report": ["listener.public/http"]}
    ending = hand.world.sync(spec, apply_changes=True)
    assert not ending.is_failed
    assert {"listener.public/http", "listener.public/second"} <= left(ending).keys()


def test_nothing_is_made_for_a_replacement_that_waits(hand: Hand, secure: Spec) -> None:
    spec = edited(secure, "subnets/public-c", {"cidr_block": "10.0.9.0/24", "availability_zone": "c", "vpc": "main"})
    spec["instances"]["job"] = {**spec["instances"]["web"], "count": 1}
    hand.make(edited(spec, "subnets/public-c", None))
    spec["instances"]["job"] |= {"subnets": ["public-c"]}
    ending = hand.world.sync(spec, apply_changes=True)
    assert writes(hand) == []
    assert left(ending) == dict.fromkeys(("subnet.public-c", "instance.job-1"), "spec")
    assert ending.selection.withheld["create:subnet.public-c"] == "only instance.job-1 would use it, which isn't done"


@pytest.mark.parametrize("others", [None, check], ids=["alone", "beside a check"])
def test_a_name_is_led_back_beside_a_listener_that_waits(
    hand: Hand, secure: Spec, others: Callable[[Hand], None] | None
) -> None:
    """The listener's entry has changed, and isn't applied."""
    lead_away(hand)
    if others:
        others(hand)
    secure["load_balancers"]["public"]["listeners"]["https"]["ssl_policy"] = LOWERED
    assert done(hand.world.sync(secure)) == {"record.api": "drift"}


@pytest.mark.parametrize(
    ("path", "value", "waits"),
    [
        ("load_balancers/public/scheme", "internal", {"load_balancer.public": "spec"}),
        ("security_groups/web/description", "new", {"security_group.web": "spec"}),
        ("instances/web/user_data", "#!/bin/sh\n", {"instance.web-1": "spec", "instance.web-2": "spec"}),
    ],
)
def test_an_unapplied_replacement_holds_back_no_drift(
    hand: Hand, secure: Spec, path: str, value: str, waits: dict[str, str]
) -> None:
    for act in GRAVE:
        act(hand)
    for number in range(2):
        ending = hand.world.sync(edited(secure, path, value))
        assert not ending.is_failed
        assert left(ending) == waits
        assert done(ending) == ({} if number else MENDED)


def test_an_instance_that_is_made_again_is_registered_beside_a_check_that_waits(hand: Hand, secure: Spec) -> None:
    """And two reads have to show it."""
    check(hand)
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(600)
    ending = hand.world.sync({**secure, "sync": {"sightings": 2}})
    assert done(ending) == {"instance.web-1": "drift", "registration.web/web-1:80": "drift"}
    assert left(ending) == {"target_group.web": "drift"}


def test_no_target_is_drained_for_a_restart_that_waits(hand: Hand, secure: Spec) -> None:
    """Though draining is allowed."""
    secure["instances"]["web"] |= {
        "type_change": "in-place", "instance_type": "t3.small", "rollout": {"max_unavailable": 1},
    }  # fmt: skip
    secure["sync"] = {"correct": ["registration", "delete"], "report": ["replace"]}
    ending = hand.world.sync(secure, apply_changes=True)
    assert writes(hand) == []
    assert {"instance.web-1", "instance.web-2"} <= left(ending).keys()
