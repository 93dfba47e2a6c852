"""VPCs (EC2 CreateVpc, ModifyVpcAttribute, DeleteVpc)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind
from alb_reconcile.kinds.base import IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import camel

_ATTRIBUTES: Final = {"enable_dns_support": "enableDnsSupport", "enable_dns_hostnames": "enableDnsHostnames"}


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
    replaced_on = frozenset({"cidr_block"})

    cidr_block: str
    enable_dns_support: bool | None = None
    enable_dns_hostnames: bool | None = None


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
    quotas = (Quota("L-F678F1CE", "VPCs"),)
    iam_actions = IamActions(
        read=("ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"),
        look=("servicequotas:GetServiceQuota",),
        create=("ec2:CreateVpc", "ec2:CreateTags", "ec2:ModifyVpcAttribute"),
        update=("ec2:ModifyVpcAttribute", "ec2:CreateTags"),
        delete=("ec2:DeleteVpc",),
    )

    def why_builtin(self, row: Mapping[str, Any]) -> str:
        return "the account's default VPC" if row.get("IsDefault") else ""

    async def discover(self, reader: Reader) -> list[Observed]:
        return list(await asyncio.gather(*(self._observe(reader, vpc) for vpc in await self.own_rows(reader))))

    async def _observe(self, reader: Reader, vpc: dict[str, Any]) -> Observed:
        address = tags.address_of(tags.from_list(vpc["Tags"]), "vpc")
        wanted = reader.desired.get(address) if address else None
        declared = [name for name in _ATTRIBUTES if wanted and getattr(wanted.state, name) is not None]
        values = await asyncio.gather(*(_read(reader, vpc["VpcId"], name) for name in declared))
        state = Vpc(cidr_block=vpc["CidrBlock"], **dict(zip(declared, values, strict=True)))
        return self.observe(reader, vpc, state, vpc.get("State", ""))

    async def create(self, run: Run, wanted: Vpc, desired: Desired) -> str:
        vpc = await self.create_once(run, desired, CidrBlock=wanted.cidr_block)
        run.announce(vpc, usable=True)
        await self._modify(run, wanted, vpc, [name for name in _ATTRIBUTES if getattr(wanted, name) is not None])
        return vpc

    async def update(self, run: Run, wanted: Vpc, observed: Observed, fields: frozenset[str]) -> None:
        await self._modify(run, wanted, observed.id, [name for name in _ATTRIBUTES if name in fields])

    async def _modify(self, run: Run, wanted: Vpc, vpc: str, names: list[str]) -> None:
        for name in names:  # one attribute a call
            value: dict[str, Any] = {camel(name): {"Value": getattr(wanted, name)}}
            await run.aws.call("ec2", "modify_vpc_attribute", retry=waits.VPC_UNKNOWN, VpcId=vpc, **value)


KIND: Final = VpcKind()
