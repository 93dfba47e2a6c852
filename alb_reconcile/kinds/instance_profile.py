"""The kind `instance_profile`: each with a role of its own, which EC2 assumes (IAM CreateInstanceProfile, CreateRole and the like)."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Kind, Named, Used, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties

SESSION_MANAGER: Final = "AmazonSSMManagedInstanceCore"
_MISSING: Final = ("NoSuchEntity",)
_EXISTS: Final = "EntityAlreadyExists"
_INLINE: Final = "inline"
"""The name of the inline policy."""
_EC2_ALONE: Final = "EC2 alone"
"""Stands for the trust policy that lets only EC2 assume a role."""


@dataclass(frozen=True, kw_only=True)
class InstanceProfile(Properties):
    """An instance profile and its role, which have one name."""

    kind = "instance_profile"
    service = "iam"
    replaced_on = frozenset({"name"})
    said_elsewhere = frozenset({"other_policies", "trust_policy"})
    known_in = "iam_instance_profile"
    removed_late = ("managed_policies", "policy")

    name: str | None = None
    managed_policies: tuple[str, ...] | None = None
    """Names of AWS's own policies, ARNs of others."""
    policy: str | None = None
    """The inline policy as JSON with sorted keys."""
    other_policies: tuple[str, ...] | None = None
    """The names of the role's further inline policies: none where an entry has any policies."""
    trust_policy: str | None = None
    """What may assume the role: `_EC2_ALONE`, or another trust policy as JSON."""

    def slots(self) -> Iterable[Hashable]:
        if self.name:
            yield "instance profile", self.name

    def expanded(self, observed: Self, zone_of: Callable[[Ref], str | None]) -> Self:
        """With what the role may do already: instances that are replaced need it until they have gone."""
        managed, policy = self.managed_policies, self.policy
        if managed is not None:
            managed = tuple(sorted({*managed, *(observed.managed_policies or ())}))
        if policy is not None and observed.policy is not None:
            policy = _joined(json.loads(policy), json.loads(observed.policy))
        return replace(self, managed_policies=managed, policy=policy)


def path_of(reader_or_run: Any) -> str:
    """The IAM path of a stack's profiles in a region: IAM's names are the account's, and IAM's lists have no tags."""
    return f"/alb-reconcile/{reader_or_run.aws.region}/{reader_or_run.stack}/"


def _own(scope: Scope, sort: str) -> tuple[str, ...]:
    return (scope.iam(f"{sort}/alb-reconcile/{scope.region}/{scope.stack}/*"),)


def may_pass(scope: Scope, profile: Ref) -> Grant:
    """The permission to pass a profile's role to EC2: a profile of the stack, or one by its name or ARN."""
    named = scope.roles or (str(profile).rpartition("/")[2],)  # no two roles have one name, whatever their paths
    others = tuple(scope.iam(f"role/{path}{name}") for name in named for path in ("", "*/"))
    roles = _own(scope, "role") if isinstance(profile, Address) else others
    services = ("ec2.amazonaws.com",) if scope.partition != "aws-cn" else ("ec2.amazonaws.com", "ec2.amazonaws.com.cn")
    return Grant(("iam:PassRole",), roles, (("StringEquals", "iam:PassedToService", services),))


def _short(policy: str) -> str:
    """A policy as an entry has it: AWS's own policies by their names, which are the same in each partition."""
    head, _, name = policy.partition(":iam::aws:policy/")
    return name if name and head.startswith("arn:") else policy


def _text(document: object) -> str:
    return json.dumps(document, sort_keys=True)


def _joined(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    """A policy with the statements of both."""
    both, there = (item if isinstance(item, list) else [item] for item in (wanted["Statement"], found["Statement"]))
    if {**wanted, "Statement": 0} == {**found, "Statement": 0} and all(item in there for item in both):
        return _text(found)
    more = [item for item in there if item not in both]
    return _text({**wanted, "Statement": [*both, *more]} if more else wanted)


def _trust_of(arn: str) -> dict[str, Any]:
    """The trust policy of a stack's roles, in the partition of an ARN."""
    suffix = ".cn" if arn.split(":")[1] == "aws-cn" else ""
    principal = {"Service": f"ec2.amazonaws.com{suffix}"}
    allowed = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [allowed]}


def _plain(value: Any) -> Any:
    """A part of a policy without the lists of one item that IAM takes instead of the item."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else [_plain(item) for item in value]
    return value


class InstanceProfileKind(Kind[InstanceProfile]):
    """Drives instance profiles."""

    properties = InstanceProfile
    noun = "an instance profile"
    position = 56
    section = "instance_profiles"
    arn_type = "instance-profile"
    missing = _MISSING
    is_always_read = False
    iam_actions = IamActions(
        read=(
            "iam:ListInstanceProfiles", "iam:GetInstanceProfile", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
            "iam:GetRolePolicy",
        ),
        look=("iam:GetPolicy",),
        create=(
            "iam:CreateInstanceProfile", "iam:CreateRole", "iam:AddRoleToInstanceProfile", "iam:AttachRolePolicy",
            "iam:PutRolePolicy", "iam:TagInstanceProfile", "iam:TagRole", "iam:GetInstanceProfile", "iam:PassRole",
            "iam:ListRoleTags",
        ),
        update=(
            "iam:CreateRole", "iam:AddRoleToInstanceProfile", "iam:AttachRolePolicy", "iam:DetachRolePolicy",
            "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:TagInstanceProfile",
            "iam:TagRole",
        ),
        delete=(
            "iam:ListAttachedRolePolicies", "iam:DetachRolePolicy", "iam:ListRolePolicies", "iam:DeleteRolePolicy",
            "iam:RemoveRoleFromInstanceProfile", "iam:DeleteRole", "iam:DeleteInstanceProfile",
        ),
        fields={"iam:PutRolePolicy": "policy"},
    )  # fmt: skip

    def grants(self, wanted: InstanceProfile, scope: Scope) -> Iterable[Grant]:
        """The permissions on a stack's profiles and roles, which are below the stack's path."""
        stated = self.iam_actions
        apart = {"iam:ListInstanceProfiles", "iam:PassRole", "iam:AttachRolePolicy"}
        every = {*stated.read, *stated.create, *stated.update, *stated.delete} - apart
        of_profile = tuple(sorted(name for name in every if "InstanceProfile" in name))
        yield Grant(("iam:ListInstanceProfiles",))
        yield Grant(of_profile, _own(scope, "instance-profile"))
        yield Grant(tuple(sorted(every.difference(of_profile))), _own(scope, "role"))
        yield may_pass(scope, Address(self.name, ""))
        if names := wanted.managed_policies:
            given = [
                name if name.startswith("arn:") else f"arn:{scope.partition}:iam::aws:policy/{name}" for name in names
            ]
            yield Grant(("iam:GetPolicy",), tuple(given))
            yield Grant(("iam:AttachRolePolicy",), _own(scope, "role"), (("ArnEquals", "iam:PolicyARN", tuple(given)),))

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> InstanceProfile:
        policies = entry.get("managed_policies")
        if entry.get("session_manager"):
            policies = [*(policies or ()), SESSION_MANAGER]
        wanted = None if policies is None else tuple(sorted({_short(item) for item in policies}))
        policy = _text(entry["policy"]) if "policy" in entry else None
        role: dict[str, Any] = {"managed_policies": wanted, "policy": policy, "trust_policy": _EC2_ALONE}
        others = None if wanted is None and policy is None else ()
        return InstanceProfile(name=entry.get("name"), other_policies=others, **role)

    async def discover(self, reader: Reader) -> list[Observed]:
        found = []
        rows = reader.once(_read_profiles, reader.aws, path_of(reader))
        for row in await reader.looked_for(self.name, "instance profiles", rows):
            there = reader.seen(row["Arn"], row, tags.from_list(row.get("Tags")))
            if reader.ours(there):
                address = tags.own_address(there, self.name, row["Arn"])
                found.append(Observed(address, row["Arn"], await self._read(reader, row), there, reader.stack))
        return found

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        """The entry, with its policy as a mapping instead of IAM's text."""
        policy = self.of(observed).policy
        return {**entry, "policy": json.loads(policy)} if policy else entry

    async def find_used(self, reader: Reader, users: Sequence[Observed]) -> list[Used]:
        """The instance profiles that instances have. No entry can describe a profile that another tool or user has made."""
        named: dict[str, list[str]] = defaultdict(list)
        for item in users:
            if arn := getattr(item.state, "iam_instance_profile", None):
                named[str(arn)].append(item.id)
        why = "stays outside: a stack's own has a path in IAM that says so, and IAM never changes a path"
        return [
            Used(tuple(ids), f"instance profile {arn.rpartition('/')[2]}", arn, why=why) for arn, ids in named.items()
        ]

    async def owners(self, reader: Reader) -> list[str]:
        """The stacks of instance profiles, by their paths (IAM ListInstanceProfiles)."""
        path = f"/alb-reconcile/{reader.aws.region}/"
        rows = await reader.aws.pages(
            "iam", "list_instance_profiles", "InstanceProfiles", PathPrefix=path, MaxItems=1000
        )
        return [row["Path"].split("/")[3] for row in rows if row["Path"].startswith(path)]

    async def is_hinted(self, reader: Reader) -> bool:
        """Whether an instance has a profile of the stack's path."""
        mark = f":instance-profile{path_of(reader)}"
        return any(mark in (row.get("IamInstanceProfile") or {}).get("Arn", "") for row in await reader.instances())

    async def _read(self, reader: Reader, row: Mapping[str, Any]) -> InstanceProfile:
        name = row["InstanceProfileName"]
        if not row.get("Roles"):  # half made
            return InstanceProfile(name=name)
        found: dict[str, Any] = {"managed_policies": (), "other_policies": (), "trust_policy": _EC2_ALONE}
        for role in row["Roles"]:  # GetInstanceProfile shows the trust policy; another role in it isn't the stack's
            if role["RoleName"] == name and _plain(role["AssumeRolePolicyDocument"]) != _plain(_trust_of(row["Arn"])):
                found["trust_policy"] = _text(role["AssumeRolePolicyDocument"])
        with ignoring(*_MISSING):
            found["managed_policies"] = tuple(sorted(map(_short, await _attached(reader.aws.call, name))))
            inline = await _inline(reader.aws.call, name)
            found["other_policies"] = tuple(sorted({*inline} - {_INLINE}))
            if _INLINE in inline:
                answer = await reader.aws.call("iam", "get_role_policy", RoleName=name, PolicyName=_INLINE)
                found["policy"] = _text(answer["PolicyDocument"])
        return InstanceProfile(name=name, **found)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Findings about managed policies that don't exist, each read once."""
        held: dict[str, list[Desired]] = {}
        for item in intents:
            if item.fields is None or "managed_policies" in item.fields:
                for policy in item.wanted.managed_policies or ():
                    held.setdefault(policy, []).append(item.desired)
        lost = await asyncio.gather(*(_is_lost(aws, policy) for policy in held))
        return [
            Finding(user, "managed_policies", _lost(policy))
            for policy, is_lost in zip(held, lost, strict=True)
            for user in (held[policy] if is_lost else ())
        ]

    async def create(self, run: Run, wanted: InstanceProfile, desired: Desired) -> str:
        name = wanted.name or run.physical_name(desired, [run.aws.region], 64)
        tagging, path = run.tag_list(desired), path_of(run)
        try:
            answer = await run.aws.call(
                "iam", "create_instance_profile", InstanceProfileName=name, Path=path, Tags=tagging
            )
        except AwsError as error:
            if error.code != _EXISTS:
                raise
            answer = await run.aws.call("iam", "get_instance_profile", InstanceProfileName=name)
            _refuse_others(tagging, name, answer["InstanceProfile"].get("Tags"), error)
        arn = str(answer["InstanceProfile"]["Arn"])
        await self._give_role(run, name, arn, tagging)
        await self._set(run, wanted, name, arn, frozenset({"managed_policies", "policy"}), ())
        return arn

    async def _give_role(self, run: Run, name: str, arn: str, tagging: list[dict[str, str]]) -> None:
        trust = _text(_trust_of(arn))
        try:
            await run.aws.call(
                "iam", "create_role", RoleName=name, AssumeRolePolicyDocument=trust, Path=path_of(run), Tags=tagging
            )
        except AwsError as error:
            if error.code != _EXISTS:
                raise
            found = await run.aws.call("iam", "list_role_tags", RoleName=name)
            _refuse_others(tagging, name, found["Tags"], error)
        with ignoring("LimitExceeded"):  # the profile has a role already, which can only be this one
            retry, operation = waits.ROLE_UNKNOWN, "add_role_to_instance_profile"
            await run.aws.call("iam", operation, retry=retry, InstanceProfileName=name, RoleName=name)

    async def update(self, run: Run, wanted: InstanceProfile, observed: Observed, fields: frozenset[str]) -> None:
        there, name = self.of(observed), str(self.of(observed).name)
        if there.managed_policies is None:  # a user has removed the role from the profile
            await self._give_role(run, name, observed.id, tags.to_list(observed.tags))
            fields |= {"managed_policies", "policy"}
        for policy in there.other_policies or () if "other_policies" in fields else ():
            await run.gone("iam", "delete_role_policy", missing=_MISSING, RoleName=name, PolicyName=policy)
        if "trust_policy" in fields:
            retry, trust = waits.ROLE_UNKNOWN, _text(_trust_of(observed.id))
            await run.aws.call("iam", "update_assume_role_policy", retry=retry, RoleName=name, PolicyDocument=trust)
        await self._set(run, wanted, name, observed.id, fields, there.managed_policies or ())

    async def _set(
        self, run: Run, wanted: InstanceProfile, name: str, arn: str, fields: frozenset[str], there: Iterable[str]
    ) -> None:
        retry = waits.ROLE_UNKNOWN
        if "managed_policies" in fields and wanted.managed_policies is not None:
            for policy in sorted({*wanted.managed_policies}.difference(there)):
                arn_of = _whole(policy, arn)
                await run.aws.call("iam", "attach_role_policy", retry=retry, RoleName=name, PolicyArn=arn_of)
            for policy in sorted({*there}.difference(wanted.managed_policies)):
                arn_of = _whole(policy, arn)
                await run.gone("iam", "detach_role_policy", missing=_MISSING, RoleName=name, PolicyArn=arn_of)
        if "policy" in fields and wanted.policy is not None:
            own: dict[str, Any] = {"PolicyName": _INLINE, "PolicyDocument": wanted.policy}
            await run.aws.call("iam", "put_role_policy", retry=retry, RoleName=name, **own)

    async def delete(self, run: Run, observed: Observed) -> None:
        """Delete the policies, the role and then the profile, which shows what is still left."""
        name = str(self.of(observed).name)

        async def gone(operation: str, **params: Any) -> None:
            await run.gone("iam", operation, missing=_MISSING, **params)

        with ignoring(*_MISSING):
            for policy in await _attached(run.aws.call, name):
                await gone("detach_role_policy", RoleName=name, PolicyArn=policy)
            for policy in await _inline(run.aws.call, name):
                await gone("delete_role_policy", RoleName=name, PolicyName=policy)
        await gone("remove_role_from_instance_profile", InstanceProfileName=name, RoleName=name)
        await gone("delete_role", RoleName=name)
        await gone("delete_instance_profile", InstanceProfileName=name)


async def _read_profiles(aws: Aws, path: str) -> list[dict[str, Any]]:
    """The instance profiles (IAM) below a path, with their tags under `Tags`."""
    names: list[str] = []
    marker: dict[str, Any] = {}
    while True:
        answer = await aws.call("iam", "list_instance_profiles", PathPrefix=path, **marker)
        names += [row["InstanceProfileName"] for row in answer["InstanceProfiles"] if row["Path"] == path]
        if not answer.get("IsTruncated"):
            break
        marker = {"Marker": answer["Marker"]}
    found = []
    for name in names:  # the list has no tags
        with ignoring("NoSuchEntity"):
            answer = await aws.call("iam", "get_instance_profile", InstanceProfileName=name)
            found.append(answer["InstanceProfile"])
    return found


async def _attached(call: Callable[..., Awaitable[Any]], name: str) -> list[str]:
    """The ARNs of a role's managed policies: AWS allows 20 at most, fewer than a page."""
    answer = await call("iam", "list_attached_role_policies", RoleName=name)
    return [item["PolicyArn"] for item in answer["AttachedPolicies"]]


async def _inline(call: Callable[..., Awaitable[Any]], name: str) -> list[str]:
    """The names of a role's inline policies: they have 10,240 characters together, so a page of 1,000 holds them all."""
    return list((await call("iam", "list_role_policies", RoleName=name, MaxItems=1000))["PolicyNames"])


async def _is_lost(aws: Aws, policy: str) -> bool:
    """Whether a policy doesn't exist, as IAM says."""
    with ignoring("AccessDenied"):
        with ignoring(*_MISSING):
            await aws.call("iam", "get_policy", PolicyArn=_whole(policy, f"arn:{partition_of(aws.region)}"))
            return False
        return True
    return False


def _lost(policy: str) -> str:
    if policy.startswith("arn:"):
        return f"there is no managed policy {policy}; correct its ARN"
    return f'AWS has no managed policy "{policy}"; write its name as IAM shows it, with its path if it has one (service-role/…), or the ARN of one of your own'


def _whole(policy: str, arn: str) -> str:
    """The ARN of a policy, in the partition of the ARN `arn`."""
    return policy if policy.startswith("arn:") else f"arn:{arn.split(':')[1]}:iam::aws:policy/{policy}"


def _refuse_others(wanted: Iterable[Mapping[str, str]], name: str, found: Any, error: AwsError) -> None:
    """Raise RefusedError unless an earlier call with a lost reply has made the existing resource of the name."""
    own, there = tags.from_list(wanted), tags.from_list(found)
    if any(there.get(key) != own[key] for key in (tags.STACK, tags.ADDRESS)):
        raise RefusedError(
            f'this account has a role or instance profile named "{name}" outside this stack; choose another name ({error.code})'
        ) from None


KIND: Final = InstanceProfileKind()
