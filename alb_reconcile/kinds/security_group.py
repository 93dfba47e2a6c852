"""Security groups without their rules (EC2 CreateSecurityGroup, DeleteSecurityGroup)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from alb_reconcile.kinds._interfaces import refuse_foreign_interfaces
from alb_reconcile.kinds.base import Kind
from alb_reconcile.kinds.context import NOT_YET
from alb_reconcile.model import tags
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader


@dataclass(frozen=True, kw_only=True)
class SecurityGroup(Kind):
    """A security group; its rules are a resource apart, so that two groups can name each other."""

    kind: ClassVar[str] = "security_group"
    service: ClassVar[str] = "ec2"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"vpc", "name", "description"})

    vpc: Ref
    name: str | None = None
    description: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("group name", str(self.vpc), self.name.lower()),) if self.name else ()

    @classmethod
    async def discover(cls, reader: Reader) -> list[Observed]:
        result = []
        for group in await reader.tagged("describe_security_groups", "SecurityGroups"):
            found = tags.from_list(group["Tags"])
            address = tags.address_of(found, "security_group") or tags.unnamed(
                "security_group", group["GroupId"]
            )
            state = cls(vpc=group["VpcId"], name=group["GroupName"], description=group["Description"])
            result.append(Observed(address, group["GroupId"], state, found, reader.stack))
        return result

    async def create(self, run: Run, desired: Desired, salt: str) -> str:
        name = self.name or run.physical_name(desired, [self.vpc, self.description], salt, 255)
        try:
            answer = await run.aws.call(
                "ec2", "create_security_group", retry={"InvalidVpcID.NotFound": NOT_YET}, GroupName=name,
                Description=self.description, VpcId=self.vpc, TagSpecifications=run.tag_specification("security-group", desired),
            )  # fmt: skip
        except AwsError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            return await self._find(run, desired, name, error)
        return str(answer["GroupId"])

    async def _find(self, run: Run, desired: Desired, name: str, error: AwsError) -> str:
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}, {"Name": "group-name", "Values": [name]}]
        for group in await run.aws.pages(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=filters
        ):
            if tags.identity(desired, run.stack).items() <= tags.from_list(group.get("Tags")).items():
                return str(group["GroupId"])
        raise RefusedError(
            f"{desired.address}: {self.vpc} has a security group \"{name}\" that isn't this stack's; choose another name ({error.code})"
        )

    async def update(self, run: Run, observed: Observed, fields: frozenset[str]) -> None:
        """Nothing of a group itself can be changed but its tags."""

    @classmethod
    async def delete(cls, run: Run, observed: Observed) -> None:
        missing = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
        try:
            await run.gone("ec2", "delete_security_group", missing=missing, GroupId=observed.id)
        except AwsError as error:
            if error.code not in ("DependencyViolation", "InvalidGroup.InUse"):
                raise
            await refuse_foreign_interfaces(run, "group-id", observed.id)
            retry = {"DependencyViolation": 900.0, "InvalidGroup.InUse": 900.0}
            await run.gone("ec2", "delete_security_group", retry=retry, missing=missing, GroupId=observed.id)
