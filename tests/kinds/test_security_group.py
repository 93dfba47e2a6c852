"""Security groups: names, replacement, references."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, demo
from tests.kinds.example import Example, network
from tests.kinds.hand import edited, order, replaced, update

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

WEB = "security_group.web"
ALONE: Spec = {
    **network(),
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
    names = order(hand.world, "create_security_group", "modify_instance_attribute", "delete_security_group")
    assert names == ["create_security_group", *["modify_instance_attribute"] * 4, "delete_security_group"]


def test_a_group_that_another_names_is_replaced_and_the_other_follows_it(hand: Hand) -> None:
    hand.make(demo())
    hand.make(edited(demo(), "security_groups/load-balancer/description", "other"))
    names = order(hand.world, "set_security_groups", "delete_security_group", "terminate_instances")
    assert names == ["set_security_groups", "set_security_groups", "delete_security_group"]


@pytest.mark.parametrize(("change", "way"), [("replaced", "left out"), ("removed", "left out"), ("replaced", "kept")])
def test_a_group_that_an_unmanaged_rule_names_stays_and_nothing_changes(hand: Hand, change: str, way: str) -> None:
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
    hand.refuses(after, r"(?m)^security_group\.load-balancer: .* security_group\.web .* ingress")
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


def test_one_of_another_vpc_is_told_before_anything_is_changed(hand: Hand) -> None:
    """AWS says so half-way. Found by walks through changes of any property: by names in the file the loader knows it."""
    hand.make(demo())
    other = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    theirs = hand.ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=other)["GroupId"]
    told = r"(?m)^spec\.yaml:\d+:\d+: {}\.security_groups: {} is in the VPC {}, but this is in vpc-\w+; choose one in the same VPC{}$"
    moved = edited(demo(), "security_groups/load-balancer/vpc", other)
    place = told.format(r"load_balancers\.public", r"security_group\.load-balancer", other, "")
    hand.refuses(moved, place, allow={"replace": 9})
    plan = hand.world.plan(edited(demo(), "instances/web/security_groups", ["web", theirs]))
    unless = ", unless it is associated with this one: AWS refuses it otherwise"  # by AssociateSecurityGroupVpc
    assert re.search(told.format(r"instances\.web", theirs, other, unless), "\n".join(plan.warnings))
