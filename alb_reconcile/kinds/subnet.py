"""Subnets (EC2 CreateSubnet, ModifySubnetAttribute, DeleteSubnet)."""

import ipaddress
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Row, find_own, observe, own_rows
from alb_reconcile.kinds._interfaces import refuse_foreign_interfaces
from alb_reconcile.kinds.base import Around, Entry, Kind, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed, Properties


@dataclass(frozen=True, kw_only=True)
class Subnet(Properties):
    """A part of a VPC in one availability zone."""

    kind = "subnet"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc", "cidr_block", "availability_zone"})

    vpc: Ref
    cidr_block: str
    availability_zone: str
    map_public_ip_on_launch: bool | None = None

    def slots(self) -> Iterable[Hashable]:
        return (("cidr", str(self.vpc)),)

    def conflicts(self, other: Properties) -> bool:
        mine = ipaddress.ip_network(self.cidr_block)
        return isinstance(other, Subnet) and mine.overlaps(ipaddress.ip_network(other.cidr_block))


class SubnetKind(Kind[Subnet]):
    """Drives subnets."""

    properties = Subnet
    noun = "a subnet"
    position = 20
    section = "subnets"
    id_prefix = "subnet-"
    listing = Listing("describe_subnets", "Subnets", "SubnetId", "subnet-id", needs_foreign=True)
    ready = frozenset({"available"})

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "a default subnet" if row.get("DefaultForAz") else ""

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Subnet:
        return Subnet(**{**fields, "availability_zone": around.zone_of(name)})

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, subnet) for subnet in await own_rows(reader, self)]

    def _observe(self, reader: Reader, subnet: Row) -> Observed:
        state = Subnet(
            vpc=subnet["VpcId"],
            cidr_block=subnet["CidrBlock"],
            availability_zone=subnet["AvailabilityZone"],
            map_public_ip_on_launch=subnet["MapPublicIpOnLaunch"],
        )
        return observe(reader, self, subnet, state, subnet.get("State", ""))

    async def create(self, run: Run, wanted: Subnet, desired: Desired) -> str:
        try:
            answer = await run.aws.call(
                "ec2", "create_subnet", retry=waits.VPC_UNKNOWN,
                VpcId=wanted.vpc, CidrBlock=wanted.cidr_block, AvailabilityZone=wanted.availability_zone,
                TagSpecifications=run.tag_specification("subnet", desired),
            )  # fmt: skip
            subnet = str(answer["Subnet"]["SubnetId"])
        except AwsError as error:
            if error.code != "InvalidSubnet.Conflict":
                raise
            subnet = await self._find(run, wanted, desired, error)
        if wanted.map_public_ip_on_launch is not None:
            await self._map_public_ip(run, wanted, subnet)
        return subnet

    async def _find(self, run: Run, wanted: Subnet, desired: Desired, error: AwsError) -> str:
        """Who holds the range: we ourselves, whose reply got lost, or a stranger."""
        for subnet in await find_own(run, self, desired, {"vpc-id": str(wanted.vpc)}):
            if subnet["CidrBlock"] == wanted.cidr_block:
                return str(subnet["SubnetId"])
        raise RefusedError(
            f"{desired.address}: {wanted.cidr_block} overlaps a subnet in {wanted.vpc} outside this stack; choose a free range ({error.code})"
        )

    async def update(self, run: Run, wanted: Subnet, observed: Observed, fields: frozenset[str]) -> None:
        if "map_public_ip_on_launch" in fields:
            await self._map_public_ip(run, wanted, observed.id)

    async def _map_public_ip(self, run: Run, wanted: Subnet, subnet: str) -> None:
        await run.aws.call(
            "ec2",
            "modify_subnet_attribute",
            retry=waits.SUBNET_UNKNOWN,
            SubnetId=subnet,
            MapPublicIpOnLaunch={"Value": wanted.map_public_ip_on_launch},
        )

    async def delete(self, run: Run, observed: Observed) -> None:
        try:
            await run.gone("ec2", "delete_subnet", missing=("InvalidSubnetID.NotFound",), SubnetId=observed.id)
        except AwsError as error:
            if error.code != "DependencyViolation":
                raise
            await refuse_foreign_interfaces(run, "subnet-id", observed.id)
            await run.gone(
                "ec2",
                "delete_subnet",
                retry=waits.SUBNET_IN_USE,
                missing=("InvalidSubnetID.NotFound",),
                SubnetId=observed.id,
            )


KIND: Final = SubnetKind()
