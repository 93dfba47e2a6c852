"""What waits for a person holds back nothing else: the rest is corrected at once, within a resource too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import by_hand, demo
from tests.kinds.hand import LINUX_1, Hand, edited
from tests.kinds.test_preconditions import issued
from tests.kinds.test_record import Names, plain, record
from tests.sync.acts import change_check
from tests.sync.rounds import go_round
from tests.sync.words import done, left, with_image, writes

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.journal.record import RunRecord
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


def check(hand: Hand) -> None:
    change_check(hand, "/x")


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


def protect(hand: Hand) -> None:
    """Against deletion, and let others in."""
    on: Any = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    on.append({"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "false"})
    hand.elb.modify_load_balancer_attributes(LoadBalancerArn=hand["load_balancer.public"], Attributes=on)
    made = hand.ec2.create_security_group(GroupName="other", Description="other", VpcId=hand["vpc.main"])["GroupId"]
    groups = [hand["security_group.load-balancer"], made]
    hand.elb.set_security_groups(LoadBalancerArn=hand["load_balancer.public"], SecurityGroups=groups)


def regroup(hand: Hand) -> None:
    made = hand.ec2.create_security_group(GroupName="more", Description="more", VpcId=hand["vpc.main"])["GroupId"]
    groups = [hand["security_group.web"], made]
    hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], Groups=groups)


def grow(hand: Hand) -> None:
    """A full disk, and another group for the instance."""
    (item,) = hand.ec2.describe_instances(InstanceIds=[hand["instance.web-1"]])["Reservations"][0]["Instances"]
    volume = item["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    hand.ec2.modify_volume(VolumeId=volume, Size=40)
    regroup(hand)
    hand.ec2.modify_instance_attribute(InstanceId=hand["instance.web-1"], SourceDestCheck={"Value": False})


GRAVE = (lower, open_rule, lead_away)
MENDED = {"listener.public/https": "drift", "rule.public/https/office": "drift", "record.api": "drift"}
WAITING = {
    "target_group.web": ("health_check.path: /x → /health",),
    "load_balancer.public": ("attributes.deletion_protection.enabled: true → false",),
    "instance.web-1": ("root_volume.volume_size: 40 → 20",),
}


def told(record: RunRecord) -> dict[str, tuple[str, ...]]:
    """What waits in a run's record, with its changes; each once."""
    steps = [step for step in record.withheld if not step.key.startswith("delete:")]
    assert len({step.address for step in steps}) == len(steps)
    return {step.address: step.changes for step in steps}


@pytest.mark.slow
def test_what_is_grave_is_corrected_beside_what_waits(hand: Hand, secure: Spec, tmp_path: Path) -> None:
    """The rest of a load balancer and of an instance of which a part waits as well."""
    for act in (*GRAVE, check, protect, grow):
        act(hand)
    hand.wait(600)
    texts: list[str] = []
    report, first = go_round(hand, secure, tmp_path, texts=texts)
    assert told(first) == WAITING
    mended = {*MENDED, "load_balancer.public", "instance.web-1"}
    assert {step.address for step in first.having(how="done")} == mended
    assert all(step.cause == "drift" for step in first.steps)
    assert (report.code, first.result) == (2, "left")
    assert "target_group.web" in texts[0]
    (listener,) = hand.elb.describe_listeners(ListenerArns=[hand["listener.public/https"]])["Listeners"]
    assert listener["SslPolicy"] == STRICT
    report, second = go_round(hand, secure, tmp_path, texts=texts)
    assert (report.code, told(second), second.having(how="done")) == (2, WAITING, ())
    assert set(writes(hand)) <= {"lookup_events"}
    assert {step.reason for step in first.withheld} == {step.reason for step in second.withheld}


@pytest.mark.slow
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


def test_what_is_ignored_holds_back_nothing_either(hand: Hand, secure: Spec) -> None:
    for act in (*GRAVE, check):
        act(hand)
    hand.wait(600)
    ending = hand.world.sync({**secure, "sync": {"ignore": ["target_group.web"]}})
    assert (done(ending), left(ending)) == (MENDED, {})
    assert not ending.selection.withheld


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


@pytest.mark.slow
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
