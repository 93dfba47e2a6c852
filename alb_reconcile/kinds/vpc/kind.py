"""Drives VPCs and their address ranges (EC2 CreateVpc, AssociateVpcCidrBlock, ModifyVpcAttribute, DeleteVpc)."""

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind
from alb_reconcile.kinds.base import Entry, IamActions, Listing, Named
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.kinds.vpc import checks
from alb_reconcile.kinds.vpc.ranges import (
    Association,
    add_ranges,
    associate,
    associations,
    is_amazons,
    leave_range,
    leaving,
    wait_until_gone,
)
from alb_reconcile.model import tags
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed, each_of
from alb_reconcile.model.service import Network, Segment
from alb_reconcile.model.text import camel

_ATTRIBUTES: Final = {
    "enable_dns_support": "enableDnsSupport",
    "enable_dns_hostnames": "enableDnsHostnames",
    "enable_network_address_usage_metrics": "enableNetworkAddressUsageMetrics",
}
_IPV6: Final = "amazon_provided_ipv6_cidr_block"
_IPV6_PARAMS: Final[Mapping[str, Any]] = {"AmazonProvidedIpv6CidrBlock": True}


async def _read(reader: Reader, vpc: str, name: str) -> bool | None:
    """The value of one attribute; None if the VPC is gone meanwhile."""
    with ignoring(*KIND.missing):
        answer = await reader.aws.call("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute=_ATTRIBUTES[name])
        return bool(answer[camel(name)]["Value"])
    return None


@dataclass(frozen=True, kw_only=True)
class Vpc(Network):
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
    instance_tenancy: str | None = None
    enable_dns_support: bool | None = None
    enable_dns_hostnames: bool | None = None
    enable_network_address_usage_metrics: bool | None = None

    def fixed(self, observed: Observed) -> frozenset[str]:
        # ModifyVpcTenancy: "You can change the instance tenancy attribute of a VPC to default only"
        return self.replaced_on - ({"instance_tenancy"} if self.instance_tenancy == "default" else set())


@dataclass(frozen=True)
class Ranges:
    """The associations of a VPC's ranges, by range; and the ids of those that are being removed (`leaving`)."""

    by_range: Mapping[str, Association]
    leaving: tuple[str, ...] = ()


class VpcKind(Ec2Kind[Vpc]):
    """Drives VPCs."""

    properties = Vpc
    noun = "a VPC"
    position = 10
    section = "vpcs"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    has_default = True
    id_prefix = "vpc-"
    listing = Listing("describe_vpcs", "Vpcs", "VpcId", "vpc-id", "", needs_foreign=True, default_filter="is-default")
    missing = ("InvalidVpcID.NotFound",)
    in_use = waits.VPC_IN_USE
    ready = frozenset({"available"})
    usual: ClassVar[Mapping[str, Any]] = {"instance_tenancy": "default", "enable_dns_support": True}
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
            "ec2:ModifyVpcAttribute", "ec2:ModifyVpcTenancy", "ec2:AssociateVpcCidrBlock",
            "ec2:DisassociateVpcCidrBlock", "ec2:DescribeSubnets", "ec2:CreateTags",
        ),
        delete=("ec2:DeleteVpc",),
        on={"ec2:DescribeVpcAttribute": "vpc@", "ec2:CreateVpc": "vpc+", "ec2:AssociateVpcCidrBlock": "vpc"},
        fields={
            "ec2:ModifyVpcTenancy": "instance_tenancy",
            "ec2:AssociateVpcCidrBlock": f"secondary_cidr_blocks {_IPV6}",
            "ec2:DisassociateVpcCidrBlock": f"secondary_cidr_blocks {_IPV6}",
        },
    )  # fmt: skip

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        for text, item in observed.detail(Ranges).by_range.items():
            if ":" in text and not is_amazons(item):
                named.remark(f"its IPv6 range {text} is from a pool, which isn't managed and stays as it is")
        return entry

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "the account's default VPC" if row.get("IsDefault") else ""

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding]:
        """Ranges that a VPC can't lose, since subnets that stay are in them (InvalidCidrBlock.InUse)."""
        for item, wanted in each_of(decisions.desired.values(), Vpc):
            vpc = item.found
            if vpc is None or item.forces:
                continue
            fields = {change.path for change in item.changes}
            for text, name in leaving_ranges(wanted, vpc, fields).items():
                around = ipaddress.ip_network(text)
                holders = [
                    f"{found.address} ({found.id})"
                    for found, state in each_of(decisions.live, Segment)
                    if state.vpc == vpc.id
                    if found.id not in decisions.going
                    if any(_overlaps(part, around) for part in (state.cidr_block, state.ipv6_cidr_block) if part)
                ]
                by_hand = "take theirs out by hand: aws ec2 disassociate-subnet-cidr-block"
                how = by_hand if ":" in text else "give them a cidr_block elsewhere, too"
                told = f"{text} can't leave {vpc.id} while these have a part of it: {', '.join(holders)}; keep it, or {how}"
                if holders:
                    yield Finding(item.desired, name, told)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        shape = f"its CIDR block {wanted.cidr_block}" if wanted.cidr_block == found.cidr_block else ""
        return by_name_and_shape(name_in_common(desired, item), shape)

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self.own_rows(reader)
        return list(await asyncio.gather(*(self._observe(reader, vpc) for vpc in rows)))

    async def _observe(self, reader: Reader, vpc: dict[str, Any]) -> Observed:
        address = tags.address_of(tags.from_list(vpc["Tags"]), "vpc")
        wanted = reader.desired.get(address) if address else None
        declared = [name for name in _ATTRIBUTES if reader.asks(wanted, name)]
        values = await asyncio.gather(*(_read(reader, vpc["VpcId"], name) for name in declared))
        own = dict(associations(vpc))
        read: dict[str, Any] = dict(zip(declared, values, strict=True))
        state = Vpc(
            cidr_block=vpc["CidrBlock"],
            secondary_cidr_blocks=tuple(sorted(item for item in own if ":" not in item and item != vpc["CidrBlock"])),
            amazon_provided_ipv6_cidr_block=any(map(is_amazons, own.values())),
            instance_tenancy=vpc.get("InstanceTenancy"),
            **read,
        )
        return self.observe(reader, vpc, state, vpc.get("State", ""), details=Ranges(own, leaving(vpc)))

    async def create(self, run: Run, wanted: Vpc, desired: Desired) -> str:
        params: dict[str, Any] = {"CidrBlock": wanted.cidr_block}
        if wanted.instance_tenancy is not None:
            params["InstanceTenancy"] = wanted.instance_tenancy
        wants_ipv6 = bool(wanted.amazon_provided_ipv6_cidr_block)
        vpc = await self.create_once(run, desired, **params, **(_IPV6_PARAMS if wants_ipv6 else {}))
        await add_ranges(run, vpc, wanted.secondary_cidr_blocks or (), ipv6=wants_ipv6)
        run.others.announce(vpc, usable=True)  # now it has all ranges for its subnets
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if getattr(wanted, name) is not None])
        return vpc

    async def update(self, run: Run, wanted: Vpc, observed: Observed, fields: frozenset[str]) -> None:
        vpc, before, own = observed.id, self.of(observed), observed.detail(Ranges).by_range
        have, want = before.secondary_cidr_blocks or (), wanted.secondary_cidr_blocks or ()
        more = [item for item in want if item not in have] if "secondary_cidr_blocks" in fields else []
        ipv6 = _IPV6 in fields and bool(wanted.amazon_provided_ipv6_cidr_block)
        if "instance_tenancy" in fields:
            await run.aws.call("ec2", "modify_vpc_tenancy", VpcId=vpc, InstanceTenancy=wanted.instance_tenancy)
        if more or ipv6:
            await all_of(*(wait_until_gone(run, "vpc", vpc, item) for item in observed.detail(Ranges).leaving))
        if ipv6:
            await associate(run, "vpc", vpc, _IPV6_PARAMS)
        await add_ranges(run, vpc, more, ipv6=ipv6)
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if name in fields])
        if leaves := leaving_ranges(wanted, observed, fields):
            run.others.announce(vpc, usable=True)  # now subnets can be made in new ranges, and leave the old ones
            await all_of(*(leave_range(run, vpc, own[item], item) for item in leaves))

    async def _modify(self, run: Run, wanted: Vpc, vpc: str, names: list[str]) -> None:
        for name in names:  # one attribute a call
            value: dict[str, Any] = {camel(name): {"Value": getattr(wanted, name)}}
            await run.aws.call("ec2", "modify_vpc_attribute", VpcId=vpc, **value)


def _overlaps(part: str | int, around: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return isinstance(part, str) and ipaddress.ip_network(part).overlaps(around)


def leaving_ranges(wanted: Vpc, observed: Observed, fields: Collection[str]) -> dict[str, str]:
    """The ranges that a VPC loses by a change of these properties, each with the property that says so."""
    if {"secondary_cidr_blocks", _IPV6}.isdisjoint(fields):
        return {}
    own = observed.detail(Ranges).by_range.items()
    stays = {*(wanted.secondary_cidr_blocks or ()), getattr(observed.state, "cidr_block", None)}
    further = [text for text, _ in own if ":" not in text and text not in stays]
    amazons = [] if wanted.amazon_provided_ipv6_cidr_block else [text for text, item in own if is_amazons(item)]
    found = {"secondary_cidr_blocks": further, _IPV6: amazons}
    return {text: name for name, texts in found.items() if name in fields for text in texts}


KIND: Final = VpcKind()
