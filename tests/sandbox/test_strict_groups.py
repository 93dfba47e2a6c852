"""Security groups and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def permission(port: int, cidr: str = "0.0.0.0/0", **more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr, **more}]}


def from_group(port: int, group: str, **more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": group, **more}]}


def shown(network: Network, key: str = "IpPermissions") -> Any:
    return network.ec2.describe_security_groups(GroupIds=[network.group])["SecurityGroups"][0][key]


def test_names_are_unique_ignoring_case_and_blanks(network: Network, ec2: Any) -> None:
    refuses("InvalidGroup.Duplicate", network.security_group, "WEB")
    refuses("InvalidParameterValue", network.security_group, "sg-web")
    network.security_group("shop  ")
    found = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["SecurityGroups"]
    groups = {group["GroupName"]: group["GroupId"] for group in found}
    assert groups.keys() == {"default", "web", "shop"}
    refuses("InvalidGroup.Duplicate", network.security_group, "shop ")
    refuses("CannotDelete", ec2.delete_security_group, GroupId=groups["default"])


def test_a_group_in_use_stays(network: Network, ec2: Any, clock: VirtualClock) -> None:
    delete, group, other = ec2.delete_security_group, {"GroupId": network.group}, network.security_group("other")
    own = [from_group(1, network.group)]
    ec2.authorize_security_group_ingress(**group, IpPermissions=own)
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=own)
    refuses("DependencyViolation", delete, **group)
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=own)
    instance = network.running()
    refuses("DependencyViolation", delete, **group)
    ec2.terminate_instances(InstanceIds=[instance])
    clock.advance(15)
    arn = network.balancer()
    refuses("DependencyViolation", delete, **group)
    network.elb.delete_load_balancer(LoadBalancerArn=arn)
    refuses("DependencyViolation", delete, **group)
    clock.advance(60)
    delete(**group)


def test_rules_are_added_all_or_none(network: Network, ec2: Any) -> None:
    def add(*permissions: dict[str, Any]) -> Any:
        return ec2.authorize_security_group_ingress(GroupId=network.group, IpPermissions=[*permissions])

    refuses("RulesPerSecurityGroupLimitExceeded", add, *(permission(port) for port in range(61)))
    assert shown(network) == []
    assert len(add(permission(80), from_group(81, network.group))["SecurityGroupRules"]) == 2
    for duplicate in (permission(80, Description="new"), from_group(81, network.group, Description="new")):
        refuses("InvalidPermission.Duplicate", add, permission(90), duplicate)
    refuses("InvalidParameterValue", add, permission(90), permission(90))
    refuses("InvalidGroup.NotFound", add, from_group(90, "sg-00000000000000000"))
    assert {rule["FromPort"] for rule in shown(network)} == {80, 81}


def test_ranges_are_made_canonical_and_missing_rules_cannot_be_revoked(network: Network, ec2: Any) -> None:
    group, revoke = {"GroupId": network.group}, ec2.revoke_security_group_ingress
    ec2.authorize_security_group_ingress(**group, IpPermissions=[permission(80, "10.1.2.3/16")])
    (rule,) = shown(network)
    assert rule["IpRanges"] == [{"CidrIp": "10.1.0.0/16"}]
    mine = permission(80, "10.1.9.9/16")
    refuses("InvalidPermission.NotFound", revoke, **group, IpPermissions=[mine, permission(90)])
    assert shown(network)
    revoke(**group, IpPermissions=[mine])
    assert shown(network) == []


def test_a_rule_that_names_another_accounts_group_is_told_with_that_account(network: Network, ec2: Any) -> None:
    group, other, revoke = network.group, network.security_group("other"), ec2.revoke_security_group_ingress
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[from_group(22, other, UserId="999999999999")])
    refuses("InvalidPermission.NotFound", revoke, GroupId=group, IpPermissions=[from_group(22, other)])
    where = [{"Name": "group-id", "Values": [group]}]
    rules = ec2.describe_security_group_rules(Filters=where)["SecurityGroupRules"]
    revoke(GroupId=group, SecurityGroupRuleIds=[item["SecurityGroupRuleId"] for item in rules if not item["IsEgress"]])
    assert shown(network) == []
