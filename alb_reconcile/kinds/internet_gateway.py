"""The kind `internet_gateway` (EC2 CreateInternetGateway, AttachInternetGateway and their reverse)."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, IamActions, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.networks import by_vpc, check_one_in_a_vpc
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known, by_name_and_shape, name_in_common
from alb_reconcile.model.address import Ref
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed, bind, each_of
from alb_reconcile.model.service import Gateway, Segment, Server


@dataclass(frozen=True, kw_only=True)
class InternetGateway(Gateway):
    """A VPC's gateway to the internet. `vpc` is the VPC to which it is attached; observed, None without an attachment."""

    kind = "internet_gateway"
    route_filter = "route.gateway-id"
    service = "ec2"
    in_vpc = "vpc"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc"})
    needed_late = frozenset({"vpc"})

    vpc: Ref | None

    def fixed(self, observed: Observed) -> frozenset[str]:
        # a detached gateway is attached again; it can't be taken from another VPC while addresses are mapped there
        return self.replaced_on if getattr(observed.state, "vpc", None) else frozenset()

    def slots(self) -> Iterable[Hashable]:
        return (("gateway", str(self.vpc)),) if self.vpc else ()


def lacks_internet_gateway(around: Around, vpc: str | None) -> bool:
    """Whether a VPC is the spec's own, and has no internet gateway in it."""
    section = InternetGatewayKind.section
    if vpc not in around.entries("vpcs") or around.is_misnamed(section) or around.is_wrong((section,)):
        return False
    return vpc not in around.kept(by_vpc, section)


class InternetGatewayKind(Ec2Kind[InternetGateway]):
    """Drives internet gateways."""

    properties = InternetGateway
    noun = "an internet gateway"
    position = 30
    section = "internet_gateways"
    entry_checks = (partial(check_one_in_a_vpc, section=section),)
    id_prefix = "igw-"
    listing = Listing(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "internet-gateway-id",
        vpc_filter="",
        needs_foreign=True,
    )
    missing = ("InvalidInternetGatewayID.NotFound",)
    in_use = waits.GATEWAY_IN_USE
    ready = frozenset({"attached"})
    quotas = (Quota("L-A4707A72", "internet gateways", 5),)
    iam_actions = IamActions(
        read=("ec2:DescribeInternetGateways",),
        look=("servicequotas:GetServiceQuota",),
        create=("ec2:CreateInternetGateway", "ec2:CreateTags", "ec2:AttachInternetGateway"),
        update=("ec2:AttachInternetGateway", "ec2:CreateTags"),
        delete=("ec2:DetachInternetGateway", "ec2:DeleteInternetGateway"),
        on={
            "ec2:CreateInternetGateway": "internet-gateway+", "ec2:AttachInternetGateway": "internet-gateway vpc",
            "ec2:DetachInternetGateway": "internet-gateway vpc",
        },
    )  # fmt: skip

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[str]:
        """Findings: gateways that would go while instances have public addresses (DetachInternetGateway: "The VPC must not contain any
        running instances with Elastic IP addresses or public IPv4 addresses")."""
        entries = decisions.desired.values()
        # for a VPC that gets another gateway, the user is told to `move` the old one
        served = {bind(state.vpc, decisions.ids) for _, state in each_of(entries, InternetGateway)}
        gateways = each_of(decisions.live, InternetGateway)
        leaving = {
            state.vpc: item
            for item, state in gateways
            if item.id in decisions.going and state.vpc not in {*served, None}
        }
        maps: dict[Ref, bool | None] = {
            bind(item.desired.address, decisions.ids): state.map_public_ip_on_launch
            for item, state in each_of(entries, Segment)
        }
        users: dict[Ref | None, set[str]] = defaultdict(set)
        for item, wanted in each_of(entries if leaving else (), Server):
            subnet = bind(wanted.subnets[0], decisions.ids)
            there = item.found.state if item.found and not item.forces else None
            usual = there.associate_public_ip_address if isinstance(there, Server) else maps.get(subnet)
            if usual if wanted.associate_public_ip_address is None else wanted.associate_public_ip_address:
                vpc = bind(decisions.location_of(subnet, discovery).vpc, decisions.ids)
                users[vpc].add(f"instances.{item.desired.lifecycle.group or item.desired.address.name}")
        return [
            f"{item.address}: AWS doesn't detach {item.id} as long as instances in its VPC have public IPv4 addresses; say "
            f"associate_public_ip_address: false in {', '.join(sorted(users[vpc]))}, or keep the gateway"
            for vpc, item in leaving.items()
            if users[vpc]
        ]

    def is_in_place(self, desired: Desired, item: Candidate, known: Known) -> bool:
        """Whether a gateway is attached to the right VPC, or not attached, so that it can be."""
        return not item.vpc or super().is_in_place(desired, item, known)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        return by_name_and_shape(name_in_common(desired, item), f"its attachment to {item.vpc}" if item.vpc else "")

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, row) for row in await self.own_rows(reader)]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        vpcs = [item["VpcId"] for item in row.get("Attachments", ())]
        state = InternetGateway(vpc=vpcs[0] if vpcs else None)
        return self.observe(reader, row, state, "attached" if vpcs else "detached")

    async def create(self, run: Run, wanted: InternetGateway, desired: Desired) -> str:
        gateway = await self.create_once(run, desired)
        if wanted.vpc:
            await self._attach(run, await run.others.made(wanted.vpc), gateway)
        return gateway

    async def update(self, run: Run, wanted: InternetGateway, observed: Observed, fields: frozenset[str]) -> None:
        if "vpc" in fields:
            await self._attach(run, str(wanted.vpc), observed.id)

    async def _attach(self, run: Run, vpc: str, gateway: str) -> None:
        call = partial(run.aws.call, "ec2")
        try:
            await call("attach_internet_gateway", InternetGatewayId=gateway, VpcId=vpc)
        except AwsError as error:
            if error.code not in ("Resource.AlreadyAssociated", "InvalidParameterValue"):
                raise
            attached = await repeat_until(run.aws, partial(_attached_to, run, vpc), bool, waits.LAG)
            if gateway not in attached:
                raise RefusedError(
                    f"{vpc} has an internet gateway outside this stack; name it by its id, or detach it ({error.code})"
                ) from None

    async def delete(self, run: Run, observed: Observed) -> None:
        if vpc := self.of(observed).vpc:
            # refused until no interface with a public address is left, which load balancers release late
            detach = partial(run.gone, "ec2", "detach_internet_gateway", retry=self.in_use)
            await detach(missing=("Gateway.NotAttached", *self.missing), InternetGatewayId=observed.id, VpcId=vpc)
        await super().delete(run, observed)


async def _attached_to(run: Run, vpc: str) -> list[str]:
    """The gateways that AWS shows at a VPC: none for a while after an attachment."""
    where = {"attachment.vpc-id": vpc}
    rows = await run.aws.pages("ec2", "describe_internet_gateways", "InternetGateways", where=where)
    return [row["InternetGatewayId"] for row in rows]


KIND: Final = InternetGatewayKind()
