"""`adopt --write`: where a spec says otherwise than what runs, it is the spec that is changed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.export.write_back import unwritten
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, our_tags
from tests.harness import world
from tests.plan.targets import rule
from tests.plan.test_cases import plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import World

SPEC = """\
# ours
stack: alb
region: us-east-1

vpcs:
  vpc: {cidr_block: 10.10.0.0/16, enable_dns_hostnames: false} # why not

subnets:
  subnet-1: {cidr_block: 10.10.0.0/24, availability_zone: a, map_public_ip_on_launch: true}
  subnet-2: {cidr_block: 10.10.1.0/24, availability_zone: b, map_public_ip_on_launch: true}

internet_gateways:
  internet-gateway: {}

route_tables:
  route-table:
    subnets: [subnet-1] # and the other one?
    routes:
      - {destination_cidr_block: 0.0.0.0/0, internet_gateway: internet-gateway}

security_groups:
  security-group:
    ingress: # the whole world
      - {protocol: tcp, port: 443, cidr_block: 0.0.0.0/0}

instances:
  instance:
    count: 2
    image_id: ami-0123456789abcdef0
    instance_type: t3.micro # small
    subnets: [subnet-1, subnet-2]
    security_groups: [security-group]

target_groups:
  target-group:
    protocol: HTTP
    port: 80
    targets: [{instances: instance, port: 8080}]
    health_check: {interval_seconds: 10}

load_balancers:
  alb:
    subnets: [subnet-1, subnet-2]
    security_groups: [security-group]
    attributes: {idle_timeout.timeout_seconds: 90}
    listeners:
      http:
        protocol: HTTP
        port: 80
        default_action: {forward: target-group}
"""


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    with world() as found:
        build_runbook(found, RUNBOOK_NAMES)
        yield found


@pytest.mark.slow
def test_what_differs_is_taken_over_with_the_comments_kept(
    account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adopt", "spec.yaml", "--write"]) == 4
    assert (tmp_path / "spec.yaml").read_text(encoding="utf-8") == SPEC, "nobody has said yes"
    assert not our_tags(account)
    shown = capsys.readouterr().out
    assert "After that, apply has nothing to do." in shown
    assert "-    instance_type: t3.micro # small\n" in shown
    assert "+    instance_type: t2.micro # small\n" in shown
    assert main(["adopt", "spec.yaml", "--write", "--yes"]) == 0
    text = (tmp_path / "spec.yaml").read_text(encoding="utf-8")
    for said in (
        "enable_dns_hostnames: true} # why not",
        "subnets: [subnet-1, subnet-2] # and the other one?",
        "ingress: # the whole world\n      - {protocol: tcp, port: 22, cidr_block: 0.0.0.0/0}\n",
        "targets: [instance]",
        "health_check: {interval_seconds: 30}",
        "targets: [instance]\n    health_check",
        "attributes: {idle_timeout.timeout_seconds: 60}",
    ):
        assert said in text
    capsys.readouterr()
    assert main(["plan", "spec.yaml", "--detailed-exitcode"]) == 0
    number = (tmp_path / "spec.yaml").stat().st_ino
    assert main(["adopt", "spec.yaml", "--write", "--yes"]) == 0
    assert "There is nothing to adopt." in capsys.readouterr().out
    assert (tmp_path / "spec.yaml").stat().st_ino == number, "it isn't written again"


@pytest.mark.slow
def test_a_change_by_hand_that_is_taken_over_is_to_be_applied_once(
    account: World, capsys: pytest.CaptureFixture[str]
) -> None:
    vpc = account.client("ec2").describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["alb-vpc"]}])["Vpcs"][0]["VpcId"]
    assert main(["export", "--vpc", vpc, "-o", "old.yaml"]) == 0
    assert main(["adopt", "old.yaml", "--yes"]) == 0
    elb = account.client("elbv2")
    (group,) = elb.describe_target_groups()["TargetGroups"]
    elb.modify_target_group(TargetGroupArn=group["TargetGroupArn"], HealthCheckPath="/health")
    capsys.readouterr()
    assert main(["adopt", "old.yaml", "--write", "--yes"]) == 0
    told = "The next apply only writes tags, which say that the spec is applied: run it once."
    assert told in capsys.readouterr().out
    assert main(["apply", "old.yaml", "--yes", "--no-wait"]) == 0
    assert main(["plan", "old.yaml"]) == 0
    assert "the stack's tags don't say yet" not in capsys.readouterr().err
    assert main(["adopt", "old.yaml", "--write", "--yes"]) == 0
    assert "The next apply has nothing to do." in capsys.readouterr().out


def test_the_order_of_rules_is_no_secret() -> None:
    """Which stays a difference: it is of several entries."""
    rules = "load_balancers/public/listeners/http/rules"
    plan = plan_of({"have": {rules: {"a": rule(10, "/a", "web")}}, "want": {rules: {"a": rule(20, "/a", "web")}}})
    assert [(step.sets_order, unwritten(plan, step)) for step in plan.steps] == [(True, [])]
