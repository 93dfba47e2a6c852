"""What happens between a call and its reply, or between plan and apply: nothing is made twice, and nothing of others is taken over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.adoption.adopting import Keeper
from tests.harness import Spec, demo
from tests.kinds.hand import edited
from tests.kinds.test_persistent_volumes import kept
from tests.kinds.test_rule import ruled, stray
from tests.kinds.test_security_group import ALONE as GROUP
from tests.kinds.test_subnet import ALONE as SUBNET
from tests.kinds.test_vpc_endpoint import SPEC as ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kinds.hand import Faults, Hand

LOST = ("create_volume", "attach_volume")
"""Of each kind's own calls: test_every_kind.py."""


@pytest.mark.parametrize("lag", [0.0, 20.0])
@pytest.mark.parametrize("operation", LOST)
def test_the_next_run_makes_no_second_one(hand: Hand, faults: Faults, operation: str, lag: float) -> None:
    spec = kept()
    hand.world.strict.lag = lag
    faults.lose_reply(operation)
    hand.world.apply(spec)
    hand.wait(lag)
    again = hand.make(spec)
    assert not [name for name in again.writes if name.startswith(("delete", "release"))], (
        "no second one was made, and deleted"
    )
    hand.wait(60)
    assert hand.world.plan(spec).is_empty


@pytest.mark.parametrize(
    ("service", "operation", "spec"),
    [("ec2", "create_subnet", SUBNET), ("ec2", "create_security_group", GROUP), ("elbv2", "create_rule", ruled())],
)
def test_a_call_that_is_repeated_finds_its_own(
    hand: Hand, faults: Faults, service: str, operation: str, spec: Spec
) -> None:
    faults.repeat(service, operation)
    made = hand.make(spec)
    assert not made.failures
    hand.wait(60)
    assert hand.world.plan(spec).is_empty


ANSWER = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
Come = Callable[["Hand", "Mapping[str, Any]"], object]


class Case(NamedTuple):
    """Before which call of a run to the spec somebody comes, and what the run says then."""

    operation: str
    spec: Spec
    come: Come
    told: str = "outside this stack"


def balancer(scheme: str) -> Case:
    def come(hand: Hand, params: Mapping[str, Any]) -> None:
        same = {key: params[key] for key in ("Subnets", "SecurityGroups")}
        hand.elb.create_load_balancer(Name="theirs", Scheme=scheme, **same)

    return Case("create_load_balancer", edited(demo(), "load_balancers/public/name", "theirs"), come)


def target_group(port: int) -> Case:
    def come(hand: Hand, params: Mapping[str, Any]) -> None:
        same = {"VpcId": params["VpcId"], "TargetType": "instance"}
        hand.elb.create_target_group(Name="theirs", Protocol="HTTP", Port=port, **same)

    entry = {"protocol": "HTTP", "port": 80, "name": "theirs"}
    return Case("create_target_group", edited(edited(demo(), "load_balancers", None), "target_groups/web", entry), come)


def security_group(name: str) -> Case:
    def come(hand: Hand, params: Mapping[str, Any]) -> None:
        hand.ec2.create_security_group(GroupName=name, Description="x", VpcId=params["VpcId"])

    return Case("create_security_group", edited(GROUP, "security_groups/web/name", "theirs"), come)


def listener(told: str = "adopt", **other: Any) -> Case:
    def come(hand: Hand, params: Mapping[str, Any]) -> None:
        hand.elb.create_listener(**{key: value for key, value in params.items() if key != "Tags"} | other)

    return Case("create_listener", demo(), come, told)


def endpoint(hand: Hand, params: Mapping[str, Any]) -> None:
    hand.ec2.create_vpc_endpoint(**{key: params[key] for key in ("VpcId", "ServiceName", "RouteTableIds")})


CASES = {
    "load_balancer": balancer("internet-facing"),
    "load_balancer of another scheme": balancer("internal"),
    "target_group": target_group(80),
    "target_group at another port": target_group(9999),
    "security_group": security_group("theirs"),
    "security_group in capitals": security_group("THEIRS"),
    "listener": listener(),
    "listener with another action": listener("already exists on this port", DefaultActions=[ANSWER]),
    "rule": Case("create_rule", ruled(), lambda hand, _: stray(hand, 20), "priority 20 was taken meanwhile"),
    "subnet": Case(
        "create_subnet", SUBNET, lambda hand, params: hand.ec2.create_subnet(VpcId=params["VpcId"], CidrBlock="10.0.1.0/25"),
        "outside this stack; choose a free range",
    ),
    "vpc_endpoint": Case("create_vpc_endpoint", ENDPOINT, endpoint, "for com.amazonaws.us-east-1.s3 outside this stack"),
}  # fmt: skip


def census(hand: Hand) -> dict[str, Any]:
    """What there is, but for whether it is in use already."""
    return {
        name: {key: value for key, value in item.items() if key not in ("State", "NetworkInterfaceIds")}
        for name, item in hand.world.strict.inventory().items()
    }


@pytest.mark.parametrize("case", CASES)
def test_a_stranger_who_comes_meanwhile_is_never_adopted(hand: Hand, faults: Faults, case: str) -> None:
    operation, spec, come, told = CASES[case]
    theirs: dict[str, Any] = {}

    def meanwhile(params: Mapping[str, Any]) -> None:
        there = census(hand).keys()
        come(hand, params)
        theirs.update({name: item for name, item in census(hand).items() if name not in there})

    if case == "rule":  # one after the other, else it would come before the first
        hand.make(edited(spec, "load_balancers/public/listeners/http/rules/b", None))
    faults.before(operation, meanwhile)
    (failure,) = [item for item in hand.world.apply(spec).outcomes if item.how == "failed"]
    assert told in str(failure.error)
    assert theirs
    assert theirs.items() <= census(hand).items()


def test_a_listener_in_the_way_is_to_be_adopted(hand: Hand) -> None:
    """To delete it first would leave the port unanswered meanwhile, and take others' rules along."""
    hand.make(demo())
    hand.elb.delete_listener(ListenerArn=hand["listener.public/http"])
    arn, port = hand["load_balancer.public"], {"Protocol": "HTTP", "Port": 80}
    hand.elb.create_listener(LoadBalancerArn=arn, **port, DefaultActions=[ANSWER])
    hand.refuses(demo(), r"alb-reconcile adopt spec\.yaml listener\.public/http=arn:")
    Keeper(hand.world).adopt(demo())
    assert "delete_listener" not in hand.make(demo()).writes
