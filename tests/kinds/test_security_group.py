"""Security groups: names, replacement, references."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, demo
from tests.kinds.example import Example
from tests.kinds.hand import edited, order, replaced, update

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

WEB = "security_group.web"
ALONE: Spec = {
    "stack": "demo",
    "region": "us-east-1",
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
    "security_groups": {"web": {"description": "alone"}},
}
EXAMPLE = Example(spec=ALONE, address=WEB)


def test_a_group_in_use_is_replaced_before_the_old_one_goes(hand: Hand) -> None:
    hand.make(demo())
    hand.repairs(
        *replaced(WEB, "description"),
        replaced("security_group_rules.web", "security_group")[0],  # the old ones go with their group
        *(update(f"instance.web-{number}", "security_groups") for number in (1, 1, 2, 2)),  # both groups, then the new one
        spec=edited(demo(), "security_groups/web/description", "other"),
        by=("create_security_group", "authorize_security_group_ingress", "modify_instance_attribute", "delete_security_group"),
    )  # fmt: skip
    names = (
        "create_security_group",
        "authorize_security_group_ingress",
        "modify_instance_attribute",
        "delete_security_group",
    )
    assert order(hand.world, *names) == [names[0], names[1], *[names[2]] * 4, names[3]]


def test_a_group_that_another_names_is_replaced_and_the_other_follows_it(hand: Hand) -> None:
    hand.make(demo())
    hand.make(edited(demo(), "security_groups/load-balancer/description", "other"))
    names = order(hand.world, "set_security_groups", "delete_security_group", "terminate_instances")
    assert names == ["set_security_groups", "set_security_groups", "delete_security_group"]


@pytest.mark.parametrize(("change", "way"), [("replaced", "left out"), ("removed", "left out"), ("replaced", "kept")])
def test_a_group_that_an_unmanaged_rule_names_stays_and_nothing_changes(hand: Hand, change: str, way: str) -> None:
    """Found: its deletion failed when all else was done, and every run after that. A kept rule goes with a group that is removed."""
    before = demo()
    hand.world.converge(before)
    after = edited(before, "security_groups/web/ingress", None if way == "left out" else [])
    if way == "kept":
        after["security_groups"]["web"]["others"] = "keep"
    if change == "replaced":
        after["security_groups"]["load-balancer"]["description"] = "another"
    else:
        after["load_balancers"]["public"]["security_groups"] = ["web"]
        del after["security_groups"]["load-balancer"]
    with pytest.raises(RefusedError, match=r"(?m)^security_group\.load-balancer: .* security_group\.web .* ingress"):
        hand.world.apply(after)
    anybody = {"protocol": "tcp", "port": 80, "cidr_block": "0.0.0.0/0"}
    after["security_groups"]["web"] |= {"ingress": [anybody], "others": "remove"}
    hand.world.converge(after, allow={"delete": 99, "replace": 99})


def test_a_group_with_a_kept_name_goes_before_its_replacement_comes(hand: Hand) -> None:
    spec = edited(ALONE, "security_groups/web/name", "kept")
    hand.make(spec)
    hand.repairs(
        *replaced(WEB, "description"), spec=edited(spec, "security_groups/web/description", "other"),
        by=("delete_security_group", "create_security_group"),
    )  # fmt: skip
    assert order(hand.world, "delete_security_group", "create_security_group")[0] == "delete_security_group"


def test_a_group_with_a_kept_name_that_is_in_use_cant_be_replaced(hand: Hand) -> None:
    spec = edited(demo(), "security_groups/web/name", "kept")
    hand.make(spec)
    other = edited(spec, "security_groups/web/description", "other")
    with pytest.raises(RefusedError) as refused:
        hand.world.plan(other)
    assert str(refused.value) == (
        'security_group.web: description is "HTTP from the load balancer" and should be "other", which can\'t be changed in place; another one '
        'can\'t be named "kept" as long as this one is in use: keep what it has, or change name, too'
    )
    hand.make(edited(other, "security_groups/web/name", "new"))


@pytest.mark.parametrize("name", ["theirs", "THEIRS"])
def test_a_strangers_group_of_that_name_is_never_adopted(hand: Hand, name: str) -> None:
    hand.make(edited(ALONE, "security_groups", None))
    theirs = hand.ec2.create_security_group(GroupName=name, Description="x", VpcId=hand["vpc.main"])["GroupId"]
    result = hand.world.apply(edited(ALONE, "security_groups/web/name", "theirs"))
    (failure,) = [item for item in result.outcomes if item.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert "outside this stack" in str(failure.error)
    assert (
        "Tags" not in hand.ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]
        or not (hand.ec2.describe_security_groups(GroupIds=[theirs])["SecurityGroups"][0]["Tags"])
    )


def test_a_lost_reply_is_no_stranger(hand: Hand, faults: Faults) -> None:
    real = faults._real

    def twice(service: str, operation: str, params: Any) -> Any:
        if operation == "create_security_group":
            real(service, operation, params)
        return real(service, operation, params)

    faults._real = twice
    hand.make(ALONE)
    filters = [{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]
    assert len(hand.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]) == 1


@pytest.mark.parametrize("code", ["DependencyViolation", "InvalidGroup.InUse"])
def test_a_group_that_lingering_interfaces_hold_is_waited_for(hand: Hand, faults: Faults, code: str) -> None:
    hand.make(ALONE)
    faults.refuse("delete_security_group", code, times=3)
    hand.world.destroy(ALONE)
    assert faults.made["delete_security_group"] == 4


def test_a_strangers_interface_is_named_instead_of_waited_for(hand: Hand) -> None:
    hand.make(demo())
    more = edited(demo(), "security_groups/spare", {"description": "spare"})
    hand.make(more)
    theirs = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-a"], Groups=[hand["security_group.spare"]])[
        "NetworkInterface"
    ]["NetworkInterfaceId"]
    started = hand.world.clock.now()
    result = hand.world.apply(demo(), check=False)  # it came after the plan was made
    assert [theirs in text for text in result.failures] == [True]
    assert hand.world.clock.now() - started < 60


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(edited(ALONE, "security_groups/web/ingress", [{"protocol": "all", "security_group": "web"}]))


def test_one_of_another_vpc_is_told_before_anything_is_changed(hand: Hand) -> None:
    """AWS says so half-way. Found by walks through changes of any property: by names in the file the loader knows it."""
    hand.make(demo())
    other = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    theirs = hand.ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=other)["GroupId"]
    told = r"(?m)^spec\.yaml:\d+:\d+: {}\.security_groups: {} is in the VPC {}, but this is in vpc-\w+; choose one in the same VPC{}$"
    with pytest.raises(
        RefusedError, match=told.format(r"load_balancers\.public", r"security_group\.load-balancer", other, "")
    ):
        hand.world.plan(edited(demo(), "security_groups/load-balancer/vpc", other), allow={"replace": 9})
    plan = hand.world.plan(edited(demo(), "instances/web/security_groups", ["web", theirs]))
    unless = ", unless it is associated with this one: AWS refuses it otherwise"  # by AssociateSecurityGroupVpc
    assert re.search(told.format(r"instances\.web", theirs, other, unless), "\n".join(plan.warnings))
