"""Laws 7 and 10: what waits because a version stands by is told, and a deployment is no drift (V9, V10, V11, V13)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.harness import demo
from tests.versions.service import Answer, version

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.versions.service import Service

WAITS = r"waits until \S*\d\d:\d\d"
SSH = {"protocol": "tcp", "port": 22, "cidr_block": "10.0.0.0/16"}


def _open(name: str, **rollout: str) -> Spec:
    """A version to which somebody may connect by SSH."""
    spec = version(name, **rollout)
    spec["security_groups"]["web"]["ingress"].append(SSH)
    return spec


def _is_open(service: Service) -> bool:
    groups = service.world.client("ec2").describe_security_groups()["SecurityGroups"]
    return any(rule.get("FromPort") == 22 for group in groups for rule in group["IpPermissions"])


def _stands_by(service: Service) -> None:
    service.deploy(_open("1"))
    service.deploy(_open("2"))
    assert _is_open(service)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V9: No changes, exit 0")
def test_plan_counts_what_waits_as_a_change(service: Service) -> None:
    """A port is closed in the file while a version stands by that may need it."""
    _stands_by(service)
    planned = service.run("plan", version("2"), "--detailed-exitcode")
    assert planned.code == 2, planned.text


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V9: No changes, and Converged, while the port stays open"
)
def test_apply_says_what_waits_and_until_when(service: Service) -> None:
    _stands_by(service)
    ended = service.apply(version("2"))
    assert ended.code == 0, ended.text
    assert "No changes" not in ended.text
    assert re.search(WAITS, ended.text), ended.text


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V9: a note says that it goes later, and nothing when")
def test_so_it_does_of_what_is_closed_together_with_a_version(service: Service) -> None:
    service.deploy(_open("1"))
    ended = service.apply(version("2"))
    assert ended.code == 0, ended.text
    assert re.search(WAITS, ended.text), ended.text


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V9: it is applied, exit 0, and refused when nothing stands by any more"
)
def test_a_door_that_is_closed_together_with_a_version_is_refused_at_once(service: Service) -> None:
    """As it is without a version, and not half an hour later."""
    service.deploy(version("1"))
    spec = version("2")
    spec["security_groups"]["load-balancer"]["ingress"] = [{"protocol": "tcp", "port": 8080, "cidr_block": "0.0.0.0/0"}]
    ended = service.apply(spec)
    assert ended.code == 4, ended.text
    assert "close=1" in ended.text


def test_sync_waits_for_it_and_then_asks_for_a_person(service: Service) -> None:
    """Nobody has applied the closed port, and it isn't drift."""
    _stands_by(service)
    assert service.sync(version("2")).code == 0
    service.let_pass(60)
    assert service.sync(version("2")).code == 2


def test_apply_does_what_waited_when_nothing_stands_by_any_more(service: Service) -> None:
    _stands_by(service)
    service.apply(version("2"))
    service.let_pass(60)
    ended = service.apply(version("2"))
    assert ended.code == 0, ended.text
    assert not _is_open(service)
    assert service.running == {"2": 2}


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V9: No changes, and the old version stays for its half hour"
)
def test_keep_0s_ends_what_stands_by_and_does_what_waited(service: Service) -> None:
    _stands_by(service)
    ended = service.apply(version("2", keep="0s"))
    assert ended.code == 0, ended.text
    assert service.running == {"2": 2}
    assert not _is_open(service)


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V10: all steps are done, but these changes remain: exit 1"
)
@pytest.mark.parametrize("seconds", [90, 120])
def test_a_deployment_ends_well_although_the_time_of_an_older_version_ends_in_it(
    service: Service, seconds: int
) -> None:
    """It takes a bit more than two minutes, and the requests had moved some time before the last one ended."""
    service.deploy(version("1", keep="10m"))
    service.deploy(version("2", keep="10m"))
    service.let_pass(10 - seconds / 60)
    ended = service.apply(version("3", keep="10m"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("3", 200)}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V10: the end of the old version's time fails the canary")
def test_a_canary_may_bake_for_longer_than_the_old_version_stands_by(service: Service) -> None:
    """Both are half an hour in the documentation."""
    assert service.apply_fleet(version("1"), bake="30m").code == 0
    ended = service.apply_fleet(version("2"), bake="30m")
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("2", 200)}


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V10: a remark of the plan fails the canary")
def test_a_remark_is_no_problem_of_a_canary(service: Service) -> None:
    """Such as that a value is the running one's, since the fleet's file gives none."""
    spec = _valued()
    service.apply(spec, "--set", "VERSION=1")
    ended = service.apply_fleet(spec, bake="10m")
    assert ended.code == 0, ended.text


def _stick(service: Service) -> None:
    """Somebody lets clients of the listener stick to a target group."""
    elb, arn = service.world.client("elbv2"), service.listener_arn()
    (found,) = elb.describe_listeners(ListenerArns=[arn])["Listeners"]
    config = {
        "TargetGroups": found["DefaultActions"][0]["ForwardConfig"]["TargetGroups"],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 600},
    }
    elb.modify_listener(ListenerArn=arn, DefaultActions=[{"Type": "forward", "ForwardConfig": config}])


def _is_sticky(service: Service) -> bool:
    (found,) = service.world.client("elbv2").describe_listeners(ListenerArns=[service.listener_arn()])["Listeners"]
    config = found["DefaultActions"][0]["ForwardConfig"].get("TargetGroupStickinessConfig", {})
    return bool(config.get("Enabled")) and int(config.get("DurationSeconds", 0)) > 1


def _let_in(service: Service) -> None:
    """Somebody opens a port."""
    ec2 = service.world.client("ec2")
    (found,) = [
        group for group in ec2.describe_security_groups()["SecurityGroups"] if group["GroupName"].startswith("demo-web")
    ]
    ec2.authorize_security_group_ingress(
        GroupId=found["GroupId"], IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V11: a refusal that is meant for specs ends plan, apply and sync, and the port stays open",
)
@pytest.mark.parametrize("command", ["plan", "apply", "sync"])
def test_stickiness_by_hand_is_drift_as_any_other(service: Service, command: str) -> None:
    """And keeps nobody from correcting another one, such as an open port."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    _stick(service)
    _let_in(service)
    service.let_pass(5)
    ended = service.run(command, version("2"), *["--yes"] * (command == "apply"))
    assert ended.code == 0, ended.text
    if command != "plan":
        assert not _is_open(service)
        assert not _is_sticky(service)


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="V11: these changes remain, the stickiness of the listener: exit 1"
)
def test_a_deployment_ends_well_with_stickiness_by_hand_on_a_target_group(service: Service) -> None:
    service.deploy(version("1"))
    (group,) = service.serving_groups
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}]
    service.world.client("elbv2").modify_target_group_attributes(TargetGroupArn=group, Attributes=sticky)
    ended = service.apply(version("2"))
    assert ended.code == 0, ended.text
    assert service.gets() == {Answer("2", 200)}


def _whole_life(service: Service) -> str:
    """All that is said of two deployments and the end of the first one."""
    said = [
        service.apply(version("1")).text,
        service.run("plan", version("2")).text,
        service.apply(version("2")).text,
        service.run("status", version("2")).text,
    ]
    service.let_pass(60)
    said += [service.run("plan", version("2")).text, service.sync(version("2")).text]
    return "\n".join([*said, service.run("history", version("2")).text])


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V13: sync and history say so of the new group, and of the end of the old version",
)
@pytest.mark.parametrize("word", ["(drift)", "duplicate"])
def test_nothing_of_a_deployment_is_called_what_nobody_asked_for(service: Service, word: str) -> None:
    said = _whole_life(service)
    assert not [line for line in said.splitlines() if word in line]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V13: it lists the listener and the old group there")
def test_the_page_of_all_stacks_calls_no_deployment_drift(service: Service) -> None:
    """Its time is over, and nobody has ended it yet."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    service.let_pass(60)
    told = service.run("report", version("2")).text
    assert "the account was changed" not in told


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="V13: the health is looked up by address, and is that of the group that was left",
)
@pytest.mark.parametrize(("ill", "word"), [("1", "2 unhealthy"), ("2", "2 healthy")], ids=["what serves", "the other"])
def test_the_page_of_all_stacks_tells_the_health_of_what_serves(service: Service, ill: str, word: str) -> None:
    """And not that of another version's targets at the same address."""
    service.deploy(version("1"))
    service.deploy(version("2"))
    service.roll_back(version("2"))
    service.fall_ill(ill)
    told = service.run("report", version("2")).text
    (row,) = [row for row in told.split("<tr>") if "<td>100%</td>" in row]
    assert f"<td>{word}</td>" in row


def _valued() -> Spec:
    """The demo with a version that the command line gives."""
    spec = demo()
    spec["instances"]["web"] |= {
        "user_data": "#!/bin/sh\nexec web-api\n",
        "user_data_values": {"VERSION": "${VERSION}"},
        "rollout": {"strategy": "blue_green"},
    }
    return spec


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="V13: --set VERSION=VALUE is printed")
def test_what_a_plan_prints_as_the_next_command_works_as_printed(service: Service) -> None:
    service.apply(_valued(), "--set", "VERSION=1")
    planned = service.run("plan", _valued(), "--set", "VERSION=2", "--out", str(service.folder / "plan.json"))
    (line,) = [line for line in planned.text.splitlines() if "--plan" in line]
    assert "=VALUE" not in line
