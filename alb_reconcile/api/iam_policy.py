"""Makes the smallest IAM policy for a command: what the kinds of some stacks call, as far as AWS lets it be narrowed."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, NamedTuple

from alb_reconcile.engine.blockers import IAM_ACTIONS as BLOCKERS
from alb_reconcile.engine.lookups import lookup_grants
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds._rare import IAM_ACTIONS as RARE
from alb_reconcile.kinds.base import AnyKind, HasRole
from alb_reconcile.kinds.grants import Condition, Grant, Scope
from alb_reconcile.locking.store import LeaseLocation
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.resource import BLUE_GREEN, Properties, field_names
from alb_reconcile.model.service import Member, Pool, Router, RoutingRule, Server
from alb_reconcile.model.text import camel
from alb_reconcile.sync.severity import verbs_of

Command = Literal["plan", "apply", "deploy", "rollback", "sync", "destroy", "instances"]
"""What is allowed: a command; `deploy`: an apply of another version, which makes no network and no load balancer; or what instances do by the role of an instance profile that the spec doesn't make."""
MOST: Final = 6144
"""The most characters of a managed policy, blanks aside ("IAM and AWS STS quotas")."""
_TAGGED: Final = ("ec2", "elasticloadbalancing")
"""The services that have resources which the policy selects by tags."""
_TAGGING: Final = {"ec2:CreateTags": "ec2", "elasticloadbalancing:AddTags": "elasticloadbalancing"}
_LISTS: Final = re.compile("[a-z0-9]+:(Describe|List|Get)")
_ID: Final = re.compile("([a-z0-9-]+)-[0-9a-zA-Z]{8,32}")
_TYPES: Final = {"snap": "snapshot"}
"""Types of resources that have no kind, by the beginning of their ids where that isn't the type."""
_STACK: Final = f"aws:ResourceTag/{tags.STACK}"
_REQUEST: Final = f"aws:RequestTag/{tags.STACK}"
Document = dict[str, Any]


class _Part(NamedTuple):
    """An action on a resource, under conditions."""

    action: str
    resource: str
    condition: Condition = ()


def policy_documents(
    stacks: Sequence[DesiredStack], command: Command, further: Iterable[Document] = (), *, issue: bool = False,
    roles: Sequence[str] = (),
) -> list[Document]:  # fmt: skip
    """The policy with which a command runs over these stacks; several documents where one would be longer than AWS accepts.

    `issue`: for `sync --issue`, which asks CloudTrail which users have changed what. `further` are additional statements. `roles`: as
    in `Scope`.
    """
    if command == "instances":
        found = [*_of_roles(stacks)]
        return [{"Version": "2012-10-17", "Statement": part} for part in _split(found)] if found else []
    accounts = {account for stack in stacks for account in stack.account_ids}
    account = accounts.pop() if len(accounts) == 1 and all(stack.account_ids for stack in stacks) else "*"
    names: dict[str, list[str]] = defaultdict(list)
    for stack in stacks:
        names[stack.region].append(stack.stack)
    rules = _Rules()
    for stack in stacks:
        scope = Scope(stack.stack, stack.region, account, stack.desired, tuple(sorted(set(names[stack.region]))), roles)
        _Needs(stack, scope, command, rules).add_all()
    regions = tuple(sorted(names)) if issue else ()
    if regions:
        rules.add([_Part("cloudtrail:LookupEvents", "*", (("StringEquals", "aws:RequestedRegion", regions),))])
    found = [*further, *rules.statements()]
    return [{"Version": "2012-10-17", "Statement": part} for part in _split(found)] if found else []


def _of_roles(stacks: Sequence[DesiredStack]) -> Iterator[Document]:
    """The statements of the roles that the spec's entries use and don't make, each once."""
    seen: set[str] = set()
    for stack in stacks:
        account = stack.account_ids[0] if len(stack.account_ids) == 1 else "*"
        for item in stack.desired.values():
            kind = load_kinds()[item.address.kind]
            for found in kind.role_statements(item.state, account) if isinstance(kind, HasRole) else ():
                if (text := json.dumps(found)) not in seen:
                    seen.add(text)
                    yield found


class _Rules:
    """Collects the allowed actions with their resources, by condition, and merges them into as few statements as possible. `types`: by
    action, the types of all resources that it was added with, under any condition."""

    def __init__(self) -> None:
        self.allowed: dict[Condition, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.types: dict[str, set[str]] = defaultdict(set)
        self._values: dict[tuple[str, str], tuple[set[_Part], set[str]]] = defaultdict(lambda: (set(), set()))

    def add(self, parts: Iterable[_Part]) -> None:
        for action, resource, condition in parts:
            if condition and condition[0][0].startswith("ForAllValues"):  # a call may have what several entries need
                operator, key, values = condition[0]
                members, known = self._values[operator, key]
                members.add(_Part(action, resource))
                known.update(values)
                continue
            self.allowed[condition][action].add(resource)
            self.types[action].add(_type_of(resource))

    def statements(self) -> list[dict[str, Any]]:
        """The statements, always in the same order."""
        found = []
        for (operator, key), (members, values) in sorted(self._values.items()):
            actions = {item.action for item in members}
            found.append(statement(actions, {item.resource for item in members}, ((operator, key, tuple(values)),)))
        for condition, checked in sorted(self.allowed.items()):
            groups = self._merged(checked, is_own=any(key == _STACK for _, key, _ in condition))
            found += [statement(*group, condition) for group in groups]
        return sorted(found, key=lambda item: (item["Resource"] != "*", json.dumps(item)))

    def _merged(self, actions: Mapping[str, set[str]], *, is_own: bool) -> list[tuple[set[str], set[str]]]:
        """Actions with their resources, merged where a statement can be shared without any action being allowed more."""
        alike: dict[frozenset[str], set[str]] = defaultdict(set)
        for action, resources in sorted(actions.items()):
            alike[frozenset(resources)].add(action)
        groups: list[tuple[set[str], set[str]]] = []
        for among, own in sorted(alike.items(), key=lambda item: sorted(item[0])):
            resources = set(among)
            for known, there in groups:
                every = there | resources
                # resources with the stack's tag are the stack's: a statement on more of its types allows no more than it has
                if not ({"*"} & (there ^ resources)) and (
                    is_own or not any(self._is_wider(item, every - actions[item]) for item in known | own)
                ):  # fmt: skip
                    known |= own
                    there |= resources
                    break
            else:
                groups.append((set(own), set(resources)))
        return groups

    def _is_wider(self, action: str, resources: Set[str]) -> bool:
        return action.partition(":")[0] not in _TAGGED or any(
            _type_of(item) in self.types[action] for item in resources
        )


@dataclass(frozen=True)
class _Needs:
    """The permissions that one stack needs."""

    stack: DesiredStack
    scope: Scope
    command: Command
    rules: _Rules

    def add_all(self) -> None:
        for grant in self._common():
            self._add(grant, frozenset(grant.actions))
        made: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for kind in load_kinds().values():
            verbs = self._verbs(kind)
            stated = kind.iam_actions
            wanted = frozenset(
                action
                for verb in verbs
                for action in getattr(stated, verb)
                if self._says(kind, stated.fields.get(action))
            )
            for action in sorted(wanted):
                if action not in _TAGGING and action.partition(":")[0] in _TAGGED:
                    self.rules.add(self._checked(kind, action))
            for item in self.stack.desired.values():
                if item.address.kind == kind.name:
                    for grant in kind.grants(item.creation, self.scope):
                        self._add(grant, wanted)
            if "look" in verbs:
                services = {item.service for item in kind.quotas if item.code.startswith("L-")}
                arns = tuple(self.scope.arn("servicequotas", f"{service}/*") for service in services)
                self._add(Grant(("servicequotas:GetServiceQuota",), arns), wanted)
            if self.command != "plan" and kind.name in self.declared:
                self._tagging(kind, verbs, made)
        for action, service in _TAGGING.items():
            key = (("StringEquals", f"{service}:CreateAction", tuple(sorted(made[service]))),)
            types = {item for found in made[service].values() for item in found}
            self.rules.add(_Part(action, self._arn(service, item), key) for item in types)

    def _common(self) -> Iterator[Grant]:
        """The calls that are made whatever a stack has."""
        yield Grant((*RARE, *BLOCKERS))
        for item in self._lookups():
            yield from lookup_grants(item, self.scope)
        if self.stack.lease and self.command != "plan":
            lease = LeaseLocation.of(self.stack.lease, self.scope.account, self.scope.region, self.stack.stack)
            yield Grant(("s3:GetObject", "s3:PutObject"), (lease.arn,))
            # without a prefix: a read of a missing object has none
            yield Grant(("s3:ListBucket",), (self.scope.s3(lease.bucket),))

    @property
    def declared(self) -> Set[str]:
        return {address.kind for address in self.stack.desired}

    def _verbs(self, kind: AnyKind) -> Set[str]:
        """The operations on a kind that the command needs, as names of fields of the kind's `iam_actions`."""
        if self.command in ("deploy", "rollback"):
            return self._verbs_of_deployment(kind)
        if kind.name not in self.declared:
            looked_up = any(item.kind == kind.name for item in self._lookups())
            if issubclass(kind.properties, RoutingRule) and self.command in ("apply", "sync") and self._asks():
                return {"read", "create", "delete"}
            is_read = (kind.is_always_read and not kind.is_rare) or looked_up or self.command == "destroy"
            return {"read"} if is_read else set()
        if self.command == "plan":
            return {"read", "look"}
        if self.command == "destroy":
            return {"read", "delete"}
        if self.command == "apply":
            return {"read", "look", "create", "update", "delete"}
        names = [(str(item), kind.name) for item in self.stack.desired if item.kind == kind.name]
        may = {
            action for action in ("create", "update", "replace", "delete")
            if any(self.stack.sync.of(own, action) == "correct" for own in names)
        }  # fmt: skip
        return {"read", "look"} | verbs_of(kind.properties, may)

    def _verbs_of_deployment(self, kind: AnyKind) -> Set[str]:
        """The operations of a deployment, or of a rollback, which changes weights and tags only."""
        part = kind.properties
        is_read = kind.name in self.declared or (kind.is_always_read and not kind.is_rare)
        read = {"read"} if is_read else set()
        if self.command == "rollback":
            return read | ({"update"} if issubclass(part, Router | Pool) and kind.name in self.declared else set())
        if kind.name not in self.declared:
            return {"read", "create", "delete"} if issubclass(part, RoutingRule) and self._asks() else read
        if issubclass(part, Server | Pool | Member):
            return {"read", "look", "create", "update", "delete"}
        return {"read", "look", "update"} if issubclass(part, Router) else {"read", "look"}

    def _asks(self) -> bool:
        """Whether a run asks new versions by a rule of its own, before requests move to them."""
        rollouts = (item.lifecycle.rollout for item in self.stack.desired.values())
        return any(item.strategy == BLUE_GREEN and item.checks != () for item in rollouts)

    def _says(self, kind: AnyKind, fields: str | None) -> bool:
        """Whether an entry has one of these properties; True where no properties are given."""
        own = [item.creation for item in self.stack.desired.values() if item.address.kind == kind.name]
        return not fields or any(getattr(state, name) not in (None, ()) for state in own for name in fields.split())

    def _add(self, grant: Grant, wanted: frozenset[str]) -> None:
        pairs = product(sorted(wanted.intersection(grant.actions)), grant.resources)
        condition = grant.condition or self._regional(grant)
        self.rules.add(_Part(action, resource, condition) for action, resource in pairs)

    def _regional(self, grant: Grant) -> Condition:
        """A limit to the region for actions that AWS checks on no resource, where the service has regions."""
        is_any = "*" in grant.resources and not any(item.startswith(_GLOBAL) for item in grant.actions)
        return (("StringEquals", "aws:RequestedRegion", (self.scope.region,)),) if is_any else ()

    def _checked(self, kind: AnyKind, action: str) -> Iterator[_Part]:
        """An action on all resources on which AWS checks it."""
        own = type_of(kind)
        stated = kind.iam_actions.on.get(action, "*" if _LISTS.match(action) else own)
        service = action.partition(":")[0]
        for word in stated.split():
            name = word.rstrip("+*@")
            if not name:
                yield _Part(action, "*", self._regional(Grant((action,))))
            elif word.endswith("+"):
                yield _Part(action, self._arn(service, name), self._equals(_REQUEST))
            elif word.endswith(("*", "@")):
                yield _Part(action, self._arn(service, name, "*" * word.endswith("@")))
            else:
                if name in self._own_types:
                    yield _Part(action, self._arn(service, name), self._equals(_STACK))
                if name != own or not kind.properties.service:
                    yield from (_Part(action, arn, condition) for arn, condition in self._named.get(name, ()))

    def _tagging(self, kind: AnyKind, verbs: Set[str], made: dict[str, dict[str, set[str]]]) -> None:
        """Permissions to tag: new resources, and later resources with the stack's tag."""
        service = "elasticloadbalancing" if kind.properties.service == "elbv2" else kind.properties.service
        if service not in _TAGGED:
            return
        action = next(name for name, own in _TAGGING.items() if own == service)
        types = {type_of(kind)}
        if "create" in verbs:
            for call in kind.iam_actions.create:
                words = kind.iam_actions.on.get(call, "").split()
                new = {word.rstrip("+") for word in words if word.endswith("+")}
                if call == f"{service}:Create{camel(kind.name)}":
                    new.add(type_of(kind))
                if new:
                    made[service][call.partition(":")[2]] |= new
                    types |= new
        self.rules.add(_Part(action, self._arn(service, item), self._equals(_STACK)) for item in types)

    def _arn(self, service: str, kind: str, owner: str = "") -> str:
        """The ARN of all resources of a type."""
        account = "" if kind in ("image", "snapshot") else owner or self.scope.account
        return f"arn:{self.scope.partition}:{service}:{self.scope.region}:{account}:{kind}/*"

    def _equals(self, key: str) -> Condition:
        return (("StringEquals", key, self.scope.stacks),)

    @property
    def _own_types(self) -> Set[str]:
        """The types of which the stack may own resources."""
        kinds = [kind for kind in load_kinds().values() if kind.name in self.declared]
        stated = (word for kind in kinds for text in kind.iam_actions.on.values() for word in text.split())
        return {*map(type_of, kinds), *(word.rstrip("+") for word in stated if word.endswith("+"))}

    @property
    def _named(self) -> Mapping[str, Set[tuple[str, Condition]]]:
        """Others' resources that the spec names or looks up, by type: ARNs with conditions."""
        found: dict[str, set[tuple[str, Condition]]] = defaultdict(set)
        by_prefix = {kind.id_prefix.rstrip("-"): type_of(kind) for kind in load_kinds().values() if kind.id_prefix}
        start = f"arn:{self.scope.partition}:ec2:{self.scope.region}"  # they may be shared by another account
        for text in self._texts():
            if isinstance(text, Lookup):
                name = type_of(load_kinds()[text.kind])
                tests = tuple(("StringEquals", f"aws:ResourceTag/{key}", (value,)) for key, value in text.tags)
                found[name].add((f"{start}:*:{name}/*", tests))
            elif known := _ID.fullmatch(text):
                name = by_prefix.get(known[1]) or _TYPES.get(known[1], known[1])
                found[name].add((f"{start}:*:{name}/{text}", ()))
        return found

    def _lookups(self) -> Iterator[Lookup]:
        return (text for text in self._texts() if isinstance(text, Lookup))

    def _texts(self) -> Iterator[str]:
        for item in self.stack.desired.values():
            yield from _texts_in(item.creation)


_GLOBAL: Final = ("acm:ListCertificates", "iam:", "route53:", "s3:", "sts:")
"""Actions that may be called in another region than the stack's: ACM is asked in each region before a validation record is deleted."""


def type_of(kind: AnyKind) -> str:
    """The Service Authorization Reference's name of a kind's type of resource."""
    return kind.iam_type if kind.iam_type is not None else kind.arn_type or kind.name.replace("_", "-")


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Properties) or hasattr(value, "__dataclass_fields__"):
        for name in field_names(type(value)):
            yield from _texts_in(getattr(value, name))
    elif isinstance(value, tuple | list | frozenset):
        for member in value:
            yield from _texts_in(member)
    elif isinstance(value, Mapping):
        yield from _texts_in(tuple(value.values()))


def _type_of(resource: str) -> str:
    """The type in an ARN: `subnet` of arn:aws:ec2:eu-west-1:*:subnet/*."""
    return resource.split(":", 5)[-1].rpartition("/")[0] or resource


def _service(actions: Iterable[str]) -> Set[str]:
    return {action.partition(":")[0] for action in actions}


def statement(actions: Iterable[str], resources: Iterable[str], condition: Condition = ()) -> Document:
    """A statement that allows these actions."""
    found: dict[str, Any] = {"Effect": "Allow", "Action": _one(actions), "Resource": _one(resources)}
    for operator, key, values in condition:
        found.setdefault("Condition", {}).setdefault(operator, {})[key] = _one(values)
    return found


def _one(values: Iterable[str]) -> str | list[str]:
    """A single value without a list, as IAM writes it; else the list."""
    found = sorted(set(values))
    return found[0] if len(found) == 1 else found


def _split(statements: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The statements in as many documents as AWS's limit makes necessary."""
    parts: list[list[dict[str, Any]]] = [[]]
    for statement in statements:
        for piece in _pieces(statement):
            if parts[-1] and length([*parts[-1], piece]) > MOST:
                parts.append([])
            parts[-1].append(piece)
    return parts


def _pieces(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A statement, halved until each part fits into a policy of its own."""
    for key in ("Action", "Resource"):
        values = statement[key]
        if length([statement]) > MOST and isinstance(values, list):
            half = len(values) // 2
            for part in (values[:half], values[half:]):
                yield from _pieces({**statement, key: _one(part)})
            return
    yield statement


def length(statements: Sequence[dict[str, Any]]) -> int:
    """The length of a policy with these statements, as AWS counts it for the limit: without blanks."""
    return len(json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":")))
