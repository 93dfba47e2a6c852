"""The rules of security groups: drift, strangers, order, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Spec, demo
from tests.kinds.example import STACK, Example, network
from tests.kinds.hand import calls, delete, edited, order, update

if TYPE_CHECKING:
    from tests.kinds.hand import Faults, Hand

WEB = "security_group_rules.web"
INGRESS = "security_groups/web/ingress"
ANYWHERE = {"protocol": "all", "cidr_block": "0.0.0.0/0"}
EXAMPLE = Example(
    spec={
        **network(),
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
    return edited(spec, "security_groups/web/egress", [ANYWHERE])


def of_web(hand: Hand) -> dict[str, Any]:
    (found,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    return dict(found)


@pytest.mark.parametrize("which", SOURCES)
def test_stray_rules_are_revoked_and_nothing_else(hand: Hand, which: str) -> None:
    """Unless they may stay where the spec says so."""
    spec = both(demo())
    hand.make(spec)
    before = of_web(hand)
    stray = opened(source(hand, which))
    for authorize in (hand.ec2.authorize_security_group_ingress, hand.ec2.authorize_security_group_egress):
        authorize(GroupId=hand["security_group.web"], IpPermissions=[stray])
    assert hand.world.plan(edited(spec, "security_groups/web/others", "keep")).is_empty
    both_ways = ("revoke_security_group_ingress", "revoke_security_group_egress")
    hand.repairs(update(WEB, "ingress", "egress"), by=both_ways)
    assert of_web(hand) == before


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


def test_all_sorts_of_rules_are_made_and_stay_as_they_are(hand: Hand) -> None:
    rules = [
        {"protocol": "tcp", "from_port": 80, "to_port": 8100, "security_group": "load-balancer"},
        {"protocol": "udp", "port": 53, "ipv6_cidr_block": "2001:db8::/32"},
        {"protocol": "icmp", "from_port": -1, "to_port": -1, "cidr_block": "10.0.0.0/8"},
        {"protocol": "all", "security_group": "web"},
    ]
    hand.make(edited(edited(demo(), INGRESS, rules), "security_groups/web/egress", rules))


def test_in_a_vpc_with_ipv6_nothing_more_goes_out_than_declared(hand: Hand) -> None:
    """AWS lets a new group there reach ::/0 as well."""
    vpc = hand.ec2.create_vpc(CidrBlock="10.9.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    egress = [{"protocol": "tcp", "port": 443, "cidr_block": "10.0.0.0/8"}]
    groups = {"web": {"vpc": vpc, "egress": egress}, "open": {"vpc": vpc}}
    hand.make({**STACK, "security_groups": groups})
    assert [item.get("FromPort") for item in of_web(hand)["IpPermissionsEgress"]] == [443]
    (free,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.open"]])["SecurityGroups"]
    (everything,) = free["IpPermissionsEgress"]
    assert everything["Ipv6Ranges"] == [{"CidrIpv6": "::/0"}], "what isn't declared isn't managed"


def test_at_the_limit_of_rules_the_old_ones_are_revoked_first(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    other = [{"protocol": "tcp", "port": 80, "cidr_block": "10.0.0.0/16"}]
    faults.refuse("authorize_security_group_ingress", "RulesPerSecurityGroupLimitExceeded")
    hand.make(edited(demo(), INGRESS, other))
    went = ["revoke_security_group_ingress", "authorize_security_group_ingress"]
    assert order(hand.world, *went) == went
    assert faults.made["authorize_security_group_ingress"] == 4
    # with nothing to revoke the run says so
    more = [*other, {"protocol": "tcp", "port": 81, "cidr_block": "10.0.0.0/8"}]
    faults.refuse("authorize_security_group_ingress", "RulesPerSecurityGroupLimitExceeded")
    (failure,) = hand.world.apply(edited(demo(), INGRESS, more)).failures
    assert "RulesPerSecurityGroupLimitExceeded" in failure


def test_a_rule_that_names_another_accounts_group_is_revoked_by_its_id(hand: Hand) -> None:
    hand.make(demo())
    group, front = hand["security_group.web"], hand["security_group.load-balancer"]
    pair = {"GroupId": front, "UserId": "999999999999"}
    hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened({"UserIdGroupPairs": [pair]}, 22)])
    hand.repairs(update("security_group_rules.web", "ingress"), by="revoke_security_group_ingress")
    hand.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened({"UserIdGroupPairs": [pair]}, 22)])
    hand.world.destroy(demo())


def test_rules_that_somebody_else_made_meanwhile_are_no_failure(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    taken = opened({"IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, 81)
    group, authorize = hand["security_group.web"], hand.ec2.authorize_security_group_ingress
    faults.before("authorize_security_group_ingress", lambda _: authorize(GroupId=group, IpPermissions=[taken]))
    more = [{"protocol": "tcp", "port": port, "cidr_block": "10.0.0.0/8"} for port in (81, 82)]
    hand.make(edited(demo(), INGRESS, [*demo()["security_groups"]["web"]["ingress"], *more]))


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
    rows = of_web(hand)["IpPermissions"]
    return {(item["FromPort"], pair["GroupId"]) for item in rows for pair in item["UserIdGroupPairs"]}


def test_a_declared_rule_follows_a_group_that_is_replaced_where_others_keep_theirs(hand: Hand) -> None:
    hand.make(keeping())
    vpc = hand["vpc.main"]
    theirs = hand.ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=vpc)["GroupId"]
    allow(hand, theirs, 9000)
    spec = edited(keeping(), "security_groups/load-balancer/description", "another")
    hand.make(spec)
    assert named(hand) == {(80, hand[BALANCER]), (9000, theirs)}


def test_somebody_elses_rule_that_names_a_group_that_is_replaced_is_to_be_declared(hand: Hand) -> None:
    """It lets in who will wear the new group, so it is neither forgotten nor made anew unasked."""
    hand.make(keeping())
    allow(hand, hand[BALANCER], 9000)
    spec = edited(keeping(), "security_groups/load-balancer/description", "another")
    told = hand.refuses(spec, r"security_group\.web keeps a rule that names it: .*; declare it in the ingress")
    assert "declare it in the egress" in told
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
