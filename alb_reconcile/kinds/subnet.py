"""Subnets (EC2 CreateSubnet, ModifySubnetAttribute, DeleteSubnet)."""

import ipaddress
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.address import Ref
from alb_reconcile.model.discovery import Foreign
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

    @property
    def size(self) -> int:
        """How many addresses it has, without the five that AWS keeps (Amazon VPC User Guide, "Subnet CIDR blocks")."""
        return ipaddress.ip_network(self.cidr_block).num_addresses - 5

    def slots(self) -> Iterable[Hashable]:
        return (("cidr", str(self.vpc)),)

    def conflicts(self, other: Properties) -> bool:
        mine = ipaddress.ip_network(self.cidr_block)
        return isinstance(other, Subnet) and mine.overlaps(ipaddress.ip_network(other.cidr_block))


class SubnetKind(Ec2Kind[Subnet]):
    """Drives subnets."""

    properties = Subnet
    noun = "a subnet"
    position = 20
    section = "subnets"
    id_prefix = "subnet-"
    listing = Listing("describe_subnets", "Subnets", "SubnetId", "subnet-id", needs_foreign=True)
    missing = ("InvalidSubnetID.NotFound",)
    in_use = waits.SUBNET_IN_USE
    holds_interfaces = True
    ready = frozenset({"available"})
    quotas = (Quota("L-407747CB", "subnets", 200, ("vpc",)),)
    iam_actions = IamActions(
        read=("ec2:DescribeSubnets",),
        look=("ec2:DescribeAvailabilityZones", "servicequotas:GetServiceQuota"),
        create=("ec2:CreateSubnet", "ec2:CreateTags", "ec2:ModifySubnetAttribute"),
        update=("ec2:ModifySubnetAttribute", "ec2:CreateTags"),
        delete=("ec2:DeleteSubnet", "ec2:DescribeNetworkInterfaces"),
    )

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "a default subnet" if row.get("DefaultForAz") else ""

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Subnet:
        return Subnet(**{**fields, "availability_zone": around.zone_of(name)})

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, row) for row in await self.own_rows(reader)]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        state = Subnet(
            vpc=row["VpcId"],
            cidr_block=_range(row),
            availability_zone=row["AvailabilityZone"],
            map_public_ip_on_launch=row["MapPublicIpOnLaunch"],
        )
        return self.observe(reader, row, state, row.get("State", ""), details=place_of(row))

    async def create(self, run: Run, wanted: Subnet, desired: Desired) -> str:
        try:
            subnet = await self.call_create(
                run, desired, waits.VPC_UNKNOWN,
                VpcId=wanted.vpc, CidrBlock=wanted.cidr_block, AvailabilityZone=wanted.availability_zone,
            )  # fmt: skip
        except AwsError as error:
            if error.code != "InvalidSubnet.Conflict":
                raise
            subnet = await self._find(run, wanted, desired, error)
        run.announce(subnet, usable=False)  # an instance would be launched without a public address
        if wanted.map_public_ip_on_launch is not None:
            await self._map_public_ip(run, wanted, subnet)
        return subnet

    async def _find(self, run: Run, wanted: Subnet, desired: Desired, error: AwsError) -> str:
        """Who holds the range: we ourselves, whose reply got lost, or a stranger."""
        for subnet in await self.find_own(run, desired, {"vpc-id": str(wanted.vpc)}):
            if subnet.get("CidrBlock") == wanted.cidr_block:
                return str(subnet["SubnetId"])
        raise RefusedError(
            f"{desired.address}: {wanted.cidr_block} overlaps a subnet in {wanted.vpc} outside this stack; choose a free range ({error.code})"
        )

    async def update(self, run: Run, wanted: Subnet, observed: Observed, fields: frozenset[str]) -> None:
        if "map_public_ip_on_launch" in fields:
            await self._map_public_ip(run, wanted, observed.id)

    async def _map_public_ip(self, run: Run, wanted: Subnet, subnet: str) -> None:
        change = partial(run.aws.call, "ec2", "modify_subnet_attribute", retry=waits.SUBNET_UNKNOWN)
        await change(SubnetId=subnet, MapPublicIpOnLaunch={"Value": wanted.map_public_ip_on_launch})


def place_of(row: Row) -> Foreign:
    """Where something is that AWS describes so, and of a subnet how many IPv4 addresses are free, if it has any."""
    free = row.get("AvailableIpAddressCount") if row.get("CidrBlock") else None
    return Foreign(row.get("VpcId"), row.get("AvailabilityZone"), free)


def _range(row: Row) -> str:
    """Its addresses: those of IPv6 where somebody has made it without others."""
    ranges = [row.get("CidrBlock"), *(item["Ipv6CidrBlock"] for item in row.get("Ipv6CidrBlockAssociationSet", ()))]
    return next(filter(None, ranges), "::/128")


KIND: Final = SubnetKind()
