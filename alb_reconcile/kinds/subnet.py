"""Subnets (EC2 CreateSubnet, AssociateSubnetCidrBlock, ModifySubnetAttribute, DeleteSubnet)."""

import ipaddress
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self

from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds._ranges import (
    associate,
    describe,
    index_of,
    ipv6_of,
    range_at,
    wait_until_associated,
    wait_until_gone,
    wait_while_associating,
)
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.address import Ref
from alb_reconcile.model.discovery import Foreign
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.text import camel


@dataclass(frozen=True, kw_only=True)
class Subnet(Properties):
    """A part of a VPC in one availability zone."""

    kind = "subnet"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc", "cidr_block", "availability_zone", "availability_zone_id", "ipv6_native"})

    vpc: Ref
    cidr_block: str | None = None
    availability_zone: str | None = None
    availability_zone_id: str | None = None
    ipv6_cidr_block: str | int | None = None
    """A range, or which of the 256 of its VPC's it is."""
    ipv6_native: bool | None = None
    assign_ipv6_address_on_creation: bool | None = None
    map_public_ip_on_launch: bool | None = None
    enable_dns64: bool | None = None
    private_dns_name_options_on_launch: Mapping[str, Any] | None = None

    @property
    def size(self) -> int | None:
        """How many IPv4 addresses it has, without the five that AWS keeps (Amazon VPC User Guide, "Subnet CIDR blocks")."""
        return ipaddress.ip_network(self.cidr_block).num_addresses - 5 if self.cidr_block else None

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        found = getattr(observed.state, "ipv6_cidr_block", None) if observed else None
        if isinstance(self.ipv6_cidr_block, int) and found and _is_number(found, self.ipv6_cidr_block):
            return replace(self, ipv6_cidr_block=found)
        return self

    def slots(self) -> Iterable[Hashable]:
        return (("cidr", str(self.vpc)),)

    def conflicts(self, other: Properties) -> bool:
        if not isinstance(other, Subnet):
            return False
        mine, theirs = self.ipv6_cidr_block, other.ipv6_cidr_block
        if isinstance(mine, int):
            return _overlap(self.cidr_block, other.cidr_block) or (isinstance(theirs, str) and _is_number(theirs, mine))
        return _overlap(self.cidr_block, other.cidr_block) or _overlap(mine, theirs)


def _overlap(one: str | None, other: str | int | None) -> bool:
    """Whether two ranges have addresses in common."""
    if not one or not isinstance(other, str) or not other:
        return False
    return ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other))


def _is_number(found: str, index: int) -> bool:
    return bool(found) and index_of(found) == index


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
        create=("ec2:CreateSubnet", "ec2:CreateTags", "ec2:DescribeVpcs", "ec2:ModifySubnetAttribute"),
        update=(
            "ec2:ModifySubnetAttribute",
            "ec2:DescribeVpcs",
            "ec2:AssociateSubnetCidrBlock",
            "ec2:DisassociateSubnetCidrBlock",
            "ec2:CreateTags",
        ),
        delete=("ec2:DeleteSubnet", "ec2:DescribeNetworkInterfaces"),
    )

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "a default subnet" if row.get("DefaultForAz") else ""

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Subnet:
        own = {"availability_zone": around.zone_of(name)}
        if isinstance(given := fields.get("ipv6_cidr_block"), str):
            own["ipv6_cidr_block"] = str(ipaddress.IPv6Network(given))
        return Subnet(**{**fields, **own})

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, row) for row in await self.own_rows(reader)]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        options = row.get("PrivateDnsNameOptionsOnLaunch") or {}
        ipv6 = ipv6_of(row)
        state = Subnet(
            vpc=row["VpcId"],
            cidr_block=row.get("CidrBlock") or "",
            availability_zone=row["AvailabilityZone"],
            availability_zone_id=row.get("AvailabilityZoneId"),
            ipv6_cidr_block=ipv6[0] if ipv6 else "",
            ipv6_native=row.get("Ipv6Native", False),
            assign_ipv6_address_on_creation=row.get("AssignIpv6AddressOnCreation", False),
            map_public_ip_on_launch=row["MapPublicIpOnLaunch"],
            enable_dns64=row.get("EnableDns64", False),
            private_dns_name_options_on_launch={
                name: options[key] for name, (key, _) in _DNS_NAMES.items() if key in options
            },
        )
        return self.observe(reader, row, state, row.get("State", ""), details=place_of(row))

    async def create(self, run: Run, wanted: Subnet, desired: Desired) -> str:
        given = {
            "CidrBlock": wanted.cidr_block,
            "AvailabilityZone": wanted.availability_zone,
            "AvailabilityZoneId": wanted.availability_zone_id,
            "Ipv6CidrBlock": await _ipv6_range(run, wanted) if wanted.ipv6_cidr_block is not None else None,
            "Ipv6Native": wanted.ipv6_native,
        }
        params: dict[str, Any] = {key: value for key, value in given.items() if value}
        try:
            subnet = await self._call_create_in_range(run, wanted, desired, params)
        except AwsError as error:
            if error.code != "InvalidSubnet.Conflict":
                raise
            subnet = await self._find(run, wanted, desired, error)
        run.announce(subnet, usable=False)  # an instance would be launched without a public address
        if "Ipv6CidrBlock" in params:
            await wait_until_associated(run, "subnet", subnet, [params["Ipv6CidrBlock"]], ipv6=False)
        names = [name for name in _ATTRIBUTES if getattr(wanted, name) is not None]
        await self._modify(run, wanted, subnet, [*names, *_dns_paths(wanted)])
        return subnet

    async def _call_create_in_range(self, run: Run, wanted: Subnet, desired: Desired, params: dict[str, Any]) -> str:
        """The call, once more where its range has just been associated with the VPC, by a run that was killed."""
        try:
            return await self.call_create(run, desired, waits.VPC_UNKNOWN, VpcId=wanted.vpc, **params)
        except AwsError as error:
            if error.code != "InvalidSubnet.Range" or not await wait_while_associating(run, str(wanted.vpc)):
                raise
            return await self.call_create(run, desired, waits.VPC_UNKNOWN, VpcId=wanted.vpc, **params)

    async def _find(self, run: Run, wanted: Subnet, desired: Desired, error: AwsError) -> str:
        """Who holds the range: we ourselves, whose reply got lost, or a stranger."""
        for subnet in await self.find_own(run, desired, {"vpc-id": str(wanted.vpc)}):
            if (subnet.get("CidrBlock") or None) == wanted.cidr_block:
                return str(subnet["SubnetId"])
        raise RefusedError(
            f"{desired.address}: {wanted.cidr_block or 'its range'} overlaps a subnet in {wanted.vpc} outside this stack; choose a free range ({error.code})"
        )

    async def update(self, run: Run, wanted: Subnet, observed: Observed, fields: frozenset[str]) -> None:
        subnet, names = observed.id, [name for name in _ATTRIBUTES if name in fields]
        if "ipv6_cidr_block" in fields:
            before = self.of(observed).assign_ipv6_address_on_creation
            if before and "assign_ipv6_address_on_creation" not in names:
                names.insert(0, "assign_ipv6_address_on_creation")
                wanted = replace(wanted, assign_ipv6_address_on_creation=True)
            await self._change_range(run, wanted, subnet, is_assigned=bool(before))
        await self._modify(run, wanted, subnet, [*names, *(path for path in _dns_paths(wanted) if path in fields)])

    async def _change_range(self, run: Run, wanted: Subnet, subnet: str, *, is_assigned: bool) -> None:
        """A subnet has one IPv6 range; the old one goes first, which AWS refuses while it hands out its addresses."""
        if found := ipv6_of(await describe(run, "subnet", subnet)):
            if is_assigned:
                await _change(run, subnet, AssignIpv6AddressOnCreation={"Value": False})
            association = str(found[1]["AssociationId"])
            missing = ("InvalidSubnetCidrBlockAssociationID.NotFound",)
            await run.gone("ec2", "disassociate_subnet_cidr_block", missing=missing, AssociationId=association)
            await wait_until_gone(run, "subnet", subnet, association)
        cidr = await _ipv6_range(run, wanted)
        await associate(run, "subnet", subnet, {"Ipv6CidrBlock": cidr})
        await wait_until_associated(run, "subnet", subnet, [cidr], ipv6=False)

    async def _modify(self, run: Run, wanted: Subnet, subnet: str, names: Iterable[str]) -> None:
        for name in names:  # one attribute a call
            field, _, option = name.partition(".")
            value = (getattr(wanted, field) or {})[option] if option else getattr(wanted, field)
            key = _DNS_NAMES[option][1] if option else camel(name)
            await _change(run, subnet, **{key: value if option == "hostname_type" else {"Value": value}})


_ATTRIBUTES: Final = ("map_public_ip_on_launch", "assign_ipv6_address_on_creation", "enable_dns64")
_DNS_NAMES: Final = {
    "hostname_type": ("HostnameType", "PrivateDnsHostnameTypeOnLaunch"),
    "enable_resource_name_dns_a_record": ("EnableResourceNameDnsARecord", "EnableResourceNameDnsARecordOnLaunch"),
    "enable_resource_name_dns_aaaa_record": (
        "EnableResourceNameDnsAAAARecord",
        "EnableResourceNameDnsAAAARecordOnLaunch",
    ),
}
"""What AWS calls them in a subnet, and where they are set."""


def _dns_paths(wanted: Subnet) -> list[str]:
    return [f"private_dns_name_options_on_launch.{name}" for name in wanted.private_dns_name_options_on_launch or ()]


async def _change(run: Run, subnet: str, **attribute: Any) -> None:
    change = partial(run.aws.call, "ec2", "modify_subnet_attribute", retry=waits.SUBNET_UNKNOWN)
    await change(SubnetId=subnet, **attribute)


async def _ipv6_range(run: Run, wanted: Subnet) -> str:
    """Its IPv6 range; of a number, the one of that number in its VPC's, which is known when the VPC is made."""
    if isinstance(wanted.ipv6_cidr_block, str):
        return wanted.ipv6_cidr_block
    vpc = str(wanted.vpc)

    async def read() -> str:
        found = ipv6_of(await describe(run, "vpc", vpc))
        return found[0] if found else ""

    async def find() -> str:
        return await repeat_until(run.aws, read, bool, waits.LAG)

    if around := str(await run.once(f"IPv6 range of {vpc}", find)):
        return range_at(around, int(wanted.ipv6_cidr_block or 0))
    raise RefusedError(f"{vpc} has no IPv6 range, of which this subnet is to have number {wanted.ipv6_cidr_block}")


def place_of(row: Row) -> Foreign:
    """Where something is that AWS describes so; of a subnet how many IPv4 addresses are free, if it has any, and whether it
    has some of IPv6; of an Elastic IP address who has it."""
    free = row.get("AvailableIpAddressCount") if row.get("CidrBlock") else None
    has_ipv6 = ipv6_of(row) is not None if "SubnetId" in row else None
    holder = row.get("InstanceId") or row.get("NetworkInterfaceId") if "AllocationId" in row else ""
    return Foreign(row.get("VpcId"), row.get("AvailabilityZone"), free, has_ipv6, holder or "")


KIND: Final = SubnetKind()
