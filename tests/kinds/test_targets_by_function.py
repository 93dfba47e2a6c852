"""Target groups of type lambda: the function's permission, its registration, another function in its place."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.registration.functions import _permits, statement_id
from alb_reconcile.model.errors import SpecError
from tests.harness import by_hand, demo, load
from tests.kinds.hand import create, short
from tests.properties.watched import watched

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

GROUP = "target_group.orders"
ORDERS = "registration.orders/orders"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
PRINCIPAL = "elasticloadbalancing.amazonaws.com"


def make_function(name: str) -> str:
    """A function, and an alias `live` of its first version. Returns its ARN."""
    role = {"RoleName": "function", "AssumeRolePolicyDocument": "{}"}
    iam, functions = by_hand("iam"), by_hand("lambda")
    if not iam.list_roles()["Roles"]:
        iam.create_role(**role)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    arn = iam.get_role(RoleName="function")["Role"]["Arn"]
    functions.create_function(
        FunctionName=name, Runtime="python3.12", Role=arn, Handler="handler.handle", Code={"ZipFile": code.getvalue()}
    )
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    return f"{ARN}{name}"


def statements(name: str = "orders") -> list[str]:
    """The ids of the statements of a function's policy."""
    functions = by_hand("lambda")
    try:
        return [item["Sid"] for item in json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]]
    except functions.exceptions.ResourceNotFoundException:
        return []


def permit(name: str, source: str, sid: str = "theirs") -> None:
    by_hand("lambda").add_permission(
        FunctionName=name, StatementId=sid, Action="lambda:InvokeFunction", Principal=PRINCIPAL, SourceArn=source
    )


def with_function(target: str = f"{ARN}orders", **group: Any) -> Spec:
    """The demo, with a rule that forwards to a function."""
    spec = demo()
    spec["target_groups"]["orders"] = {"target_type": "lambda", "targets": [target], **group}
    rule = {"priority": 10, "conditions": [{"path_pattern": "/orders"}], "action": {"forward": "orders"}}
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"orders": rule}
    return spec


@pytest.mark.parametrize("function", [f"{ARN}invoices", f"{ARN}orders:old", f"{ARN}orders:7"])
def test_a_function_that_isnt_there_is_told_before_anything_is_made(hand: Hand, function: str) -> None:
    make_function("orders")
    told = rf"^spec\.yaml:\d+:\d+: target_groups\.orders\.targets: there is no function {function}; correct the ARN"
    hand.refuses_run(with_function(function), told)


@pytest.mark.slow
def test_a_function_is_permitted_then_registered_and_at_the_end_neither(hand: Hand) -> None:
    make_function("orders")
    hand.make(with_function())
    assert statements() == [statement_id(hand[GROUP])]
    found = hand.elb.describe_target_health(TargetGroupArn=hand[GROUP])["TargetHealthDescriptions"]
    assert [(item["Target"]["Id"], item["TargetHealth"]["State"]) for item in found] == [
        (f"{ARN}orders", "unavailable")
    ]
    hand.make(demo(), allow={"close": 1})
    assert statements() == []
    hand.world.plan(demo())
    assert "get_policy" not in [name for name, _ in hand.world.log], "stacks without functions read none"
    hand.make(with_function())
    result = hand.world.destroy(with_function())
    assert not [step.pause for step in result.plan.steps if step.pause[0]]
    assert statements() == []


def test_a_permission_that_was_taken_away_is_given_again(hand: Hand) -> None:
    make_function("orders")
    hand.make(with_function())
    by_hand("lambda").remove_permission(FunctionName="orders", StatementId=statement_id(hand[GROUP]))
    hand.repairs(create(ORDERS), by=("add_permission", "register_targets"))
    assert statements() == [statement_id(hand[GROUP])]


def test_somebody_else_s_permission_is_enough_and_stays(hand: Hand) -> None:
    make_function("orders")
    permit("orders", GROUP_ARN, "another")
    hand.make(with_function())
    assert set(statements()) == {"another", statement_id(hand[GROUP])}
    permit("orders", hand[GROUP].rpartition("/")[0] + "/*")
    by_hand("lambda").remove_permission(FunctionName="orders", StatementId=statement_id(hand[GROUP]))
    assert hand.world.plan(with_function()).is_empty
    hand.world.destroy(with_function())
    assert set(statements()) == {"another", "theirs"}


def test_a_permission_that_has_not_arrived_is_waited_for(hand: Hand, faults: Faults) -> None:
    make_function("orders")
    faults.refuse(
        "register_targets", "AccessDenied", "elasticloadbalancing principal does not have permission to invoke", times=2
    )
    hand.make(with_function())


def test_a_lost_reply_of_the_permission_is_no_second_one(hand: Hand, faults: Faults) -> None:
    make_function("orders")
    hand.make(demo())
    faults.lose_reply("add_permission")
    assert any("AddPermission" in text for text in hand.world.apply(with_function()).failures)
    hand.make(with_function())
    assert len(statements()) == 1


@pytest.mark.slow
def test_another_function_takes_over_in_a_group_of_its_own_without_a_gap() -> None:
    with watched() as world:
        make_function("orders")
        make_function("better")
        world.converge(with_function())
        new = with_function(f"{ARN}better")
        lines = short(world.plan(new))
        assert ("replace", GROUP, ()) in lines
        world.watch()
        world.converge(new)
        assert world.lows[GROUP].healthy == 1
        assert statements("orders") == []
        assert len(statements("better")) == 1


@pytest.mark.parametrize(
    ("group", "match"),
    [
        ({"port": 80}, "port: is the number 80; give it only with target_type: instance or ip"),
        ({"vpc": "main"}, "vpc: is the text"),
        ({"targets": ["web"]}, "can't be a target of type lambda; give it one function's ARN"),
        ({"targets": [f"{ARN}a", f"{ARN}b"]}, "has 2 entries; give it at most 1"),
        ({"targets": [f"{ARN}a:$LATEST"]}, "names \\$LATEST, for which Lambda takes no permission"),
        ({"targets": [ARN.replace("us-east-1", "eu-west-1") + "a"]}, "a function must be in the load balancer's"),
        ({"health_check": {"port": 80}}, "health_check.port: is the number 80"),
        ({"attributes": {"slow_start.duration_seconds": 30}}, "can't be a key here"),
    ],
)
def test_what_aws_would_refuse_is_told_with_its_place(group: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError, match=match):
        load(with_function(**group))


GROUP_ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/demo-orders/0123456789abcdef"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"Service": ["s3.amazonaws.com", PRINCIPAL]}}, True),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, False),
        ({"Principal": "*"}, True),
        ({"Action": "lambda:*"}, True),
        ({"Action": "lambda:GetFunction"}, False),
        ({"Condition": {}}, True),
        ({"Condition": {"ArnLike": {"AWS:SourceArn": f"{GROUP_ARN.rpartition('/')[0]}/*"}}}, True),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": GROUP_ARN.replace("orders", "other")}}}, False),
        ({"Condition": {"StringEquals": {"AWS:SourceAccount": "123456789012"}}}, True),
        ({"Condition": {"StringNotEquals": {"AWS:SourceAccount": "123456789012"}}}, False),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
    ],
)
def test_which_statements_permit_a_group(change: dict[str, Any], expected: bool) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": PRINCIPAL},
        "Action": "lambda:InvokeFunction",
        "Condition": {"ArnLike": {"AWS:SourceArn": GROUP_ARN}},
    }
    assert _permits({**statement, **change}, GROUP_ARN) is expected
