"""The kind `security_group_rules`: all rules of one security group (EC2 Authorize-, RevokeSecurityGroupIngress and -Egress)."""

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Entry, IamActions, Kind, Named
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import keep_others
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.resource import Desired, Lookups, Observed
from alb_reconcile.model.service import Permission, Permissions

_DIRECTIONS: Final = ("ingress", "egress")


@dataclass(frozen=True)
class Elsewhere:
    """The groups in other accounts, or gone, that a group's rules name. AWS needs more than such a group's id to tell these rules apart."""

    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class SecurityGroupRules(Permissions):
    """All rules of a security group, ingress and egress."""

    kind = "security_group_rules"
    said_in = frozenset({"ingress", "egress"})
    service = ""
    removed_late = ("egress", "ingress")
    leads_on = False
    traffic = frozenset({"egress", "ingress"})
    replaced_on = frozenset({"security_group"})
    parent = "security_group"

    security_group: Ref
    ingress: tuple[Permission, ...] | None = None
    egress: tuple[Permission, ...] | None = None

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        state = observed.state if observed else None
        found = state if isinstance(state, SecurityGroupRules) else None
        return replace(
            self,
            ingress=_describe(self.ingress, found.ingress if found else None),
            egress=_describe(self.egress, found.egress if found else None),
        )

    def with_others(self, observed: Self) -> Self:
        return replace(
            self,
            ingress=keep_others(self.ingress, observed.ingress, lambda item: item.match),
            egress=keep_others(self.egress, observed.egress, lambda item: item.match),
        )


def _most(permissions: Collection[Permission]) -> int:
    """How many rules count against a quota at least. AWS counts IPv4 and IPv6 apart, and a prefix list as the most entries it may have."""
    sixth = sum(":" in str(item.source) for item in permissions)
    return max(sixth, len(permissions) - sixth)


class SecurityGroupRulesKind(Kind[SecurityGroupRules]):
    """Drives security groups' rules."""

    properties = SecurityGroupRules
    noun = "a security group's rules"
    position = 55
    quotas = (
        Quota("L-0EA8095F", "inbound rules in a security group", 60, path="ingress", count=_most),
        Quota("L-0EA8095F", "outbound rules in a security group", 60, path="egress", count=_most),
    )
    iam_type = "security-group"
    iam_actions = IamActions(
        read=("ec2:DescribeSecurityGroups",),
        look=("servicequotas:GetServiceQuota",),
        create=(
            "ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress", "ec2:DescribeSecurityGroupRules",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress", "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        ),
        update=(
            "ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress", "ec2:DescribeSecurityGroupRules",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress", "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            "ec2:DescribeNetworkInterfaces",
        ),
        delete=(
            "ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress", "ec2:DescribeSecurityGroupRules",
            "ec2:DescribeNetworkInterfaces",
        ),
        on={
            "ec2:AuthorizeSecurityGroupIngress": "security-group security-group-rule*",
            "ec2:AuthorizeSecurityGroupEgress": "security-group security-group-rule*",
        },
    )  # fmt: skip

    async def discover(self, reader: Reader) -> list[Observed]:
        groups = await reader.tagged("describe_security_groups", "SecurityGroups")
        return [self._observe(reader, group) for group in groups]

    def _observe(self, reader: Reader, group: dict[str, Any]) -> Observed:
        owner = tags.own_address(tags.from_list(group["Tags"]), "security_group", group["GroupId"])
        state = SecurityGroupRules(
            security_group=group["GroupId"],
            ingress=tuple(sorted(_flatten(group.get("IpPermissions", ())), key=str)),
            egress=tuple(sorted(_flatten(group.get("IpPermissionsEgress", ())), key=str)),
        )
        permissions = [*group.get("IpPermissions", ()), *group.get("IpPermissionsEgress", ())]
        pairs = [pair for item in permissions for pair in item.get("UserIdGroupPairs", ())]
        elsewhere = Elsewhere(frozenset(pair["GroupId"] for pair in pairs if pair.get("UserId") != group["OwnerId"]))
        address, own_id = Address(self.name, owner.name), f"{group['GroupId']}/rules"
        return Observed(address, own_id, state, {}, reader.stack, details=elsewhere)

    def write_member(self, observed: Observed, entry: Entry, own: Entry, named: Named) -> None:
        """Always writes `egress`: a service doesn't answer without it, so a plan must notice if a user revokes these rules."""
        state = self.of(observed)
        if state.ingress:
            entry["ingress"] = [_write(item, named) for item in state.ingress]
        entry["egress"] = [_write(item, named) for item in state.egress or ()]

    async def create(self, run: Run, wanted: SecurityGroupRules, desired: Desired) -> str:
        group = str(wanted.security_group)
        await self._authorize(run, group, "ingress", wanted.ingress or ())
        if wanted.egress is not None:
            await self._bring(run, group, "egress", wanted.egress, await self._egress(run, group), Elsewhere())
        return f"{group}/rules"

    async def update(self, run: Run, wanted: SecurityGroupRules, observed: Observed, fields: frozenset[str]) -> None:
        for direction in _DIRECTIONS:
            permissions: tuple[Permission, ...] | None = getattr(wanted, direction)
            if direction in fields and permissions is not None:
                found = getattr(observed.state, direction) or ()
                elsewhere = observed.detail(Elsewhere)
                await self._bring(run, str(wanted.security_group), direction, permissions, found, elsewhere)

    async def _egress(self, run: Run, group: str) -> tuple[Permission, ...]:
        """The egress rules that AWS gives a new group: all IPv4, and in a VPC with IPv6 all IPv6, too (EC2 CreateSecurityGroup)."""
        answer = await run.aws.call("ec2", "describe_security_groups", retry=waits.GROUP_UNKNOWN, GroupIds=[group])
        return tuple(_flatten(answer["SecurityGroups"][0].get("IpPermissionsEgress", ())))

    async def _bring(
        self,
        run: Run,
        group: str,
        direction: str,
        wanted: Iterable[Permission],
        found: Iterable[Permission],
        elsewhere: Elsewhere,
    ) -> None:
        """Change the rules of a direction from those found to the wanted ones."""
        have, want = {item.match: item for item in found}, {item.match: item for item in wanted}
        # authorize before revoking, so that traffic that stays allowed isn't interrupted
        added = [want[key] for key in want.keys() - have.keys()]
        removed = [have[key] for key in have.keys() - want.keys()]
        try:
            await self._authorize(run, group, direction, added)
        except AwsError as error:
            if error.code != "RulesPerSecurityGroupLimitExceeded" or not removed:
                raise
            await self._revoke(run, group, direction, removed, elsewhere)
            removed = []
            await self._authorize(run, group, direction, added)
        await self._revoke(run, group, direction, removed, elsewhere)
        described = [
            want[key] for key in want.keys() & have.keys() if want[key].description not in (None, have[key].description)
        ]
        if described:
            await _change(run, f"update_security_group_rule_descriptions_{direction}", group, described)

    async def _authorize(self, run: Run, group: str, direction: str, permissions: Sequence[Permission]) -> None:
        await _change(run, f"authorize_security_group_{direction}", group, permissions, "InvalidPermission.Duplicate")

    async def _revoke(
        self, run: Run, group: str, direction: str, permissions: Sequence[Permission], elsewhere: Elsewhere
    ) -> None:
        operation, missing = f"revoke_security_group_{direction}", "InvalidPermission.NotFound"
        near = [item for item in permissions if item.source not in elsewhere.groups]
        await _change(run, operation, group, near, missing)
        if far := {item.match for item in permissions} - {item.match for item in near}:
            where = {"group-id": group}
            rows = await run.aws.pages("ec2", "describe_security_group_rules", "SecurityGroupRules", where=where)
            ids = [
                row["SecurityGroupRuleId"]
                for row in rows
                if row["IsEgress"] == (direction == "egress") and _match(row) in far
            ]
            if ids:
                await run.gone("ec2", operation, missing=(missing,), GroupId=group, SecurityGroupRuleIds=ids)

    async def delete(self, run: Run, observed: Observed) -> None:
        state = self.of(observed)
        with ignoring(*waits.GROUP_UNKNOWN):
            for direction in _DIRECTIONS:
                permissions, elsewhere = getattr(state, direction) or (), observed.detail(Elsewhere)
                await self._revoke(run, str(state.security_group), direction, permissions, elsewhere)


async def _change(run: Run, operation: str, group: str, permissions: Sequence[Permission], *done: str) -> None:
    """Make one call for all permissions; where AWS says by a code in `done` that some are changed already, one call for each."""
    if not permissions:
        return
    with ignoring(*done):
        await run.aws.call(
            "ec2", operation, retry=waits.GROUP_UNKNOWN, GroupId=group, IpPermissions=_to_aws(permissions)
        )
        return
    if len(permissions) > 1:
        for permission in permissions:
            await _change(run, operation, group, [permission], *done)


def read_permissions(entries: list[Entry] | None) -> tuple[Permission, ...] | None:
    """The rules that the list `ingress` or `egress` of a security group's entry describes."""
    return None if entries is None else tuple(sorted((_permission(entry) for entry in entries), key=str))


def _permission(entry: Entry) -> Permission:
    protocol = "-1" if entry["protocol"] == "all" else entry["protocol"]
    first: Any = entry.get("from_port", entry.get("port", -1))
    last: Any = entry.get("to_port", entry.get("port", -1))
    ipv6 = entry.get("ipv6_cidr_block")
    source: Ref = (
        entry.get("cidr_block")
        or (str(ipaddress.ip_network(ipv6)) if ipv6 else "")  # as AWS writes it
        or entry.get("prefix_list_id", "")
    )
    if "security_group" in entry:
        source = refer("security_group", entry["security_group"])
    return Permission(protocol, first, last, source, entry.get("description"))


def _write(item: Permission, named: Named) -> Entry:
    """The inverse of `_permission`."""
    protocol, first, last, source, description = item
    found: Entry = {"protocol": "all" if protocol == "-1" else protocol}
    if first == last != -1 and protocol in ("tcp", "udp"):
        found["port"] = first
    elif (first, last) != (-1, -1):
        found |= {"from_port": first, "to_port": last}
    found[_source_key(str(source))] = named.name_of(str(source))
    return {**found, "description": description} if description else found


def _source_key(source: str) -> str:
    prefixes = {"sg": "security_group", "pl": "prefix_list_id"}
    return prefixes.get(source.partition("-")[0], "ipv6_cidr_block" if ":" in source else "cidr_block")


def _describe(
    wanted: tuple[Permission, ...] | None, found: tuple[Permission, ...] | None
) -> tuple[Permission, ...] | None:
    """The wanted rules, with the present description of each rule to which the spec gives none."""
    if wanted is None:
        return None
    known = {item.match: item.description or "" for item in found or ()}
    described = (
        item._replace(description=known.get(item.match, "")) if item.description is None else item for item in wanted
    )
    return tuple(sorted(described, key=str))


_LISTS: Final = {
    "CidrIp": "IpRanges",
    "CidrIpv6": "Ipv6Ranges",
    "PrefixListId": "PrefixListIds",
    "GroupId": "UserIdGroupPairs",
}
"""By AWS's key of a source, the key of the list that has it in a permission."""


def _flatten(permissions: Any) -> Iterator[Permission]:
    """AWS's permissions, which may have several sources, as permissions with one source."""
    for item in permissions:
        protocol = item["IpProtocol"]
        first, last = (-1, -1) if protocol == "-1" else (item.get("FromPort", -1), item.get("ToPort", -1))
        for key, name in _LISTS.items():
            for source in item.get(name, ()):
                yield Permission(protocol, first, last, source[key], source.get("Description") or "")


def _match(row: Mapping[str, Any]) -> tuple[object, ...]:
    """The values of `Permission.match` for a rule from DescribeSecurityGroupRules that names a group."""
    group = (row.get("ReferencedGroupInfo") or {}).get("GroupId")
    return row["IpProtocol"], row.get("FromPort", -1), row.get("ToPort", -1), group


def _to_aws(permissions: Iterable[Permission]) -> list[dict[str, Any]]:
    result = []
    for item in permissions:
        source = str(item.source)
        by_prefix = {"sg": "GroupId", "pl": "PrefixListId"}
        key = by_prefix.get(source.partition("-")[0], "CidrIpv6" if ":" in source else "CidrIp")
        ports = {} if item.protocol == "-1" else {"FromPort": item.from_port, "ToPort": item.to_port}
        note = {"Description": item.description} if item.description else {}
        result.append({"IpProtocol": item.protocol, **ports, _LISTS[key]: [{key: source, **note}]})
    return sorted(result, key=str)


KIND: Final = SecurityGroupRulesKind()
