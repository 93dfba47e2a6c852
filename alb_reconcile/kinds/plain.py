"""Drives plain kinds: their modules and schemas say as data which of AWS's operations sets which property.

CONTRIBUTING.md has an example, "A kind in an hour". botocore's model tells which parameters an operation takes, and in which form.
"""

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, Final, TypeVar

from alb_reconcile.aws import shapes
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.hints import DENIED
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.aws.tagging import read_resource_tags, service_named
from alb_reconcile.kinds import load_kinds, waits
from alb_reconcile.kinds._rare import INDEX, is_applied
from alb_reconcile.kinds.base import IamActions, Intent, Kind, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.reader import NO_STACK, Reader
from alb_reconcile.kinds.shared_reader import read_resources
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, Observed, Properties, each_of, field_names
from alb_reconcile.model.schemas import calls_in_schema
from alb_reconcile.model.text import camel

_NOTHING: Final = {"string": "", "integer": 0, "long": 0, "boolean": False, "list": ()}
"""The value of a property that isn't set, by the property's type in AWS's model."""
_Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlainProperties(Properties):
    """The properties of a plain kind. Where the spec gives no `name`, the name is STACK-ENTRY."""

    replaced_on = frozenset({"name"})

    name: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return ((self.kind, self.name),) if self.name else ()


P = TypeVar("P", bound=PlainProperties)


class PlainKind(Kind[P]):
    """Drives a plain kind."""

    operations: ClassVar[Mapping[str, str]] = {}
    """The operations for `Describe` and `Delete`, where these aren't named after the kind as in DescribeLogGroups and DeleteLogGroup."""
    prefix: ClassVar[str] = ""
    """The parameter of the Describe operation that selects names by their beginning; without it, all resources of the account are read."""
    unset: ClassVar[Mapping[str, str]] = {}
    """By property, the operation that removes its value, for a spec that says 0, an empty text or false."""
    taken: ClassVar[tuple[str, ...]] = ()
    """AWS's error codes for a name that another resource has."""
    loses: ClassVar[str] = ""
    """What AWS deletes together with a resource, in words, for the plan's reader."""
    arn_separator: ClassVar[str] = ":"
    """The text between the `arn_type` and the name in an ARN."""
    arn_ends: ClassVar[tuple[str, ...]] = ("",)
    """The ends that IAM wants behind the ARN in a policy: for some services "" and ":*"."""
    is_rare = True
    is_always_read = False

    @property
    def service(self) -> str:
        """The kind's service, as botocore, ARNs and IAM call it."""
        return self.properties.service

    @cached_property
    def setters(self) -> Mapping[str, tuple[str, str]]:
        """By property, the operation that sets it, and the name of the property in the operation and in AWS's descriptions."""
        known, fields = calls_in_schema(self.name), field_names(self.properties)
        if missing := ", ".join(sorted({*fields} - known.keys())):
            raise ValueError(f"the schema of {self.name} says no operation and parameter (x-aws) of {missing}")
        return {field: known[field] for field in fields}

    def operation(self, verb: str) -> str:
        """AWS's name of the operation for a verb: Describe, Create or Delete."""
        if verb == "Create":
            return self.setters["name"][0]
        return self.operations.get(verb, f"{verb}{camel(self.name)}{'s' if verb == 'Describe' else ''}")

    @cached_property
    def iam_actions(self) -> IamActions:
        def named(*operations: str) -> tuple[str, ...]:
            return tuple(dict.fromkeys(f"{self.service}:{name}" for name in operations))

        at_once = shapes.parameters(self.service, self.operation("Create"))
        later = (operation for operation, member in self.setters.values() if member not in at_once)
        changed = self.setters.keys() - self.properties.replaced_on
        return IamActions(
            read=(*INDEX, *named(self.operation("Describe"), "ListTagsForResource")),
            create=named(self.operation("Create"), *later, "TagResource"),
            update=named(*(self.setters[field][0] for field in sorted(changed)), *self.unset.values(), "TagResource"),
            delete=named(self.operation("Delete")),
        )

    def grants(self, wanted: P, scope: Scope) -> Iterable[Grant]:
        """Permissions to list everything, to do the rest with the names in the spec, and to read tags of all names that the stack may
        derive."""
        stated, own = self.iam_actions, each_of(scope.desired.values(), self.properties)
        lists = (*INDEX, f"{self.service}:{self.operation('Describe')}")
        named = {*stated.read, *stated.create, *stated.update, *stated.delete}.difference(lists)
        names = [self.name_of(item, scope.stack) for item, _ in own]

        def arns(*names: str) -> tuple[str, ...]:
            return tuple(scope.arn(self.service, self._resource(name) + end) for name in names for end in self.arn_ends)

        yield Grant(lists)
        yield Grant(tuple(sorted(named)), arns(*names))
        yield Grant((f"{self.service}:ListTagsForResource",), arns(f"{scope.stack}-*"))

    def name_of(self, desired: Desired, stack: str) -> str:
        """The name in AWS of the resource that an entry describes."""
        return str(getattr(desired.state, "name", None) or f"{stack}-{desired.address.name}")

    def tell_plan(self, steps: Sequence[Step], discovery: Discovery) -> Iterable[tuple[Step, str]]:
        return [(step, f"deletes {self.loses}") for step in steps if self.loses and step.action == "delete"]

    def _resource(self, name: str) -> str:
        return f"{self.arn_type}{self.arn_separator}{name}"

    async def _arn(self, aws: Aws, name: str) -> str:
        partition, account = partition_of(aws.region), await aws.account()
        return f"arn:{partition}:{self.service}:{aws.region}:{account}:{self._resource(name)}"

    def _name_in(self, arn: str) -> str:
        return arn.split(":", 5)[5].removeprefix(self._resource(""))

    def _is_own(self, arn: str) -> bool:
        return service_named(self.service).names(arn, self.arn_type)

    def suggest_name(self, state: P) -> str:
        return state.name or ""

    async def is_hinted(self, reader: Reader) -> bool:
        """Looks for resources with the stack's tag, unless the tags say that the spec at hand was applied last."""
        with ignoring(*DENIED):
            if reader.stack == NO_STACK or await is_applied(reader):
                return False
        return any(map(self._is_own, await self._tagged(reader)))

    async def _tagged(self, reader: Reader) -> list[str]:
        return await reader.looked_for(self.name, self.section.replace("_", " "), reader.resources(_services()))

    async def discover(self, reader: Reader) -> list[Observed]:
        """The stack's resources with names that the spec gives, or that the stack may have derived, and those that AWS's index of tags
        already has."""
        if reader.stack == NO_STACK:
            return []
        arns = filter(self._is_own, (*await self._tagged(reader), *reader.named))
        named = (self.name_of(item, reader.stack) for item, _ in each_of(reader.desired.values(), self.properties))
        read = self._find(reader, {*named, *map(self._name_in, arns)})
        return await reader.looked_for(self.name, self.section.replace("_", " "), read)

    async def _find(self, reader: Reader, names: AbstractSet[str]) -> list[Observed]:
        stem, member, place = f"{reader.stack}-", self.setters["name"][1], await self._arn(reader.aws, "")
        stems = sorted({stem, *(name for name in names if not name.startswith(stem))}) if self.prefix else [""]
        parts = await asyncio.gather(*(reader.once(self._rows, reader.aws, item) for item in stems))
        rows = {row[member]: row for part in parts for row in part}
        near = sorted(name for name in rows if name in names or name.startswith(stem))
        found = await asyncio.gather(*(reader.once(self._tags, reader.aws, name) for name in near))
        return [
            Observed(tags.own_address(seen, self.name, arn), arn, self._state_of(rows[name]), seen, reader.stack)
            for name, own in zip(near, found, strict=True)
            if own is not None and reader.ours(seen := reader.seen(arn := place + name, rows[name], own))
        ]

    async def _rows(self, aws: Aws, stem: str) -> list[_Row]:
        """AWS's descriptions of the resources with names that begin with `stem`."""
        operation = self.operation("Describe")
        where: dict[str, Any] = {self.prefix: stem} if stem else {}
        call, (key, _) = shapes.call_of(operation), shapes.list_of(self.service, operation)
        return await aws.pages(self.service, call, key, **where)

    async def _tags(self, aws: Aws, name: str) -> dict[str, str] | None:
        """The tags of the resource of that name; None if there is none."""
        with ignoring(*self.missing):
            return await read_resource_tags(aws, self.service, await self._arn(aws, name))
        return None

    def _state_of(self, row: _Row) -> P:
        """The properties of a resource that AWS describes by a row. A missing value counts as an empty one where a spec can say that."""
        _, types = shapes.list_of(self.service, self.operation("Describe"))
        found: dict[str, Any] = {}
        for field, (_, member) in self.setters.items():
            value = row.get(member, _NOTHING[types[member]] if field in self.unset else None)
            found[field] = tuple(sorted(value)) if isinstance(value, list) else value
        return self.properties(**found)  # type: ignore[return-value]  # P is bound to that class

    async def owners(self, reader: Reader) -> list[str]:
        """The owners in AWS's index of tags."""
        rows = await read_resources(reader.aws, [self.service])
        return [owner for arn, owner in rows.items() if self._is_own(arn)]

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Names that resources outside of the stack have already."""
        found = []
        for item in (item for item in intents if item.fields is None):
            name = self.name_of(item.desired, item.stack)
            with ignoring(*DENIED):
                there = await self._tags(aws, name)
                if there is not None and there.get(tags.STACK) != item.stack:
                    found.append(Finding(item.desired, "name", self._is_taken(item.desired, name)))
        return found

    def _is_taken(self, desired: Desired, name: str) -> str:
        taking_over = f"{advised('adopt', desired.file)} takes it over, or choose another name"
        return f'{self.noun} named "{name}" exists outside this stack; {taking_over}'

    async def create(self, run: Run, wanted: P, desired: Desired) -> str:
        name, operation = self.name_of(desired, run.stack), self.operation("Create")
        takes = shapes.parameters(self.service, operation)
        at_once = {field for field, (_, member) in self.setters.items() if member in takes}
        own = shapes.tags_for(self.service, operation, tags.from_list(run.tag_list(desired)))
        try:
            await self._call(run, operation, name, **self._told(at_once, wanted), **own)
        except AwsError as error:
            if error.code not in self.taken:
                raise

            async def read() -> dict[str, str]:
                return await self._tags(run.aws, name) or {}

            there = await repeat_until(run.aws, read, lambda found: tags.STACK in found, waits.LAG)
            if not tags.identity(desired, run.stack).items() <= there.items():  # else an earlier call's reply was lost
                raise RefusedError(self._is_taken(desired, name)) from None
        later = self.setters.keys() - at_once
        await self._write(run, name, {field for field in later if self._told({field}, wanted)}, wanted)
        return await self._arn(run.aws, name)

    async def update(self, run: Run, wanted: P, observed: Observed, fields: frozenset[str]) -> None:
        await self._write(run, self._name_in(observed.id), fields & self.setters.keys(), wanted, self.of(observed))

    async def _write(self, run: Run, name: str, fields: AbstractSet[str], wanted: P, found: P | None = None) -> None:
        """Set these properties, each with the others of its operation: many operations reset the parameters that a call leaves out."""
        away = {field for field in fields if not self._told({field}, wanted)}
        for operation in sorted({self.unset[field] for field in away}):
            await self._call(run, operation, name)
        for operation in sorted({self.setters[field][0] for field in fields - away}):
            every = {field for field, (other, _) in self.setters.items() if other == operation}
            told = (self._told(every, found) if found else {}) | self._told(every, wanted)
            await self._call(run, operation, name, **told)

    async def _call(self, run: Run, operation: str, name: str, **told: Any) -> None:
        params = {**told, self.setters["name"][1]: name}
        await run.aws.call(self.service, shapes.call_of(operation), **params)

    def _told(self, fields: AbstractSet[str], state: P) -> dict[str, Any]:
        """Properties as AWS takes them, but for the name: without properties that aren't managed, or that another operation removes."""
        values = {field: getattr(state, field) for field in sorted(fields - {"name"})}
        return {
            self.setters[field][1]: list(value) if isinstance(value, tuple) else value
            for field, value in values.items()
            if value or (value is not None and field not in self.unset)
        }

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        told: dict[str, Any] = {self.setters["name"][1]: self._name_in(physical_id)}
        call = shapes.call_of(self.operation("Delete"))
        await run.gone(self.service, call, retry=retry, missing=self.missing, **told)


@cache
def _services() -> tuple[str, ...]:
    """The services of all plain kinds: one read finds the tagged resources of all of them."""
    return tuple(sorted({kind.service for kind in load_kinds().values() if isinstance(kind, PlainKind)}))
