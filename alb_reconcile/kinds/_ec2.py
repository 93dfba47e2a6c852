"""Shared code of the kinds that EC2 lists and tags: their Describe, Create and Delete actions, and network interfaces in the way of a delete."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._rare import has, may_have
from alb_reconcile.kinds.base import Kind, Listing, P
from alb_reconcile.kinds.context import Run, create_once
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.text import camel

Row = dict[str, Any]
"""A resource as AWS describes it."""


class Ec2Kind(Kind[P]):
    """A kind that EC2 lists, and that is found by its tags."""

    listing: ClassVar[Listing]
    holds_interfaces: ClassVar[bool] = False
    """Whether a resource can't be deleted while network interfaces are in it: others' interfaces are named then, and not waited for."""

    async def own_rows(self, reader: Reader) -> list[Row]:
        """The rows of the resources that carry the stack's tag."""
        if not self.is_rare:
            return await reader.tagged(self.listing.operation, self.listing.key)
        if not await may_have(reader, self):
            return []
        try:
            rows = await reader.tagged(self.listing.operation, self.listing.key)
        except AwsError as error:
            # credentials for a stack that has and had none needn't allow the read
            if reader.declares(self.name) or error.code != "UnauthorizedOperation" or await has(reader, self):
                raise
            return []
        return [row for row in rows if reader.ours(tags.from_list(row.get("Tags")))]

    def observe(
        self, reader: Reader, row: Row, state: P, status: str = "", created: str = "", details: object = None
    ) -> Observed:
        """The stack's resource that a row describes, at the address in the row's tags."""
        found, physical_id = tags.from_list(row.get("Tags")), row[self.id_key]
        address = tags.own_address(found, self.name, physical_id)
        return Observed(address, physical_id, state, found, reader.stack, status, created, details)

    def tagging(self, run: Run, desired: Desired) -> list[dict[str, Any]]:
        """The tags for a create call, as EC2 wants them."""
        return [{"ResourceType": self.name.replace("_", "-"), "Tags": run.tag_list(desired)}]

    async def call_create(self, run: Run, desired: Desired, retry: waits.Codes | None = None, **params: Any) -> str:
        """Make the call that creates the resource, with its tags. Returns the resource's id."""
        tagging = self.tagging(run, desired)
        return self._id_in(
            await run.aws.call("ec2", f"create_{self.name}", retry=retry, TagSpecifications=tagging, **params)
        )

    async def create_once(self, run: Run, desired: Desired, operation: str = "", **params: Any) -> str:
        """Create a resource by a call without a token or a unique name. Returns the id of what this call or a lost call has made.

        `operation` is boto3's name of the call where it isn't create_KIND.
        """

        async def find() -> str | None:
            found = await self.find_own(run, desired)
            return str(found[0][self.id_key]) if found else None

        tagging = self.tagging(run, desired)
        operation = operation or f"create_{self.name}"
        answer = await create_once(run, "ec2", operation, find, TagSpecifications=tagging, **params)
        return answer if isinstance(answer, str) else self._id_in(answer)

    async def create_by_token(self, run: Run, desired: Desired, retry: waits.Codes | None = None, **params: Any) -> str:
        """Create a resource by a call with a token that botocore doesn't add: a lost call is repeated with the same token."""
        token = uuid4().hex
        for attempt in range(3):
            try:
                return await self.call_create(run, desired, retry, ClientToken=token, **params)
            except AwsError as error:
                if not error.ambiguous or attempt == 2:
                    raise
                await run.aws.sleep(1)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _id_in(self, answer: Mapping[str, Any]) -> str:
        return str(answer.get(camel(self.name), answer)[self.id_key])

    async def find_own(self, run: Run, desired: Desired, where: Mapping[str, str] | None = None) -> list[Row]:
        """The resource that an earlier create with a lost reply has made: found by its tags, and by further filters."""
        wanted = {f"tag:{key}": value for key, value in tags.identity(desired, run.stack).items()} | dict(where or {})
        found = await run.aws.pages("ec2", self.listing.operation, self.listing.key, where=wanted)
        return [row for row in found if row.get("State") not in self.properties.gone]

    async def delete(self, run: Run, observed: Observed) -> None:
        if self.holds_interfaces:
            with ignoring(*self.in_use):
                await self.call_delete(run, observed.id, {})
                return
            await refuse_foreign_interfaces(run, self.listing.id_filter, observed.id)
        await super().delete(run, observed)


async def read_interfaces(aws: Aws, name: str, values: str | Iterable[str]) -> list[Row]:
    """The network interfaces that a filter finds, also interfaces that AWS's services manage and hide."""
    where = {name: values}
    return await aws.pages(
        "ec2", "describe_network_interfaces", "NetworkInterfaces", where=where, IncludeManagedResources=True
    )


def is_load_balancers(interface: Mapping[str, Any]) -> bool:
    """Whether an Application Load Balancer made an interface, which goes some minutes after the load balancer."""
    return str(interface.get("Description", "")).startswith("ELB app/")


@dataclass(frozen=True)
class Interfaces:
    """The ids of the network interfaces of a resource that isn't an instance."""

    ids: tuple[str, ...]


def is_of(interface: Mapping[str, Any], ids: Collection[str]) -> bool:
    """Whether an interface has one of these ids, or is of one of these instances or other resources that its description names."""
    instance = (interface.get("Attachment") or {}).get("InstanceId")
    return not {instance, interface["NetworkInterfaceId"]}.isdisjoint(ids) or any(
        word in ids for word in str(interface.get("Description", "")).split()
    )


def describe_interface(interface: Mapping[str, Any]) -> str:
    """An interface in words by which a user can find it."""
    holder = (
        (interface.get("Attachment") or {}).get("InstanceId")
        or interface.get("Description")
        or interface.get("InterfaceType")
        or "unattached"
    )
    return f"{interface['NetworkInterfaceId']} ({holder})"


async def refuse_foreign_interfaces(run: Run, name: str, value: str, of: str = "") -> None:
    """Raise RefusedError if an interface of anything but a leaving load balancer, instance or NAT gateway of the stack is in the way.

    `of` is the resource that can't be deleted, where it isn't the filter's value.
    """
    found = await read_interfaces(run.aws, name, value)
    others = [item for item in found if not is_of(item, run.own)]
    if foreign := [item for item in others if not is_load_balancers(item)]:
        raise RefusedError(
            f"{of or value} is in use by resources outside this stack: {', '.join(map(describe_interface, foreign))}; remove them first"
        )
