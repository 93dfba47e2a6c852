"""VPCs and their ranges (EC2 CreateVpc, AssociateVpcCidrBlock, ModifyVpcAttribute, DeleteVpc)."""

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind
from alb_reconcile.kinds._ranges import (
    AMAZON,
    Association,
    associate,
    associations,
    ipv6_of,
    leave_range,
    leaving,
    wait_until_associated,
    wait_until_gone,
)
from alb_reconcile.kinds.base import Around, Entry, IamActions, Listing
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import camel

_ATTRIBUTES: Final = {
    "enable_dns_support": "enableDnsSupport",
    "enable_dns_hostnames": "enableDnsHostnames",
    "enable_network_address_usage_metrics": "enableNetworkAddressUsageMetrics",
}
_IPV6: Final = (
    "amazon_provided_ipv6_cidr_block",
    "ipv6_cidr_block_network_border_group",
    "ipv6_pool",
    "ipv6_cidr_block",
)


async def _read(reader: Reader, vpc: str, name: str) -> bool | None:
    """One attribute; None if the VPC is gone meanwhile."""
    with ignoring(*KIND.missing):
        answer = await reader.aws.call("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute=_ATTRIBUTES[name])
        return bool(answer[camel(name)]["Value"])
    return None


@dataclass(frozen=True, kw_only=True)
class Vpc(Properties):
    """A virtual network."""

    kind = "vpc"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    gone = frozenset({"deleting"})
    replaced_on = frozenset({"cidr_block", "instance_tenancy"})

    cidr_block: str
    secondary_cidr_blocks: tuple[str, ...] | None = None
    amazon_provided_ipv6_cidr_block: bool | None = None
    ipv6_cidr_block_network_border_group: str | None = None
    ipv6_pool: str | None = None
    ipv6_cidr_block: str | None = None
    instance_tenancy: str | None = None
    enable_dns_support: bool | None = None
    enable_dns_hostnames: bool | None = None
    enable_network_address_usage_metrics: bool | None = None

    def fixed(self, observed: Observed) -> frozenset[str]:
        # ModifyVpcTenancy: "You can change the instance tenancy attribute of a VPC to default only"
        return self.replaced_on - ({"instance_tenancy"} if self.instance_tenancy == "default" else set())

    @property
    def wants_ipv6(self) -> bool:
        """Whether it is to have an IPv6 range."""
        return bool(self.amazon_provided_ipv6_cidr_block or self.ipv6_pool)


@dataclass(frozen=True)
class Ranges:
    """The associations of a VPC's ranges, by range; and of those that are on their way out."""

    by_range: Mapping[str, Association]
    leaving: tuple[str, ...] = ()


class VpcKind(Ec2Kind[Vpc]):
    """Drives VPCs."""

    properties = Vpc
    noun = "a VPC"
    position = 10
    section = "vpcs"
    id_prefix = "vpc-"
    listing = Listing("describe_vpcs", "Vpcs", "VpcId", "vpc-id", vpc_filter="", needs_foreign=True)
    missing = ("InvalidVpcID.NotFound",)
    in_use = waits.VPC_IN_USE
    ready = frozenset({"available"})
    quotas = (
        Quota("L-F678F1CE", "VPCs"),
        Quota(
            "L-83CA0A9D", "IPv4 ranges of a VPC", 5, path="secondary_cidr_blocks", count=lambda found: len(found) + 1
        ),
    )
    iam_actions = IamActions(
        read=("ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"),
        look=("servicequotas:GetServiceQuota",),
        create=("ec2:CreateVpc", "ec2:CreateTags", "ec2:AssociateVpcCidrBlock", "ec2:ModifyVpcAttribute"),
        update=(
            "ec2:ModifyVpcAttribute",
            "ec2:ModifyVpcTenancy",
            "ec2:AssociateVpcCidrBlock",
            "ec2:DisassociateVpcCidrBlock",
            "ec2:DescribeSubnets",
            "ec2:CreateTags",
        ),
        delete=("ec2:DeleteVpc",),
    )

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Vpc:
        if "secondary_cidr_blocks" in fields:
            fields = {**fields, "secondary_cidr_blocks": tuple(sorted(fields["secondary_cidr_blocks"]))}
        if "ipv6_cidr_block" in fields:
            fields = {**fields, "ipv6_cidr_block": str(ipaddress.IPv6Network(fields["ipv6_cidr_block"]))}
        return Vpc(**fields)

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "the account's default VPC" if row.get("IsDefault") else ""

    async def discover(self, reader: Reader) -> list[Observed]:
        return list(await asyncio.gather(*(self._observe(reader, vpc) for vpc in await self.own_rows(reader))))

    async def _observe(self, reader: Reader, vpc: dict[str, Any]) -> Observed:
        address = tags.address_of(tags.from_list(vpc["Tags"]), "vpc")
        wanted = reader.desired.get(address) if address else None
        declared = [name for name in _ATTRIBUTES if wanted and getattr(wanted.state, name) is not None]
        values = await asyncio.gather(*(_read(reader, vpc["VpcId"], name) for name in declared))
        own = dict(associations(vpc))
        read: dict[str, Any] = dict(zip(declared, values, strict=True))
        state = Vpc(
            cidr_block=vpc["CidrBlock"],
            secondary_cidr_blocks=tuple(sorted(item for item in own if ":" not in item and item != vpc["CidrBlock"])),
            instance_tenancy=vpc.get("InstanceTenancy"),
            **_ipv6(vpc),
            **read,
        )
        return self.observe(reader, vpc, state, vpc.get("State", ""), details=Ranges(own, leaving(vpc)))

    async def create(self, run: Run, wanted: Vpc, desired: Desired) -> str:
        tenancy = {"InstanceTenancy": wanted.instance_tenancy} if wanted.instance_tenancy else {}
        vpc = await self.create_once(run, desired, CidrBlock=wanted.cidr_block, **tenancy, **_ipv6_params(wanted))
        more = wanted.secondary_cidr_blocks or ()
        await all_of(*(associate(run, "vpc", vpc, {"CidrBlock": item}) for item in more))
        if more or wanted.wants_ipv6:
            await wait_until_associated(run, "vpc", vpc, more, ipv6=wanted.wants_ipv6)
        run.announce(vpc, usable=True)  # with all ranges that subnets can be in
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if getattr(wanted, name) is not None])
        return vpc

    async def update(self, run: Run, wanted: Vpc, observed: Observed, fields: frozenset[str]) -> None:
        vpc, before, own = observed.id, self.of(observed), observed.detail(Ranges).by_range
        have, want = set(before.secondary_cidr_blocks or ()), set(wanted.secondary_cidr_blocks or ())
        more, less = sorted(want - have), sorted(have - want)
        if "secondary_cidr_blocks" not in fields:
            more, less = [], []
        old = [item for item in own if ":" in item and fields.intersection(_IPV6)]
        new = [_ipv6_params(wanted)] if fields.intersection(_IPV6) and wanted.wants_ipv6 else []
        if "instance_tenancy" in fields:
            await run.aws.call("ec2", "modify_vpc_tenancy", VpcId=vpc, InstanceTenancy=wanted.instance_tenancy)
        first = [*({"CidrBlock": item} for item in more), *(new if not old else ())]
        if first:
            await all_of(*(wait_until_gone(run, "vpc", vpc, item) for item in observed.detail(Ranges).leaving))
            await all_of(*(associate(run, "vpc", vpc, params) for params in first))
            await wait_until_associated(run, "vpc", vpc, more, ipv6=bool(new) and not old)
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if name in fields])
        if less or old:
            run.announce(vpc, usable=True)  # subnets may be made in other ranges, and leave these
            await all_of(*(leave_range(run, vpc, own[item], item) for item in (*less, *old)))
        if old and new:
            await associate(run, "vpc", vpc, new[0])
            await wait_until_associated(run, "vpc", vpc, (), ipv6=True)

    async def _modify(self, run: Run, wanted: Vpc, vpc: str, names: list[str]) -> None:
        for name in names:  # one attribute a call
            value: dict[str, Any] = {camel(name): {"Value": getattr(wanted, name)}}
            await run.aws.call("ec2", "modify_vpc_attribute", retry=waits.VPC_UNKNOWN, VpcId=vpc, **value)


def _ipv6(vpc: Mapping[str, Any]) -> dict[str, Any]:
    """A VPC's IPv6 range as its properties say it."""
    found = ipv6_of(vpc)
    name, association = found or ("", {})
    pool = association.get("Ipv6Pool") or ""
    return {
        "amazon_provided_ipv6_cidr_block": pool == AMAZON,
        "ipv6_cidr_block_network_border_group": association.get("NetworkBorderGroup"),
        "ipv6_pool": pool if pool != AMAZON else "",
        "ipv6_cidr_block": name,
    }


def _ipv6_params(wanted: Vpc) -> dict[str, Any]:
    """The IPv6 range that CreateVpc and AssociateVpcCidrBlock are to give it."""
    return {camel(name): value for name in _IPV6 if (value := getattr(wanted, name))} if wanted.wants_ipv6 else {}


KIND: Final = VpcKind()
