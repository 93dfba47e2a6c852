"""Imitates AWS's rules for security groups and their rules."""

import dataclasses
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.models import DEFAULT_ACCOUNT_ID

from .references import not_found
from .rule import Call, around, before, refuse
from .world import World

ANY = "-1"
NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "all": ANY}
Key = tuple[str, int | None, int | None, str, str]


@before("CreateSecurityGroup")
def group_name_is_unique(call: Call) -> None:
    """CreateSecurityGroup: names are unique in a VPC, ignoring case, and don't begin with `sg-`; AWS VPC, 'Security
    groups': 'When the name contains trailing spaces, we trim the space at the end of the name'."""
    name = call.params["GroupName"] = call.given("GroupName", "").rstrip(" ")
    vpc_id = call.given("VpcId") or call.world.ec2.default_vpc.id
    if name.lower().startswith("sg-"):
        refuse(
            "InvalidParameterValue",
            f"Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*.",
        )
    if any(g.vpc_id == vpc_id and g.name.lower() == name.lower() for g in call.world.groups()):
        refuse("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'")


@before("DeleteSecurityGroup")
def group_in_use_stays(call: Call) -> None:
    """DeleteSecurityGroup: DependencyViolation while an interface has the group or another group's rule names it."""
    group = find(call)
    if group is None:
        return
    if group.is_default:
        refuse("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    if worn(call.world, group) or named_by(call.world, group):
        refuse("DependencyViolation", f"resource {group.id} has a dependent object")


def find(call: Call) -> Any | None:
    wanted = (call.given("GroupId"), call.given("GroupName"))
    return next((g for g in call.world.groups() if g.id == wanted[0] or g.name == wanted[1]), None)


def worn(world: World, group: Any) -> bool:
    interfaces = any(g.id == group.id for eni in world.interfaces() for g in eni.group_set)
    alive = [i for i in world.instances() if i.state != "terminated"]
    return interfaces or any(g.id == group.id for i in alive for g in i.security_groups)


def named_by(world: World, group: Any) -> list[str]:
    """The other groups with a rule that names this one."""
    return [
        other.id
        for other in world.groups()
        if other.id != group.id
        for rule in (*other.ingress_rules, *other.egress_rules)
        if rule.source_group.get("GroupId") == group.id
    ]


def permissions(call: Call) -> list[Key]:
    """The keys of the rules that a request's IpPermissions, or its parameters for a single rule, describe."""
    asked = call.given("IpPermissions") or [call.params]
    keys: list[Key] = []
    for permission in asked:
        protocol = normal(permission.get("IpProtocol"))
        ports = (None, None)
        if protocol != ANY:
            ports = (permission.get("FromPort"), permission.get("ToPort"))
        keys += [(protocol, *ports, kind, peer) for kind, peer in peers(permission)]
    return keys


def normal(protocol: Any) -> str:
    return NUMBERS.get(str(protocol).lower(), str(protocol).lower())


def peers(permission: Any) -> list[tuple[str, str]]:
    found = [("cidr", item.get("CidrIp")) for item in permission.get("IpRanges") or []]
    found += [("cidr6", item.get("CidrIpv6")) for item in permission.get("Ipv6Ranges") or []]
    found += [("prefix", item.get("PrefixListId")) for item in permission.get("PrefixListIds") or []]
    found += [("group", named(item)) for item in permission.get("UserIdGroupPairs") or []]
    found += [("cidr", permission["CidrIp"])] if permission.get("CidrIp") else []
    return [(kind, str(peer)) for kind, peer in found]


def named(pair: Any) -> str:
    """The text for a UserIdGroupPair: the group's id, after the number of its account if that is another one."""
    account = str(pair.get("UserId") or DEFAULT_ACCOUNT_ID)
    return f"{'' if account == DEFAULT_ACCOUNT_ID else f'{account}/'}{pair.get('GroupId')}"


def key_of(rule: Any) -> Key:
    """The key that identifies a rule; its description isn't part of it."""
    if rule.source_group:
        peer = ("group", named(rule.source_group))
    elif rule.prefix_list_id:
        peer = ("prefix", str(rule.prefix_list_id))
    elif rule.cidr_ipv6:
        peer = ("cidr6", str(rule.cidr_ipv6))
    else:
        peer = ("cidr", str(rule.cidr_ipv4))
    protocol = normal(rule.ip_protocol)
    ports = (None, None) if protocol == ANY else (rule.from_port, rule.to_port)
    return (protocol, *ports, *peer)


def rules_of(group: Any, action: str) -> list[Any]:
    rules: list[Any] = group.egress_rules if action.endswith("Egress") else group.ingress_rules
    return rules


def shown(key: Key) -> str:
    protocol, first, last, _, peer = key
    ports = "" if protocol == ANY else f", from port: {first}, to port: {last}"
    return f'"peer: {peer}, {"ALL" if protocol == ANY else protocol.upper()}{ports}, ALLOW"'


@before(
    "AuthorizeSecurityGroupIngress",
    "AuthorizeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "RevokeSecurityGroupEgress",
)
def ranges_are_made_canonical(call: Call) -> None:
    """AuthorizeSecurityGroup*: 'We will change 100.68.0.18/18 to its canonical form, 100.68.0.0/18'."""
    for permission in call.given("IpPermissions", []):
        for name, key in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")):
            for item in permission.get(name) or []:
                with suppress(ValueError):  # moto refuses such a range
                    item[key] = str(ipaddress.ip_network(item.get(key), strict=False))


@around("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
def rules_are_added_all_or_none(call: Call, proceed: Callable[[], Any]) -> Any:
    """AuthorizeSecurityGroup*: InvalidPermission.Duplicate whatever the description; then nothing is added.
    The answer lists every added rule (moto: only those of the last permission)."""
    group = find(call)
    if group is None:
        refuse(*not_found(str(call.given("GroupId") or call.given("GroupName"))))
    asked, held = permissions(call), {key_of(rule) for rule in rules_of(group, call.action)}
    if len(set(asked)) < len(asked):
        refuse("InvalidParameterValue", "The same permission must not appear multiple times")
    for key in asked:
        if key in held:
            refuse("InvalidPermission.Duplicate", f"the specified rule {shown(key)} already exists")
        if key[3] == "group" and "/" not in key[4] and not any(g.id == key[4] for g in call.world.groups()):
            refuse(*not_found(key[4]))
    before_ids = {rule.id for rule in rules_of(group, call.action)}
    held_rules = list(rules_of(group, call.action))
    try:
        proceed()
    except ServiceException:
        rules_of(group, call.action)[:] = held_rules  # at the limit of 60 rules moto stops half-way
        raise
    added = [rule for rule in rules_of(group, call.action) if rule.id not in before_ids]
    return {"Return": True, "SecurityGroupRules": added}


@before("RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress")
def rules_revoked_exist(call: Call) -> None:
    """RevokeSecurityGroup*: InvalidPermission.NotFound unless every rule exists; then nothing is revoked."""
    group = find(call)
    if group is None or call.given("SecurityGroupRuleIds"):
        return
    held = {key_of(rule) for rule in rules_of(group, call.action)}
    if not set(permissions(call)) <= held:
        refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")


@around("RevokeSecurityGroupEgress")
def ipv6_egress_is_revoked(call: Call, original: Callable[[], Any]) -> Any:
    """RevokeSecurityGroupEgress: rules for IPv6 ranges are revoked, too (moto silently ignores them)."""
    group, gone = find(call), {key for key in permissions(call) if "cidr6" in key}
    answer = original()
    if group is not None and gone:
        group.egress_rules[:] = [rule for rule in group.egress_rules if key_of(rule) not in gone]
    return answer


@around("UpdateSecurityGroupRuleDescriptionsIngress", "UpdateSecurityGroupRuleDescriptionsEgress")
def descriptions_are_replaced(call: Call, _: Callable[[], Any]) -> Any:
    """UpdateSecurityGroupRuleDescriptions*: 'You can remove a description by omitting the parameter'."""
    group = find(call)
    if group is None:
        refuse(*not_found(str(call.given("GroupId") or call.given("GroupName"))))
    rules = rules_of(group, call.action)
    wanted = [(item["SecurityGroupRuleId"], item) for item in call.given("SecurityGroupRuleDescriptions", [])]
    by_id = {rule.id: rule for rule in rules}
    by_key = {key_of(rule): rule for rule in rules}
    changes = [(by_id.get(rule_id), item) for rule_id, item in wanted]
    for permission in call.given("IpPermissions", []):
        single = dataclasses.replace(call, params={"IpPermissions": [permission]})
        changes += zip((by_key.get(key) for key in permissions(single)), described(permission), strict=True)
    if any(rule is None for rule, _ in changes):
        refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    for rule, item in changes:
        describe(rule, item.get("Description"))
    return {"Return": True}


def described(permission: Any) -> list[Any]:
    """The parts of a permission that can have a description, in the order of `peers`."""
    lists = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    return [item for name in lists for item in permission.get(name) or []]


def describe(rule: Any, description: str | None) -> None:
    holder = rule.source_group or rule.ip_range
    holder.pop("Description", None)
    if description is not None:
        holder["Description"] = description
