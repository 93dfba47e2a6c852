"""The rules of a security group (EC2 Authorize-, RevokeSecurityGroupIngress and -Egress)."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Entry, Kind
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties

_PREFIXES: Final = {"ingress": "security_group_ingress", "egress": "security_group_egress"}


class Permission(NamedTuple):
    """One rule. `source` is a CIDR range, a prefix list's id, a security group's id or its address.

    A description of None is not managed.
    """

    protocol: str
    from_port: int
    to_port: int
    source: Ref
    description: str | None = None

    @property
    def match(self) -> tuple[object, ...]:
        """What AWS tells rules apart by."""
        return self[:4]


@dataclass(frozen=True, kw_only=True)
class SecurityGroupRules(Properties):
    """Everything that a group lets in and out."""

    kind = "security_group_rules"
    service = ""
    removed_late = ("egress", "ingress")
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
            self, ingress=_union(self.ingress, observed.ingress), egress=_union(self.egress, observed.egress)
        )


class SecurityGroupRulesKind(Kind[SecurityGroupRules]):
    """Drives security group's rules."""

    properties = SecurityGroupRules
    noun = "a security group's rules"
    position = 55

    async def discover(self, reader: Reader) -> list[Observed]:
        result = []
        for group in await reader.tagged("describe_security_groups", "SecurityGroups"):
            owner = tags.address_of(tags.from_list(group["Tags"]), "security_group") or tags.unnamed(
                "security_group", group["GroupId"]
            )
            state = SecurityGroupRules(
                security_group=group["GroupId"],
                ingress=tuple(sorted(_flatten(group.get("IpPermissions", ())), key=str)),
                egress=tuple(sorted(_flatten(group.get("IpPermissionsEgress", ())), key=str)),
            )
            result.append(
                Observed(
                    Address("security_group_rules", owner.name), f"{group['GroupId']}/rules", state, {}, reader.stack
                )
            )
        return result

    async def create(self, run: Run, wanted: SecurityGroupRules, desired: Desired) -> str:
        group = str(wanted.security_group)
        await self._authorize(run, group, "ingress", wanted.ingress or ())
        if wanted.egress is not None:
            await self._bring(run, group, "egress", wanted.egress, await self._egress(run, group))
        return f"{group}/rules"

    async def update(self, run: Run, wanted: SecurityGroupRules, observed: Observed, fields: frozenset[str]) -> None:
        for direction in _PREFIXES:
            permissions: tuple[Permission, ...] | None = getattr(wanted, direction)
            if direction in fields and permissions is not None:
                found = getattr(observed.state, direction) or ()
                await self._bring(run, str(wanted.security_group), direction, permissions, found)

    async def _egress(self, run: Run, group: str) -> tuple[Permission, ...]:
        """What every new group lets out: IPv4, and in a VPC with IPv6 that as well (EC2 CreateSecurityGroup)."""
        answer = await run.aws.call("ec2", "describe_security_groups", retry=waits.GROUP_UNKNOWN, GroupIds=[group])
        return tuple(_flatten(answer["SecurityGroups"][0].get("IpPermissionsEgress", ())))

    async def _bring(
        self, run: Run, group: str, direction: str, wanted: tuple[Permission, ...], found: tuple[Permission, ...]
    ) -> None:
        """Make the rules of a direction the wanted ones."""
        have, want = {item.match: item for item in found}, {item.match: item for item in wanted}
        # first what is to be allowed, then what no longer is: nothing that stays is cut off
        added = [want[key] for key in want.keys() - have.keys()]
        removed = [have[key] for key in have.keys() - want.keys()]
        try:
            await self._authorize(run, group, direction, added)
        except AwsError as error:
            if error.code != "RulesPerSecurityGroupLimitExceeded" or not removed:
                raise
            await self._revoke(run, group, direction, removed)
            removed = []
            await self._authorize(run, group, direction, added)
        await self._revoke(run, group, direction, removed)
        described = [
            want[key] for key in want.keys() & have.keys() if want[key].description not in (None, have[key].description)
        ]
        if described:
            operation = f"update_security_group_rule_descriptions_{direction}"
            await run.aws.call(
                "ec2", operation, retry=waits.GROUP_UNKNOWN, GroupId=group, IpPermissions=_to_aws(described)
            )

    async def _authorize(
        self, run: Run, group: str, direction: str, permissions: tuple[Permission, ...] | list[Permission]
    ) -> None:
        await self._change(run, "authorize", group, direction, list(permissions), "InvalidPermission.Duplicate")

    async def _revoke(self, run: Run, group: str, direction: str, permissions: list[Permission]) -> None:
        await self._change(run, "revoke", group, direction, permissions, "InvalidPermission.NotFound")

    async def _change(
        self, run: Run, verb: str, group: str, direction: str, permissions: list[Permission], done: str
    ) -> None:
        """One call for all; where AWS says that some of it is done already, one call for each."""
        if not permissions:
            return
        operation = f"{verb}_{_PREFIXES[direction]}"
        try:
            await run.aws.call(
                "ec2", operation, retry=waits.GROUP_UNKNOWN, GroupId=group, IpPermissions=_to_aws(permissions)
            )
        except AwsError as error:
            if error.code != done:
                raise
            if len(permissions) > 1:
                for permission in permissions:
                    await self._change(run, verb, group, direction, [permission], done)

    async def delete(self, run: Run, observed: Observed) -> None:
        state = observed.state
        assert isinstance(state, SecurityGroupRules)  # noqa: S101 (for mypy: a kind only ever deletes its own)
        try:
            for direction in _PREFIXES:
                await self._revoke(run, str(state.security_group), direction, list(getattr(state, direction) or ()))
        except AwsError as error:
            if error.code not in waits.GROUP_UNKNOWN:
                raise


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


def _describe(
    wanted: tuple[Permission, ...] | None, found: tuple[Permission, ...] | None
) -> tuple[Permission, ...] | None:
    """Descriptions that the spec leaves out are those that there are."""
    if wanted is None:
        return None
    known = {item.match: item.description for item in found or ()}
    return tuple(
        sorted(
            (
                item if item.description is not None else item._replace(description=known.get(item.match) or "")
                for item in wanted
            ),
            key=str,
        )
    )


def _union(
    wanted: tuple[Permission, ...] | None, found: tuple[Permission, ...] | None
) -> tuple[Permission, ...] | None:
    if wanted is None:
        return None
    matches = {item.match for item in wanted}
    return tuple(sorted((*wanted, *(item for item in found or () if item.match not in matches)), key=str))


def _flatten(permissions: Any) -> Iterator[Permission]:
    """AWS's permissions, which group several sources, as one each."""
    for item in permissions:
        protocol = item["IpProtocol"]
        ports = (-1, -1) if protocol == "-1" else (item.get("FromPort", -1), item.get("ToPort", -1))
        sources = [
            *((source["CidrIp"], source) for source in item.get("IpRanges", ())),
            *((source["CidrIpv6"], source) for source in item.get("Ipv6Ranges", ())),
            *((source["PrefixListId"], source) for source in item.get("PrefixListIds", ())),
            *((source["GroupId"], source) for source in item.get("UserIdGroupPairs", ())),
        ]
        for name, source in sources:
            yield Permission(protocol, ports[0], ports[1], name, source.get("Description") or "")


def _to_aws(permissions: list[Permission]) -> list[dict[str, Any]]:
    result = []
    for item in permissions:
        source = str(item.source)
        note = {"Description": item.description} if item.description else {}
        entry: dict[str, Any] = {"IpProtocol": item.protocol}
        if item.protocol != "-1":
            entry |= {"FromPort": item.from_port, "ToPort": item.to_port}
        if source.startswith("sg-"):
            entry["UserIdGroupPairs"] = [{"GroupId": source, **note}]
        elif source.startswith("pl-"):
            entry["PrefixListIds"] = [{"PrefixListId": source, **note}]
        elif ":" in source:
            entry["Ipv6Ranges"] = [{"CidrIpv6": source, **note}]
        else:
            entry["IpRanges"] = [{"CidrIp": source, **note}]
        result.append(entry)
    return sorted(result, key=str)


KIND: Final = SecurityGroupRulesKind()
