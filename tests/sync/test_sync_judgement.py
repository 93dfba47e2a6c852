"""An outage is one, whatever it came by and whatever the spec says meanwhile, and all commands say it in the same words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.serving import not_ready
from alb_reconcile.api.status import look
from alb_reconcile.cli.pictures.report import Subject, report_page
from alb_reconcile.engine.stack import plan_stack
from alb_reconcile.journal.notify import State, judge
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.sync.stack import MADE_AS_NOW, MISSING
from tests.harness import load
from tests.kinds.hand import edited
from tests.sync.rounds import go_round

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.harness import Spec
    from tests.kinds.hand import Hand


@dataclass(frozen=True)
class Loss:
    """What somebody does by hand, a change of the same entry, and what nobody gets any more, in words."""

    do: Callable[[Hand], Any]
    path: str
    value: Any
    nobody: str = ""


def terminate(*names: str) -> Callable[[Hand], None]:
    def do(hand: Hand) -> None:
        hand.ec2.terminate_instances(InstanceIds=[hand[f"instance.{name}"] for name in names])
        hand.wait(600)

    return do


def delete_balancer(hand: Hand) -> None:
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    hand.wait(600)


def delete_listener(hand: Hand) -> None:
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    hand.wait(120)


def deregister(hand: Hand) -> None:
    targets = [{"Id": hand[f"instance.{name}"], "Port": 80} for name in ("web-1", "web-2")]
    hand.elb.deregister_targets(TargetGroupArn=hand["target_group.web"], Targets=targets)
    hand.wait(600)


def follow_the_rules(hand: Hand) -> None:
    """Targets are unhealthy from now on, and until a rule lets the checks in again."""
    group, names = hand["target_group.web"], [hand["instance.web-1"], hand["instance.web-2"]]
    real = hand.world._call
    for name in names:
        hand.world.strict.set_target_unhealthy(group, name)

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = real(service, operation, params)
        if operation == "authorize_security_group_ingress":
            for name in names:
                hand.world.strict.set_target_healthy(group, name)
        return answer

    hand.world._call = call  # type: ignore[method-assign]


def revoke(group: str) -> Callable[[Hand], None]:
    def do(hand: Hand) -> None:
        (found,) = hand.ec2.describe_security_groups(GroupIds=[hand[f"security_group.{group}"]])["SecurityGroups"]
        hand.ec2.revoke_security_group_ingress(GroupId=found["GroupId"], IpPermissions=found["IpPermissions"])
        if group == "web":  # which the emulator doesn't see in process
            follow_the_rules(hand)
        hand.wait(300)

    return do


def delete_table(hand: Hand) -> None:
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand["route_table.public"]])["RouteTables"]
    for item in table["Associations"]:
        hand.ec2.disassociate_route_table(AssociationId=item["RouteTableAssociationId"])
    hand.ec2.delete_route_table(RouteTableId=hand["route_table.public"])


LISTENERS = "load_balancers/public/listeners/http"
SHUT = "no security group of instance.web-1, instance.web-2 lets load_balancer.public in on port 80"
LOSSES = {
    "both instances": Loss(
        terminate("web-1", "web-2"), "instances/web/user_data", "#!/bin/sh\nexec web-api --new\n",
        "target_group.web has no targets, so it serves nobody",
    ),
    "both targets": Loss(deregister, "target_groups/web/min_healthy", 1, "target_group.web has no targets, so it serves nobody"),
    "the load balancer": Loss(
        delete_balancer, "load_balancers/public/attributes", {"idle_timeout.timeout_seconds": 90},
        "load_balancer.public is missing, so it serves nobody",
    ),
    "the listener": Loss(
        delete_listener, f"{LISTENERS}/default_action", {"forward": {"target_groups": [{"target_group": "web", "weight": 5}]}},
        "load_balancer.public has no listener, so it serves nobody",
    ),
    "clients' way in": Loss(
        revoke("load-balancer"), "security_groups/load-balancer/tags", {"team": "web"},
        "no security group of load_balancer.public lets clients in on port 80, so it serves nobody",
    ),
    "the checks' way in": Loss(
        revoke("web"), "security_groups/web/tags", {"team": "web"}, f"no target of target_group.web is healthy (unhealthy): {SHUT}"
    ),
    "the way back": Loss(
        delete_table, "route_tables/public/tags", {"team": "web"},
        "no subnet of load_balancer.public has a route to an internet gateway, so it serves nobody",
    ),
}  # fmt: skip
ROW = pytest.mark.parametrize("name", LOSSES)
PENDING = pytest.mark.parametrize("is_pending", [False, True], ids=["as applied", "with a pending change"])


def told_by_status(hand: Hand, spec: Spec) -> list[str]:
    found: Any = hand.world._run(lambda aws: look(aws, load(spec).target()))
    return not_ready(*found)


def health_in_report(hand: Hand, spec: Spec) -> str:
    planned = hand.world._run(lambda aws: plan_stack(aws, load(spec).target()))
    page = report_page("here", [Subject("demo", "spec.yaml", planned=planned)], "now")
    (cell,) = re.findall(r"<td class=\w+>(not in order|in order|no targets|nothing is there)</td>", page)
    return str(cell)


@PENDING
@ROW
def test_all_say_that_nobody_is_served(hand: Hand, spec: Spec, tmp_path: Path, name: str, *, is_pending: bool) -> None:
    loss = LOSSES[name]
    spec = {**spec, "sync": {"report": ["create", "update", "replace", "delete"]}}  # a round that mends nothing
    hand.make(spec)
    loss.do(hand)
    wanted = edited(spec, loss.path, loss.value) if is_pending else spec
    assert told_by_status(hand, wanted)[0] == loss.nobody
    assert health_in_report(hand, wanted) == "not in order"
    assert loss.nobody in hand.world.plan(wanted).warnings
    texts: list[str] = []
    report, record = go_round(hand, wanted, tmp_path, texts=texts)
    assert (report.code, record.result) == (ExitCode.FAILED, "failed")
    assert record.not_ready[0] == loss.nobody
    assert judge(State("in_sync"), record)[1] == "failing"
    assert texts == [f"demo (us-east-1): failing: {loss.nobody}"]
    metrics = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    assert 'result="failed",stack="demo"} 1.0' in metrics


@PENDING
@ROW
def test_a_round_that_may_mends_it_and_is_no_failure(
    hand: Hand, spec: Spec, tmp_path: Path, name: str, *, is_pending: bool
) -> None:
    loss = LOSSES[name]
    loss.do(hand)
    wanted = edited(spec, loss.path, loss.value) if is_pending else spec
    report, record = go_round(hand, wanted, tmp_path)
    if is_pending and name.endswith("way in"):  # what is there, and differs, may be what the spec says anew
        assert (report.code, record.result, record.not_ready[0]) == (ExitCode.FAILED, "failed", loss.nobody)
        return
    assert record.result in (("corrected",) if not is_pending else ("corrected", "left")), record
    assert report.code in (ExitCode.OK, ExitCode.CHANGES)
    assert record.having(how="done", cause="drift")
    assert any(f"when this round began: {loss.nobody}" in line for lines in report.notes.values() for line in lines)
    assert not [line for line in told_by_status(hand, wanted) if "nobody" in line or "no target" in line]


@pytest.mark.parametrize("name", ["both instances", "the load balancer", "the listener"])
def test_what_is_made_by_an_unapplied_spec_says_so(hand: Hand, spec: Spec, tmp_path: Path, name: str) -> None:
    loss = LOSSES[name]
    loss.do(hand)
    _, record = go_round(hand, edited(spec, loss.path, loss.value), tmp_path)
    assert any(MADE_AS_NOW in line for line in record.remarks), record.remarks


def test_where_another_serves_it_is_told_and_waits_for_apply(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    """Cron starts no version that nobody has applied."""
    terminate("web-1")(hand)
    wanted = edited(spec, "instances/web/instance_type", "t3.small")
    _, record = go_round(hand, wanted, tmp_path)
    assert record.result == "left"
    (lost,) = [step for step in record.withheld if step.address == "instance.web-1"]
    assert (lost.action, lost.cause, lost.reason) == ("create", "drift", MISSING)
    assert judge(State("in_sync"), record)[1] == "drift_detected"
    assert not record.having(how="done")


def test_what_is_new_in_the_spec_isnt_missing(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    wanted = edited(spec, "load_balancers/second", {**spec["load_balancers"]["public"], "listeners": {}})
    _, record = go_round(hand, wanted, tmp_path)
    assert (record.result, record.not_ready) == ("left", ())
    assert {step.cause for step in record.withheld} == {"spec"}
    assert health_in_report(hand, wanted) == "in order"
    assert not [line for line in told_by_status(hand, wanted) if "missing" in line]
