"""Security groups and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def permission(port: int, cidr: str = "0.0.0.0/0", **more: Any) -> dict[str, Any]:
    ranges = [{"CidrIp": cidr, **more}]
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": ranges}


def from_group(port: int, group: str, **more: Any) -> dict[str, Any]:
    pairs = [{"GroupId": group, **more}]
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pairs}


def shown(network: Network, group: str) -> dict[str, Any]:
    return dict(network.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0])


def test_names_are_unique_ignoring_case(network: Network) -> None:
    refuses("InvalidGroup.Duplicate", network.security_group, "WEB")
    refuses("InvalidParameterValue", network.security_group, "sg-web")


def test_a_new_group_lets_all_out(network: Network) -> None:
    (rule,) = shown(network, network.group)["IpPermissionsEgress"]
    assert rule["IpProtocol"] == "-1"
    assert rule["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]


def test_a_group_of_an_instance_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    instance = network.running()
    refuses("DependencyViolation", ec2.delete_security_group, GroupId=network.group)
    ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(15)
    ec2.delete_security_group(GroupId=network.group)


def test_a_group_of_a_balancer_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    arn = network.balancer()
    refuses("DependencyViolation", ec2.delete_security_group, GroupId=network.group)
    network.elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("DependencyViolation", ec2.delete_security_group, GroupId=network.group)
    clock.advance(60)
    ec2.delete_security_group(GroupId=network.group)


def test_a_group_that_another_names_stays(network: Network, ec2: Any) -> None:
    other = network.security_group("other")
    own = from_group(1, network.group)
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[own])
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[own])
    refuses("DependencyViolation", ec2.delete_security_group, GroupId=network.group)
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=[own])
    ec2.delete_security_group(GroupId=network.group)


def test_the_default_group_stays(network: Network, ec2: Any) -> None:
    (default,) = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [network.vpc]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    refuses("CannotDelete", ec2.delete_security_group, GroupId=default["GroupId"])


def test_rules_are_added_all_or_none(network: Network, ec2: Any) -> None:
    add = ec2.authorize_security_group_ingress
    answer = add(GroupId=network.group, IpPermissions=[permission(80), from_group(81, network.group)])
    assert len(answer["SecurityGroupRules"]) == 2
    for duplicate in (permission(80, Description="new"), from_group(81, network.group, Description="new")):
        refuses("InvalidPermission.Duplicate", add, GroupId=network.group, IpPermissions=[permission(90), duplicate])
    refuses("InvalidParameterValue", add, GroupId=network.group, IpPermissions=[permission(90), permission(90)])
    refuses("InvalidGroup.NotFound", add, GroupId=network.group, IpPermissions=[from_group(90, "sg-00000000000000000")])
    assert {rule["FromPort"] for rule in shown(network, network.group)["IpPermissions"]} == {80, 81}


def test_rules_beyond_the_limit_are_not_added_in_part(network: Network, ec2: Any) -> None:
    with refused("RulesPerSecurityGroupLimitExceeded"):
        ec2.authorize_security_group_ingress(
            GroupId=network.group, IpPermissions=[permission(port) for port in range(61)]
        )
    assert shown(network, network.group)["IpPermissions"] == []


def test_ranges_are_made_canonical(network: Network, ec2: Any) -> None:
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[permission(80, "10.1.2.3/16")])
    (rule,) = shown(network, network.group)["IpPermissions"]
    assert rule["IpRanges"] == [{"CidrIp": "10.1.0.0/16"}]
    ec2.revoke_security_group_ingress(GroupId=network.group, IpPermissions=[permission(80, "10.1.9.9/16")])


def test_all_protocols_are_the_same_under_any_name(network: Network, ec2: Any) -> None:
    every = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    with refused("InvalidPermission.Duplicate"):
        ec2.authorize_security_group_egress(GroupId=network.group, IpPermissions=[every])


def test_missing_rules_cannot_be_revoked(network: Network, ec2: Any) -> None:
    ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[permission(80)])
    revoke = ec2.revoke_security_group_ingress
    refuses("InvalidPermission.NotFound", revoke, GroupId=network.group, IpPermissions=[permission(80), permission(90)])
    assert shown(network, network.group)["IpPermissions"]
    revoke(GroupId=network.group, IpPermissions=[permission(80)])
    assert shown(network, network.group)["IpPermissions"] == []


@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_descriptions_change_in_place(network: Network, ec2: Any, way: str) -> None:
    add = getattr(ec2, f"authorize_security_group_{way}")
    update = getattr(ec2, f"update_security_group_rule_descriptions_{way}")
    key = "IpPermissions" if way == "ingress" else "IpPermissionsEgress"
    add(
        GroupId=network.group,
        IpPermissions=[permission(80, Description="a"), from_group(81, network.group, Description="b")],
    )

    def descriptions() -> list[str | None]:
        rules = sorted(shown(network, network.group)[key], key=lambda rule: rule.get("FromPort", 0))
        parts = [part for rule in rules for part in rule["IpRanges"] + rule["UserIdGroupPairs"]]
        return [part.get("Description") for part in parts][-2:]

    assert descriptions() == ["a", "b"]
    update(
        GroupId=network.group,
        IpPermissions=[permission(80, Description="c"), from_group(81, network.group, Description="d")],
    )
    assert descriptions() == ["c", "d"]
    update(GroupId=network.group, IpPermissions=[permission(80)])
    assert descriptions() == [None, "d"]
    refuses("InvalidPermission.NotFound", update, GroupId=network.group, IpPermissions=[permission(99)])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [network.group]}])
    (rule,) = [rule for rule in rules["SecurityGroupRules"] if rule["FromPort"] == 81]
    assert rule["Description"] == "d"
    item = {"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "Description": "e"}
    update(GroupId=network.group, SecurityGroupRuleDescriptions=[item])
    assert descriptions() == [None, "e"]


def test_a_rule_that_names_another_accounts_group_is_told_with_that_account(network: Network, ec2: Any) -> None:
    group, other = network.group, network.security_group("other")
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[from_group(22, other, UserId="999999999999")])
    with refused("InvalidPermission.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[from_group(22, other)])
    where = [{"Name": "group-id", "Values": [group]}]
    rules = ec2.describe_security_group_rules(Filters=where)["SecurityGroupRules"]
    ids = [item["SecurityGroupRuleId"] for item in rules if not item["IsEgress"]]
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=ids)
    assert shown(network, group)["IpPermissions"] == []
