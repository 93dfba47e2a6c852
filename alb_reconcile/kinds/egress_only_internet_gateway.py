"""The kind `egress_only_internet_gateway` (EC2 CreateEgressOnlyInternetGateway, DeleteEgressOnlyInternetGateway)."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.networks import check_one_in_a_vpc
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.model.address import Ref
from alb_reconcile.model.resource import Desired, Observed, Properties


@dataclass(frozen=True, kw_only=True)
class EgressOnlyInternetGateway(Properties):
    """A VPC's gateway to the internet for IPv6, which lets no traffic in. The gateway is attached for as long as it exists."""

    kind = "egress_only_internet_gateway"
    service = "ec2"
    in_vpc = "vpc"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc"})

    vpc: Ref

    def slots(self) -> Iterable[Hashable]:
        # Amazon VPC quotas: "You can attach only one egress-only internet gateway to a VPC at a time"
        return (("egress-only gateway", str(self.vpc)),)


class EgressOnlyInternetGatewayKind(Ec2Kind[EgressOnlyInternetGateway]):
    """Drives egress-only internet gateways."""

    properties = EgressOnlyInternetGateway
    noun = "an egress-only internet gateway"
    position = 32
    section = "egress_only_internet_gateways"
    entry_checks = (partial(check_one_in_a_vpc, section=section),)
    id_prefix = "eigw-"
    listing = Listing(
        "describe_egress_only_internet_gateways",
        "EgressOnlyInternetGateways",
        "EgressOnlyInternetGatewayId",
        id_filter="",
        vpc_filter="",
    )
    is_rare = True
    missing = ("InvalidEgressOnlyInternetGatewayId.NotFound", "InvalidGatewayID.NotFound")
    ready = frozenset({"attached"})
    quotas = (Quota("L-45FE3B85", "egress-only internet gateways", 5),)
    iam_actions = IamActions(
        read=("ec2:DescribeEgressOnlyInternetGateways",),
        look=("servicequotas:GetServiceQuota",),
        create=("ec2:CreateEgressOnlyInternetGateway", "ec2:CreateTags"),
        update=("ec2:CreateTags",),
        delete=("ec2:DeleteEgressOnlyInternetGateway",),
        on={"ec2:CreateEgressOnlyInternetGateway": "egress-only-internet-gateway+ vpc"},
    )  # fmt: skip

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        return by_name_and_shape(name_in_common(desired, item), f"its attachment to {item.vpc}" if item.vpc else "")

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, row) for row in await self.own_rows(reader)]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        (attachment, *_) = row.get("Attachments") or [{}]
        state = EgressOnlyInternetGateway(vpc=attachment.get("VpcId", ""))
        return self.observe(reader, row, state, attachment.get("State", "detached"))

    async def create(self, run: Run, wanted: EgressOnlyInternetGateway, desired: Desired) -> str:
        return await self.create_by_token(run, desired, VpcId=wanted.vpc)

    async def update(
        self, run: Run, wanted: EgressOnlyInternetGateway, observed: Observed, fields: frozenset[str]
    ) -> None:
        """Nothing: AWS changes only the tags of such a gateway."""


KIND: Final = EgressOnlyInternetGatewayKind()
