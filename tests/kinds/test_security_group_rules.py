"""The rules of security groups: drift, strangers, order, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, demo
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, delete, edited, order, short, update

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

WEB, FRONT = "security_group_rules.web", "security_group_rules.load-balancer"
INGRESS = "security_groups/web/ingress"
ANYWHERE = {"protocol": "all", "cidr_block": "0.0.0.0/0"}
EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
        "security_groups": {
            "web": {
                "ingress": [{"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/8"}],
                "egress": [ANYWHERE],
            }
        },
    },
    address=WEB,
    changes={
        "ingress": [{"protocol": "tcp", "port": 81, "security_group": "web"}],
        "egress": [{"protocol": "tcp", "port": 443, "cidr_block": "10.0.0.0/8"}],
    },
    uncalled={
        "ec2:DescribeSecurityGroupRules": "rules that only their ids tell apart",
        "ec2:UpdateSecurityGroupRuleDescriptionsEgress": "another description",
        "ec2:UpdateSecurityGroupRuleDescriptionsIngress": "the same",
    },
)


def opened(sources: dict[str, Any], port: int = 3389) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **sources}


def source(hand: Hand, which: str) -> dict[str, Any]:
    if which == "prefix list":
        answer = hand.ec2.create_managed_prefix_list(PrefixListName="x", MaxEntries=1, AddressFamily="IPv4")
        return {"PrefixListIds": [{"PrefixListId": answer["PrefixList"]["PrefixListId"]}]}
    return {
        "cidr": {"IpRanges": [{"CidrIp": "192.0.2.0/24"}]},
        "ipv6": {"Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
        "group": {"UserIdGroupPairs": [{"GroupId": hand["security_group.web"]}]},
    }[which]


SOURCES = ["cidr", "ipv6", "group", "prefix list"]


def both(spec: Spec) -> Spec:
    return edited(spec, "security_groups/web/egress", [{"protocol": "all", "cidr_block": "0.0.0.0/0"}])


@pytest.mark.parametrize("which", SOURCES)
def test_stray_rules_are_revoked_and_nothing_else(hand: Hand, which: str) -> None:
    spec = both(demo())
    hand.make(spec)
    before = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    stray = opened(source(hand, which))
    hand.ec2.authorize_security_group_ingress(GroupId=hand["security_group.web"], IpPermissions=[stray])
    hand.repairs(update(WEB, "ingress"), by="revoke_security_group_ingress")
    hand.ec2.authorize_security_group_egress(GroupId=hand["security_group.web"], IpPermissions=[stray])
    hand.repairs(update(WEB, "egress"), by="revoke_security_group_egress")
    assert hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"] == before


@pytest.mark.parametrize("which", SOURCES)
def test_strangers_may_stay_where_the_spec_says_so(hand: Hand, which: str) -> None:
    spec = edited(both(demo()), "security_groups/web/others", "keep")
    hand.make(spec)
    stray = opened(source(hand, which))
    hand.ec2.authorize_security_group_ingress(GroupId=hand["security_group.web"], IpPermissions=[stray])
    hand.ec2.authorize_security_group_egress(GroupId=hand["security_group.web"], IpPermissions=[stray])
    assert hand.world.plan(spec).is_empty


def test_a_direction_that_the_spec_leaves_out_is_not_managed(hand: Hand) -> None:
    hand.make(demo())
    hand.ec2.authorize_security_group_egress(
        GroupId=hand["security_group.web"], IpPermissions=[opened({"IpRanges": [{"CidrIp": "192.0.2.0/24"}]})]
    )
    assert hand.world.plan(demo()).is_empty
    spec = edited(demo(), INGRESS, None)
    hand.make(spec)
    hand.ec2.authorize_security_group_ingress(
        GroupId=hand["security_group.web"], IpPermissions=[opened({"IpRanges": [{"CidrIp": "192.0.2.0/24"}]})]
    )
    assert hand.world.plan(spec).is_empty


def test_a_rule_that_was_revoked_by_hand_comes_back(hand: Hand) -> None:
    spec = both(demo())
    hand.make(spec)
    group = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"][0]
    hand.ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    hand.repairs(update(WEB, "ingress"), by="authorize_security_group_ingress")
    hand.ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])
    hand.repairs(update(WEB, "egress"), by="authorize_security_group_egress")


def test_a_port_range_that_was_narrowed_by_hand_is_widened_before_the_narrow_one_goes(hand: Hand) -> None:
    wide = [{"protocol": "tcp", "from_port": 80, "to_port": 90, "security_group": "load-balancer"}]
    spec = edited(demo(), INGRESS, wide)
    hand.make(spec)
    pair = {"UserIdGroupPairs": [{"GroupId": hand["security_group.load-balancer"]}]}
    group = hand["security_group.web"]
    hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened(pair, 80)])
    old = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, **pair}
    hand.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[old])
    hand.repairs(update(WEB, "ingress"), by=("authorize_security_group_ingress", "revoke_security_group_ingress"))
    names = ["authorize_security_group_ingress", "revoke_security_group_ingress"]
    assert order(hand.world, *names) == names


def test_declared_descriptions_are_kept_and_others_left_alone(hand: Hand) -> None:
    permission = {"protocol": "tcp", "port": 80, "security_group": "load-balancer"}
    hand.make(demo())
    pair = {"GroupId": hand["security_group.load-balancer"], "Description": "mine"}
    described = [opened({"UserIdGroupPairs": [pair]}, 80)]
    group = hand["security_group.web"]
    hand.ec2.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=described)
    assert hand.world.plan(demo()).is_empty
    spec = edited(demo(), INGRESS, [{**permission, "description": "from the front"}])
    hand.make(spec)
    assert len(calls(hand.world, "update_security_group_rule_descriptions_ingress")) == 1
    hand.ec2.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=described)
    hand.repairs(update(WEB, "ingress"), by="update_security_group_rule_descriptions_ingress")


def test_all_sorts_of_sources_are_made_and_stay_as_they_are(hand: Hand) -> None:
    prefix = source(hand, "prefix list")["PrefixListIds"][0]["PrefixListId"]
    permissions = [
        {"protocol": "tcp", "port": 80, "security_group": "load-balancer"},
        {"protocol": "tcp", "from_port": 8000, "to_port": 8100, "cidr_block": "10.0.0.0/8"},
        {"protocol": "udp", "port": 53, "ipv6_cidr_block": "2001:db8::/32"},
        {"protocol": "icmp", "from_port": -1, "to_port": -1, "cidr_block": "10.0.0.0/8"},
        {"protocol": "tcp", "port": 443, "prefix_list_id": prefix},
        {"protocol": "all", "security_group": "web"},
    ]
    spec = edited(edited(demo(), INGRESS, permissions), "security_groups/web/egress", permissions)
    hand.make(spec)
    assert short(hand.world.plan(spec)) == []


def test_an_empty_list_removes_even_the_rule_that_every_group_is_born_with(hand: Hand) -> None:
    spec = edited(demo(), "security_groups/web/egress", [])
    hand.make(spec)
    group = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"][0]
    assert group["IpPermissionsEgress"] == []


def test_a_description_of_the_rule_that_every_group_is_born_with_is_sent_at_once(hand: Hand) -> None:
    spec = edited(demo(), "security_groups/web/egress", [{**ANYWHERE, "description": "out"}])
    hand.make(spec)
    group = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"][0]
    (rule,) = group["IpPermissionsEgress"]
    assert rule["IpRanges"] == [{"CidrIp": "0.0.0.0/0", "Description": "out"}]


def test_in_a_vpc_with_ipv6_nothing_more_goes_out_than_declared(hand: Hand) -> None:
    """AWS lets a new group there reach ::/0 as well."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    egress = [{"protocol": "tcp", "port": 443, "cidr_block": "10.0.0.0/8"}]
    groups = {"web": {"vpc": vpc, "egress": egress}, "open": {"vpc": vpc}}
    hand.make({"stack": "demo", "region": "us-east-1", "security_groups": groups})
    (web,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    assert [item.get("FromPort") for item in web["IpPermissionsEgress"]] == [443]
    (free,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.open"]])["SecurityGroups"]
    (everything,) = free["IpPermissionsEgress"]
    assert everything["Ipv6Ranges"] == [{"CidrIpv6": "::/0"}], "what isn't declared isn't managed"


def test_two_groups_that_name_each_other_are_made_changed_and_destroyed(hand: Hand) -> None:
    spec = demo()
    spec["security_groups"]["load-balancer"]["egress"] = [{"protocol": "tcp", "port": 80, "security_group": "web"}]
    before = hand.world.strict.inventory()
    hand.make(spec)
    hand.world.destroy(spec)
    assert hand.world.strict.inventory() == before


def test_at_the_limit_of_rules_the_old_ones_are_revoked_first(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    other = [{"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/16"}]
    faults.refuse("authorize_security_group_ingress", "RulesPerSecurityGroupLimitExceeded")
    result = hand.make(edited(demo(), INGRESS, other))
    assert result.writes["authorize_security_group_ingress"] == 2
    assert order(hand.world, "authorize_security_group_ingress", "revoke_security_group_ingress") == [
        "revoke_security_group_ingress",
        "authorize_security_group_ingress",
    ]


def test_a_rule_that_names_another_accounts_group_is_revoked_by_its_id(hand: Hand) -> None:
    hand.make(demo())
    group, front = hand["security_group.web"], hand["security_group.load-balancer"]
    pair = {"GroupId": front, "UserId": "999999999999"}
    hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened({"UserIdGroupPairs": [pair]}, 22)])
    hand.repairs(update("security_group_rules.web", "ingress"), by="revoke_security_group_ingress")
    hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened({"UserIdGroupPairs": [pair]}, 22)])
    hand.world.destroy(demo())


def test_at_the_limit_with_nothing_to_revoke_the_run_says_so(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    more = [
        *demo()["security_groups"]["web"]["ingress"],
        {"protocol": "tcp", "port": 81, "cidr_block": "10.0.0.0/8"},
    ]
    faults.refuse("authorize_security_group_ingress", "RulesPerSecurityGroupLimitExceeded")
    result = hand.world.apply(edited(demo(), INGRESS, more))
    assert ["RulesPerSecurityGroupLimitExceeded" in text for text in result.failures] == [True]


def test_rules_that_somebody_else_made_meanwhile_are_no_failure(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    more = [
        *demo()["security_groups"]["web"]["ingress"],
        {"protocol": "tcp", "port": 81, "cidr_block": "10.0.0.0/8"},
        {"protocol": "tcp", "port": 82, "cidr_block": "10.0.0.0/8"},
    ]
    real = faults._real
    taken = opened({"IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, 81)
    group = hand["security_group.web"]

    def somebody_comes_first(service: str, operation: str, params: Any) -> Any:
        if operation == "authorize_security_group_ingress" and len(params["IpPermissions"]) == 2:
            hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[taken])
        return real(service, operation, params)

    faults._real = somebody_comes_first
    hand.make(edited(demo(), INGRESS, more))


def test_rules_come_back_with_a_group_that_was_deleted_by_hand(hand: Hand) -> None:
    spec = demo()
    spec["security_groups"]["spare"] = {
        "description": "unused",
        "ingress": [{"protocol": "tcp", "port": 22, "cidr_block": "10.0.0.0/8"}],
    }
    hand.make(spec)
    hand.ec2.delete_security_group(GroupId=hand["security_group.spare"])
    hand.repairs(
        create("security_group.spare"), create("security_group_rules.spare"),
        by=("create_security_group", "authorize_security_group_ingress"),
    )  # fmt: skip


def test_an_unknown_group_is_asked_for_again(hand: Hand, faults: Faults) -> None:
    faults.refuse("authorize_security_group_ingress", "InvalidGroup.NotFound", times=2)
    hand.make(demo())
    assert faults.made["authorize_security_group_ingress"] == 4
    assert FRONT in hand.ids


BALANCER = "security_group.load-balancer"


def keeping() -> Spec:
    spec = edited(both(demo()), "security_groups/web/others", "keep")
    del spec["security_groups"]["web"]["ingress"][1:]
    return spec


def allow(hand: Hand, source: str, port: int) -> None:
    """Somebody lets a group's members in and out by hand."""
    permission = opened({"UserIdGroupPairs": [{"GroupId": source}]}, port)
    group = hand["security_group.web"]
    hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    hand.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[permission])


def named(hand: Hand) -> set[tuple[int, str]]:
    """The groups that are let in, each at which port."""
    (found,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    return {(item["FromPort"], pair["GroupId"]) for item in found["IpPermissions"] for pair in item["UserIdGroupPairs"]}


def test_a_declared_rule_follows_a_group_that_is_replaced_where_others_keep_theirs(hand: Hand) -> None:
    """Found: the rule that named the old group was taken for somebody else's, which kept it, so that the plan was refused."""
    hand.make(keeping())
    vpc = hand["vpc.main"]
    theirs = hand.ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=vpc)["GroupId"]
    allow(hand, theirs, 9000)
    spec = edited(keeping(), "security_groups/load-balancer/description", "another")
    hand.make(spec)
    assert named(hand) == {(80, hand[BALANCER]), (9000, theirs)}
    assert hand.world.plan(spec).is_empty


def test_a_declared_rule_follows_the_one_of_two_groups_that_stays(hand: Hand) -> None:
    """As after a run that was stopped before it had deleted the old group, or while a read doesn't show yet that it has."""
    hand.make(keeping())
    (row,) = hand.ec2.describe_security_groups(GroupIds=[hand[BALANCER]])["SecurityGroups"]
    made = [{"ResourceType": "security-group", "Tags": row["Tags"]}]
    given = {"Description": row["Description"], "VpcId": row["VpcId"], "TagSpecifications": made}
    double = hand.ec2.create_security_group(GroupName="double", **given)["GroupId"]
    hand.ec2.authorize_security_group_ingress(GroupId=double, IpPermissions=row["IpPermissions"])
    rule = opened({"UserIdGroupPairs": [{"GroupId": double}]}, 80)
    hand.ec2.authorize_security_group_ingress(GroupId=hand["security_group.web"], IpPermissions=[rule])
    hand.make(keeping(), allow={"delete": 1})  # nothing tells for sure that it was the stack's
    assert named(hand) == {(80, hand[BALANCER])}
    assert hand[BALANCER] == row["GroupId"]


def test_somebody_elses_rule_that_names_a_group_that_is_replaced_is_to_be_declared(hand: Hand) -> None:
    """It lets in who will wear the new group, so it is neither forgotten nor made anew unasked."""
    hand.make(keeping())
    allow(hand, hand[BALANCER], 9000)
    spec = edited(keeping(), "security_groups/load-balancer/description", "another")
    with pytest.raises(
        RefusedError, match=r"security_group\.web keeps a rule that names it: .*; declare it in the ingress"
    ) as caught:
        hand.world.plan(spec)
    assert "declare it in the egress" in str(caught.value)
    rule = {"protocol": "tcp", "port": 9000, "security_group": "load-balancer"}
    for direction in ("ingress", "egress"):
        spec["security_groups"]["web"][direction].append(rule)
    hand.make(spec)
    assert named(hand) == {(80, hand[BALANCER]), (9000, hand[BALANCER])}


def test_a_rule_goes_with_the_group_that_it_names_whoever_made_it(hand: Hand) -> None:
    """Nobody can wear that group any more. Found: the plan was refused, also where an earlier spec had declared the rule."""
    bastion = {"description": "for now", "vpc": "main"}
    spec = edited(keeping(), "security_groups/bastion", bastion)
    spec["security_groups"]["web"]["ingress"].append({"protocol": "tcp", "port": 22, "security_group": "bastion"})
    hand.make(spec)
    allow(hand, hand["security_group.bastion"], 9000)
    assert hand.world.plan(spec).is_empty
    hand.repairs(
        delete("security_group.bastion"),
        update(WEB, "egress", "ingress"),
        spec=keeping(),
        by=("revoke_security_group_ingress", "revoke_security_group_egress", "delete_security_group", "create_tags"),
    )
    assert named(hand) == {(80, hand[BALANCER])}
