"""An outage is one, whatever it came by and whatever the spec says meanwhile, and all commands say it in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.journal.notify import State, judge
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.sync.stack import MADE_AS_NOW
from tests.kinds.hand import calls, edited
from tests.sync import acts
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


def terminate(*names: str) -> Callable[[Hand], None]:
    return lambda hand: acts.terminate(hand, *names)


def revoke(group: str) -> Callable[[Hand], None]:
    def do(hand: Hand) -> None:
        acts.revoke(hand, group)
        if group == "web":  # which the emulator doesn't see in process
            follow_the_rules(hand)
        hand.wait(300)

    return do


def lead_elsewhere(hand: Hand) -> None:
    peer = hand.ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    made = hand.ec2.create_vpc_peering_connection(VpcId=hand["vpc.main"], PeerVpcId=peer)
    hand.ec2.replace_route(
        RouteTableId=hand["route_table.public"], DestinationCidrBlock=acts.DEFAULT,
        VpcPeeringConnectionId=made["VpcPeeringConnection"]["VpcPeeringConnectionId"],
    )  # fmt: skip


LISTENERS = "load_balancers/public/listeners/http"
CUT = "no subnet of load_balancer.public has a route to an internet gateway, so it serves nobody"
SHUT = "no security group of instance.web-1, instance.web-2 lets load_balancer.public in on port 80"
LOSSES = {
    "both instances": Loss(
        terminate("web-1", "web-2"), "instances/web/user_data", "#!/bin/sh\nexec web-api --new\n",
        "target_group.web has no targets, so it serves nobody",
    ),
    "both targets": Loss(acts.deregister, "target_groups/web/min_healthy", 1, "target_group.web has no targets, so it serves nobody"),
    "the load balancer": Loss(
        acts.delete_balancer, "load_balancers/public/attributes", {"idle_timeout.timeout_seconds": 90},
        "load_balancer.public is missing, so it serves nobody",
    ),
    "the listener": Loss(
        acts.delete_listener, f"{LISTENERS}/default_action", {"forward": {"target_groups": [{"target_group": "web", "weight": 5}]}},
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
        acts.delete_table, "route_tables/public/tags", {"team": "web"},
        CUT,
    ),
}  # fmt: skip
ROW = pytest.mark.parametrize("name", LOSSES)
PENDING = pytest.mark.parametrize("is_pending", [False, True], ids=["as applied", "with a pending change"])


@PENDING
@ROW
def test_all_say_that_nobody_is_served(hand: Hand, spec: Spec, tmp_path: Path, name: str, *, is_pending: bool) -> None:
    loss = LOSSES[name]
    spec = {**spec, "sync": {"report": ["create", "update", "replace", "delete"]}}  # a round that mends nothing
    hand.make(spec)
    loss.do(hand)
    wanted = edited(spec, loss.path, loss.value) if is_pending else spec
    assert acts.told_by_status(hand, wanted)[0] == loss.nobody
    assert loss.nobody in hand.world.plan(wanted).warnings
    texts: list[str] = []
    report, record = go_round(hand, wanted, tmp_path, texts=texts)
    assert (report.code, record.result) == (ExitCode.FAILED, "failed")
    assert record.not_ready[0] == loss.nobody
    assert judge(State("in_sync"), record)[1] == "failing"
    assert texts == [f"demo (us-east-1): failing: {loss.nobody}"]


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
    assert not [line for line in acts.told_by_status(hand, wanted) if "nobody" in line or "no target" in line]


@pytest.mark.parametrize("cut", [acts.delete_route, acts.disassociate, lead_elsewhere])
def test_each_way_to_cut_the_answers_off_is_told_and_mended(
    hand: Hand, spec: Spec, cut: Callable[[Hand], None]
) -> None:
    cut(hand)
    assert acts.told_by_status(hand, spec)[0] == CUT
    ending = hand.world.sync(spec)
    assert (list(ending.remarks.values()), ending.problems) == ([f"when this round began: {CUT}"], ())
    assert acts.told_by_status(hand, spec) == []


def test_who_has_another_way_out_is_served(hand: Hand, spec: Spec) -> None:
    """One subnet of two, a narrower route, and then the VPC's main route table."""
    assert acts.told_by_status(hand, spec) == []
    assert len(calls(hand.world, "describe_route_tables")) == 1, "a healthy stack costs no further call"
    acts.disassociate(hand, most=1)
    (line,) = acts.told_by_status(hand, spec)
    assert line.endswith(
        " of load_balancer.public has no route to an internet gateway, so clients get no answer from it"
    )
    table, gateway = hand["route_table.public"], hand["internet_gateway.main"]
    hand.ec2.create_route(RouteTableId=table, DestinationCidrBlock="203.0.113.0/24", GatewayId=gateway)
    acts.delete_route(hand)
    assert acts.told_by_status(hand, spec) == [line]
    acts.disassociate(hand)
    assert acts.told_by_status(hand, spec) == [CUT]
    (main,) = hand.ec2.describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [hand["vpc.main"]]}, {"Name": "association.main", "Values": ["true"]}]
    )["RouteTables"]
    hand.ec2.create_route(RouteTableId=main["RouteTableId"], DestinationCidrBlock=acts.DEFAULT, GatewayId=gateway)
    assert acts.told_by_status(hand, spec) == []


@pytest.mark.parametrize("name", ["both instances", "the load balancer", "the listener"])
def test_what_is_made_by_an_unapplied_spec_says_so(hand: Hand, spec: Spec, tmp_path: Path, name: str) -> None:
    loss = LOSSES[name]
    loss.do(hand)
    _, record = go_round(hand, edited(spec, loss.path, loss.value), tmp_path)
    assert any(MADE_AS_NOW in line for line in record.remarks), record.remarks


def test_what_is_new_in_the_spec_isnt_missing(hand: Hand, spec: Spec, tmp_path: Path) -> None:
    wanted = edited(spec, "load_balancers/second", {**spec["load_balancers"]["public"], "listeners": {}})
    _, record = go_round(hand, wanted, tmp_path)
    assert (record.result, record.not_ready) == ("left", ())
    assert {step.cause for step in record.withheld} == {"spec"}
    assert not [line for line in acts.told_by_status(hand, wanted) if "missing" in line]
