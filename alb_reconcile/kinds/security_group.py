"""Security groups without their rules (EC2 CreateSecurityGroup, DeleteSecurityGroup)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from alb_reconcile.kinds._interfaces import refuse_foreign_interfaces
from alb_reconcile.kinds.base import Kind, Listing
from alb_reconcile.kinds.context import NOT_YET
from alb_reconcile.model import tags
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed, Properties

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader


@dataclass(frozen=True, kw_only=True)
class SecurityGroup(Properties):
    """A security group; its rules are a resource apart, so that two groups can name each other."""

    kind = "security_group"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc", "name", "description"})

    vpc: Ref
    name: str | None = None
    description: str | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("group name", str(self.vpc), self.name.lower()),) if self.name else ()


class SecurityGroupKind(Kind[SecurityGroup]):
    """Drives security groups."""

    properties = SecurityGroup
    noun = "a security group"
    position = 50
    section = "security_groups"
    id_pattern = r"sg-([0-9a-f]{8}|[0-9a-f]{17})"
    id_form = "id (sg-…)"
    listing = Listing("describe_security_groups", "SecurityGroups", "GroupId", "group-id")

    async def discover(self, reader: Reader) -> list[Observed]:
        result = []
        for group in await reader.tagged("describe_security_groups", "SecurityGroups"):
            found = tags.from_list(group["Tags"])
            address = tags.address_of(found, "security_group") or tags.unnamed(
                "security_group", group["GroupId"]
            )
            state = SecurityGroup(
                vpc=group["VpcId"], name=group["GroupName"], description=group["Description"]
            )
            result.append(Observed(address, group["GroupId"], state, found, reader.stack))
        return result

    async def create(self, run: Run, wanted: SecurityGroup, desired: Desired) -> str:
        name = wanted.name or run.physical_name(desired, [wanted.vpc, wanted.description], 255)
        try:
            answer = await run.aws.call(
                "ec2", "create_security_group", retry={"InvalidVpcID.NotFound": NOT_YET}, GroupName=name,
                Description=wanted.description, VpcId=wanted.vpc, TagSpecifications=run.tag_specification("security-group", desired),
            )  # fmt: skip
        except AwsError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            return await self._find(run, wanted, desired, name, error)
        return str(answer["GroupId"])

    async def _find(
        self, run: Run, wanted: SecurityGroup, desired: Desired, name: str, error: AwsError
    ) -> str:
        filters = [{"Name": "vpc-id", "Values": [wanted.vpc]}, {"Name": "group-name", "Values": [name]}]
        for group in await run.aws.pages(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=filters
        ):
            if tags.identity(desired, run.stack).items() <= tags.from_list(group.get("Tags")).items():
                return str(group["GroupId"])
        raise RefusedError(
            f"{desired.address}: {wanted.vpc} has a security group \"{name}\" that isn't this stack's; choose another name ({error.code})"
        )

    async def update(
        self, run: Run, wanted: SecurityGroup, observed: Observed, fields: frozenset[str]
    ) -> None:
        """Nothing of a group itself can be changed but its tags."""

    async def delete(self, run: Run, observed: Observed) -> None:
        missing = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
        try:
            await run.gone("ec2", "delete_security_group", missing=missing, GroupId=observed.id)
        except AwsError as error:
            if error.code not in ("DependencyViolation", "InvalidGroup.InUse"):
                raise
            await refuse_foreign_interfaces(run, "group-id", observed.id)
            retry = {"DependencyViolation": 900.0, "InvalidGroup.InUse": 900.0}
            await run.gone("ec2", "delete_security_group", retry=retry, missing=missing, GroupId=observed.id)


KIND: Final = SecurityGroupKind()
