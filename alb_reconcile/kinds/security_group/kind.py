"""Drives security groups without their rules (EC2 CreateSecurityGroup, DeleteSecurityGroup)."""

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row, read_interfaces
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.networks import vpc_of
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, name_in_common
from alb_reconcile.kinds.security_group import checks
from alb_reconcile.kinds.security_group.audit import audit
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules, read_permissions
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed, Properties, bind
from alb_reconcile.model.service import Firewall

_MOST_WORN: Final = 5
"""The most security groups of one network interface, by default (Amazon VPC quotas)."""
_MADE_FOR: Final = re.compile(r"(?<=^ELB )app/\S+|vpce-[0-9a-f]+|nat-[0-9a-f]+")
"""The resource that a network interface was made for, in the interface's description."""


def worn_together(wanted: tuple[Ref, ...] | None, found: tuple[Ref, ...] | None) -> tuple[Ref, ...] | None:
    """The wanted and the present security groups; only the wanted ones where both are more than AWS takes for one interface."""
    both = tuple(sorted({*(wanted or ()), *(found or ())}, key=str))
    return both if wanted and len(both) <= _MOST_WORN else wanted


@dataclass(frozen=True, kw_only=True)
class SecurityGroup(Firewall):
    """A security group. Its rules are a separate resource, so that two groups can name each other."""

    kind = "security_group"
    service = "ec2"
    in_vpc = "vpc"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc", "name", "description"})

    longest_name: ClassVar[int] = 255

    vpc: Ref
    name: str | None = None
    description: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("group name", str(self.vpc), self.name.lower()),) if self.name else ()

    def named_after(self, found: Observed) -> Iterable[Sequence[object]]:
        return ([self.vpc, self.description],)


class SecurityGroupKind(Ec2Kind[SecurityGroup]):
    """Drives security groups."""

    properties = SecurityGroup
    noun = "a security group"
    position = 50
    section = "security_groups"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    audits = (audit,)
    id_prefix = "sg-"
    listing = Listing("describe_security_groups", "SecurityGroups", "GroupId", "group-id", needs_foreign=True)
    missing = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
    in_use = waits.GROUP_IN_USE
    holds_interfaces = True
    chosen = frozenset({"name"})
    quotas = (Quota("L-E79EC296", "security groups", 2500),)
    iam_actions = IamActions(
        read=("ec2:DescribeSecurityGroups",),
        look=("servicequotas:GetServiceQuota",),
        create=("ec2:CreateSecurityGroup", "ec2:CreateTags"),
        update=("ec2:CreateTags",),
        delete=("ec2:DeleteSecurityGroup", "ec2:DescribeNetworkInterfaces"),
        on={"ec2:CreateSecurityGroup": "security-group+ vpc"},
    )  # fmt: skip

    def addresses_of(self, name: str, entry: Entry) -> Iterable[Address]:
        """The address of the group, and that of its rules."""
        yield from (Address(self.name, name), Address(SecurityGroupRules.kind, name))

    def scope_of(self, name: str, label: str, around: Around) -> tuple[str | None, str]:
        """A group's name is unique in its VPC, without regard to case."""
        return vpc_of(around, self.section, name), label.lower()

    def members(self, name: str, entry: Entry, around: Around) -> Iterable[tuple[Address, Properties]]:
        if "ingress" in entry or "egress" in entry:
            rules = SecurityGroupRules(
                security_group=Address("security_group", name),
                ingress=read_permissions(entry.get("ingress")),
                egress=read_permissions(entry.get("egress")),
            )
            yield Address("security_group_rules", name), rules

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "its VPC's default security group, which AWS never deletes" if row.get("GroupName") == "default" else ""

    def suggest_name(self, state: SecurityGroup) -> str:
        return state.name or ""

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        same_words = wanted.description in (None, found.description)
        same_rules = _same_rules(desired, item, known)
        if name := name_in_common(desired, item):
            return Evidence(0 if same_words and same_rules else 1, name, named=True)
        if wanted.name or not same_words:
            return None  # AWS can't change these, so the group would be replaced
        if same_rules:
            return Evidence(2, "its rules" if wanted.description is None else "its description and rules")
        return Evidence(3, "its description") if wanted.description is not None else None

    async def find_users(self, aws: Aws, ids: Iterable[str], besides: Collection[str]) -> list[tuple[str, str]]:
        """The network interfaces with these groups (EC2 DescribeNetworkInterfaces)."""
        groups, users = {*ids}, []
        rows = await read_interfaces(aws, "group-id", groups)
        for row in sorted(rows, key=lambda row: str(row["NetworkInterfaceId"])):
            words = str(row.get("Description", ""))
            wearer = (row.get("Attachment") or {}).get("InstanceId") or (_MADE_FOR.search(words) or [words])[0]
            if not any(key == wearer or key.endswith(f":loadbalancer/{wearer}") for key in besides):
                told = f"{row['NetworkInterfaceId']} ({words})" if words else row["NetworkInterfaceId"]
                users += [
                    (told, group) for group in sorted(groups & {item["GroupId"] for item in row.get("Groups", ())})
                ]
        return users

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, row) for row in await self.own_rows(reader)]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        state = SecurityGroup(vpc=row["VpcId"], name=row["GroupName"], description=row["Description"])
        return self.observe(reader, row, state)

    async def create(self, run: Run, wanted: SecurityGroup, desired: Desired) -> str:
        name = wanted.name or run.physical_name(desired, [wanted.vpc, wanted.description], wanted.longest_name)
        try:
            return await self.call_create(
                run, desired, GroupName=name, Description=wanted.description, VpcId=wanted.vpc
            )
        except AwsError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            return await self._find(run, wanted, desired, name, error)

    async def _find(self, run: Run, wanted: SecurityGroup, desired: Desired, name: str, error: AwsError) -> str:
        # by name alone: a filter by tag may not find a group right after its create
        where = {"vpc-id": str(wanted.vpc), "group-name": name}
        for group in await run.aws.pages("ec2", "describe_security_groups", "SecurityGroups", where=where):
            if tags.identity(desired, run.stack).items() <= tags.from_list(group.get("Tags")).items():
                return str(group["GroupId"])
        raise RefusedError(
            f'{wanted.vpc} has a security group named "{name}" outside this stack; choose another name ({error.code})'
        )

    async def update(self, run: Run, wanted: SecurityGroup, observed: Observed, fields: frozenset[str]) -> None:
        """Does nothing: of a group itself only tags can be changed."""


def _same_rules(desired: Desired, item: Candidate, known: Known) -> bool:
    """Whether a candidate has the rules in the spec. A group in a rule that isn't matched yet may be any group."""
    entry = known.desired.get(Address(SecurityGroupRules.kind, desired.address.name))
    found = known.once(_rules_by_group).get(item.found.id)
    if entry is None or found is None:
        return False
    wanted: Any = bind(entry.state, {**known.ids, desired.address: item.found.id})
    for have, want in ((found.ingress, wanted.ingress), (found.egress, wanted.egress)):
        if want is not None and _rule_shapes(have or (), want) != _rule_shapes(want, want):
            return False
    return bool(wanted.ingress or wanted.egress)


def _rules_by_group(known: Known) -> Mapping[str, SecurityGroupRules]:
    return {str(state.security_group): state for state in known.there(SecurityGroupRules.kind)}


def _rule_shapes(rules: Collection[Any], wanted: Collection[Any]) -> set[tuple[object, ...]]:
    known = {rule.source for rule in wanted if isinstance(rule.source, str)}
    return {(*rule[:3], rule.source if rule.source in known else "another group") for rule in rules}


KIND: Final = SecurityGroupKind()
