"""Drives subnets (EC2 CreateSubnet, AssociateSubnetCidrBlock, ModifySubnetAttribute, DeleteSubnet)."""

import ipaddress
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Listing, Named, Unmet, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.networks import zone_of
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.kinds.route_table import ways_out
from alb_reconcile.kinds.subnet import checks
from alb_reconcile.kinds.subnet.holders import lost_subnets, taken
from alb_reconcile.kinds.vpc.ranges import (
    associate,
    describe,
    index_of,
    ipv6_of,
    ipv6_part,
    wait_until_associated,
    wait_until_gone,
    wait_while_associating,
)
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.service import Foreign, Segment
from alb_reconcile.model.text import camel


@dataclass(frozen=True, kw_only=True)
class Subnet(Segment):
    """A part of a VPC in one availability zone."""

    kind = "subnet"
    service = "ec2"
    in_vpc = "vpc"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc", "cidr_block", "availability_zone", "ipv6_native"})

    vpc: Ref
    cidr_block: str | None = None
    availability_zone: str
    ipv6_cidr_block: str | int | None = None
    """A range, or the number of one of the 256 subnet ranges of the VPC's range."""
    ipv6_native: bool | None = None
    assign_ipv6_address_on_creation: bool | None = None
    map_public_ip_on_launch: bool | None = None
    enable_dns64: bool | None = None
    private_dns_name_options_on_launch: Mapping[str, Any] | None = None

    @property
    def location(self) -> Foreign:
        return Foreign(self.vpc, self.availability_zone, self.size, self.ipv6_cidr_block is not None)

    @property
    def size(self) -> int | None:
        """How many IPv4 addresses it has, without the five that AWS keeps (Amazon VPC User Guide, "Subnet CIDR blocks")."""
        return ipaddress.IPv4Network(self.cidr_block).num_addresses - 5 if self.cidr_block else None

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        if observed is None or not isinstance(found := observed.state, Subnet):
            return self
        cidr = found.ipv6_cidr_block
        if isinstance(self.ipv6_cidr_block, int) and isinstance(cidr, str) and _is_number(cidr, self.ipv6_cidr_block):
            return replace(self, ipv6_cidr_block=cidr)
        return self

    def slots(self) -> Iterable[Hashable]:
        return (("range", str(self.vpc)),)

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


def _audit(around: Around) -> Iterable[Unmet]:
    for name, entry in around.entries("subnets").items():
        for key in ("map_public_ip_on_launch", "assign_ipv6_address_on_creation"):
            if entry.get(key) is True:
                problem = "what is launched in it gets a public address"
                yield Unmet("EC2.15", f"subnet.{name}", ("subnets", name, key), problem, f"write {key}: false")


class SubnetKind(Ec2Kind[Subnet]):
    """Drives subnets."""

    properties = Subnet
    noun = "a subnet"
    position = 20
    section = "subnets"
    entry_checks = (checks.check_entries,)
    audits = (_audit,)
    has_default = True
    id_prefix = "subnet-"
    listing = Listing(
        "describe_subnets", "Subnets", "SubnetId", "subnet-id", needs_foreign=True, default_filter="default-for-az"
    )
    missing = ("InvalidSubnetID.NotFound",)
    in_use = waits.SUBNET_IN_USE
    holds_interfaces = True
    ready = frozenset({"available"})
    usual: ClassVar[Mapping[str, Any]] = {"private_dns_name_options_on_launch.hostname_type": "ip-name"}
    quotas = (Quota("L-407747CB", "subnets", 200, ("vpc",)),)
    iam_actions = IamActions(
        read=("ec2:DescribeSubnets",),
        look=("ec2:DescribeAvailabilityZones", "servicequotas:GetServiceQuota"),
        create=("ec2:CreateSubnet", "ec2:CreateTags", "ec2:DescribeVpcs", "ec2:ModifySubnetAttribute"),
        update=(
            "ec2:ModifySubnetAttribute", "ec2:DescribeVpcs", "ec2:AssociateSubnetCidrBlock",
            "ec2:DisassociateSubnetCidrBlock", "ec2:CreateTags",
        ),
        delete=("ec2:DeleteSubnet", "ec2:DescribeNetworkInterfaces"),
        on={"ec2:CreateSubnet": "subnet+ vpc"},
        fields={
            "ec2:AssociateSubnetCidrBlock": "ipv6_cidr_block",
            "ec2:DisassociateSubnetCidrBlock": "ipv6_cidr_block",
        },
    )  # fmt: skip

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "a default subnet" if row.get("DefaultForAz") else ""

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Subnet:
        read = {"availability_zone": zone_of(around, name)}
        if isinstance(ipv6 := fields.get("ipv6_cidr_block"), str):
            read["ipv6_cidr_block"] = str(ipaddress.IPv6Network(ipv6))
        return Subnet(**{**fields, **read})

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        letter = entry["availability_zone"].removeprefix(named.region)
        return {**entry, "availability_zone": letter} if len(letter) == 1 else entry

    def suggest_name(self, state: Subnet) -> str:
        return f"subnet-{str(state.availability_zone)[-1:]}"

    def locate(self, row: Mapping[str, Any]) -> Foreign:
        free = row.get("AvailableIpAddressCount") if row.get("CidrBlock") else None
        return replace(super().locate(row), free=free, has_ipv6=ipv6_of(row) is not None)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        same = wanted.cidr_block == found.cidr_block and wanted.availability_zone == found.availability_zone
        shape = f"its CIDR block {wanted.cidr_block} in that zone" if same else ""
        return by_name_and_shape(name_in_common(desired, item), shape)

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self.own_rows(reader)
        leads = await ways_out(reader, rows)
        return [self._observe(reader, row, leads.get(row["SubnetId"])) for row in rows]

    def _observe(self, reader: Reader, row: Row, leads: bool | None) -> Observed:
        options = row.get("PrivateDnsNameOptionsOnLaunch") or {}
        ipv6 = ipv6_of(row)
        state = Subnet(
            vpc=row["VpcId"],
            cidr_block=row.get("CidrBlock") or "",
            availability_zone=row["AvailabilityZone"],
            ipv6_cidr_block=ipv6[0] if ipv6 else "",
            ipv6_native=row.get("Ipv6Native", False),
            assign_ipv6_address_on_creation=row.get("AssignIpv6AddressOnCreation", False),
            map_public_ip_on_launch=row["MapPublicIpOnLaunch"],
            enable_dns64=row.get("EnableDns64", False),
            private_dns_name_options_on_launch={
                name: options[key] for name, (key, _) in _DNS_NAMES.items() if key in options
            },
        )
        return self.observe(
            reader, row, state, row.get("State", ""), details=replace(self.locate(row), leads_out=leads)
        )

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Zones that the region doesn't have, and existing subnets that should be adopted, since a new one can't have their range."""
        lost = await lost_subnets(aws, intents)
        return [*_lost_zones(intents, await zones), *lost]

    async def create(self, run: Run, wanted: Subnet, desired: Desired) -> str:
        ipv6 = await _ipv6_params(run, wanted)
        given = {
            "CidrBlock": wanted.cidr_block,
            "AvailabilityZone": wanted.availability_zone,
            "Ipv6Native": wanted.ipv6_native,
        }
        params: dict[str, Any] = {key: value for key, value in given.items() if value} | ipv6
        try:
            subnet = await self._call_create_in_range(run, wanted, desired, params)
        except AwsError as error:
            if error.code != "InvalidSubnet.Conflict":
                raise
            subnet = await self._find(run, wanted, desired, error)
        run.others.announce(subnet, usable=False)  # an instance would get no public address yet
        if ipv6:
            await wait_until_associated(run, "subnet", subnet, ipv6.values())
        names = [name for name in _ATTRIBUTES if getattr(wanted, name) is not None]
        await self._modify(run, wanted, subnet, [*names, *_dns_paths(wanted)])
        return subnet

    async def _call_create_in_range(self, run: Run, wanted: Subnet, desired: Desired, params: dict[str, Any]) -> str:
        """Make the create call, and once more if a killed run had left the VPC's association with the range unfinished."""
        try:
            return await self.call_create(run, desired, VpcId=wanted.vpc, **params)
        except AwsError as error:
            if error.code != "InvalidSubnet.Range" or not await wait_while_associating(run, str(wanted.vpc)):
                raise
            return await self.call_create(run, desired, VpcId=wanted.vpc, **params)

    async def _find(self, run: Run, wanted: Subnet, desired: Desired, error: AwsError) -> str:
        """The id of the subnet with the range, if this stack made it and the reply was lost. Else raises RefusedError."""
        for subnet in await self.find_own(run, desired, {"vpc-id": str(wanted.vpc)}):
            if (subnet.get("CidrBlock") or None) == wanted.cidr_block:
                return str(subnet["SubnetId"])
        raise await taken(run, str(wanted.vpc), wanted.cidr_block or "", desired.file, error)

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
        """Exchange the one IPv6 range. The old one is removed first. AWS refuses this while instances get its addresses."""
        if found := ipv6_of(await describe(run, "subnet", subnet)):
            if is_assigned:
                await _change(run, subnet, AssignIpv6AddressOnCreation={"Value": False})
            association = str(found[1]["AssociationId"])
            missing = ("InvalidSubnetCidrBlockAssociationID.NotFound",)
            await run.gone("ec2", "disassociate_subnet_cidr_block", missing=missing, AssociationId=association)
            await wait_until_gone(run, "subnet", subnet, association)
        params = await _ipv6_params(run, wanted)
        await associate(run, "subnet", subnet, params)
        await wait_until_associated(run, "subnet", subnet, params.values())

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
"""By option, AWS's key in a subnet's description, and the parameter of ModifySubnetAttribute."""


def _lost_zones(intents: Iterable[Intent], zones: Collection[str]) -> Iterator[Finding]:
    """Subnets that are to be made in a zone that the region doesn't have, as far as its zones are known."""
    for item in intents:
        zone = item.wanted.availability_zone
        if item.fields is None and zones and zone not in zones:
            names = ", ".join(name for name in zones if "-az" not in name)  # use1-az1 is an id
            yield Finding(item.desired, "availability_zone", f"there is no zone {zone} here; choose one of {names}")


def _dns_paths(wanted: Subnet) -> list[str]:
    return [f"private_dns_name_options_on_launch.{name}" for name in wanted.private_dns_name_options_on_launch or ()]


async def _change(run: Run, subnet: str, **attribute: Any) -> None:
    change = partial(run.aws.call, "ec2", "modify_subnet_attribute")
    await change(SubnetId=subnet, **attribute)


async def _ipv6_params(run: Run, wanted: Subnet) -> dict[str, Any]:
    """The wanted IPv6 range, as a parameter of CreateSubnet and AssociateSubnetCidrBlock."""
    if wanted.ipv6_cidr_block is None:
        return {}
    return {"Ipv6CidrBlock": await ipv6_part(run, str(wanted.vpc), wanted.ipv6_cidr_block)}


KIND: Final = SubnetKind()
