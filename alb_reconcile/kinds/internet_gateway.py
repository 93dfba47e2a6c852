"""Internet gateways (EC2 CreateInternetGateway, AttachInternetGateway and their reverse)."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Self

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Row, create_once, observe, own_rows
from alb_reconcile.kinds.base import Kind, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed, Properties


@dataclass(frozen=True, kw_only=True)
class InternetGateway(Properties):
    """A VPC's way to the internet. `vpc` is the one that it is attached to; observed, None if it is attached nowhere."""

    kind = "internet_gateway"
    service = "ec2"
    is_for_others = True
    carries_applied = True
    replaced_on = frozenset({"vpc"})

    vpc: Ref | None

    def fixed(self, found: Self) -> frozenset[str]:
        # one that was detached is attached again; from another VPC it can't be taken while addresses are mapped there
        return self.replaced_on if found.vpc else frozenset()

    def slots(self) -> Iterable[Hashable]:
        return (("gateway", str(self.vpc)),) if self.vpc else ()


class InternetGatewayKind(Kind[InternetGateway]):
    """Drives internet gateways."""

    properties = InternetGateway
    noun = "an internet gateway"
    position = 30
    section = "internet_gateways"
    id_prefix = "igw-"
    listing = Listing(
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "internet-gateway-id",
        vpc_filter="",
        needs_foreign=True,
    )
    ready = frozenset({"attached"})

    async def discover(self, reader: Reader) -> list[Observed]:
        return [self._observe(reader, gateway) for gateway in await own_rows(reader, self)]

    def _observe(self, reader: Reader, gateway: Row) -> Observed:
        vpcs = [item["VpcId"] for item in gateway.get("Attachments", ())]
        state = InternetGateway(vpc=vpcs[0] if vpcs else None)
        return observe(reader, self, gateway, state, "attached" if vpcs else "detached")

    async def create(self, run: Run, wanted: InternetGateway, desired: Desired) -> str:
        gateway = await create_once(
            run, self, desired, "create_internet_gateway", "InternetGateway",
            TagSpecifications=run.tag_specification("internet-gateway", desired),
        )  # fmt: skip
        await self._attach(run, wanted, gateway)
        return gateway

    async def update(self, run: Run, wanted: InternetGateway, observed: Observed, fields: frozenset[str]) -> None:
        if "vpc" in fields:
            await self._attach(run, wanted, observed.id)

    async def _attach(self, run: Run, wanted: InternetGateway, gateway: str) -> None:
        try:
            await run.aws.call(
                "ec2",
                "attach_internet_gateway",
                retry=waits.GATEWAY_UNKNOWN,
                InternetGatewayId=gateway,
                VpcId=wanted.vpc,
            )
        except AwsError as error:
            if error.code not in ("Resource.AlreadyAssociated", "InvalidParameterValue"):
                raise
            answer = await run.aws.call(
                "ec2", "describe_internet_gateways", retry=waits.GATEWAY_UNKNOWN, InternetGatewayIds=[gateway]
            )
            attached = [item["VpcId"] for item in answer["InternetGateways"][0].get("Attachments", ())]
            if wanted.vpc not in attached:
                raise RefusedError(
                    f"{wanted.vpc} has an internet gateway outside this stack; name it by its id, or detach it ({error.code})"
                ) from None

    async def _detach(self, run: Run, observed: Observed) -> None:
        if isinstance(observed.state, InternetGateway) and observed.state.vpc:
            # refused until no interface with a public address is left, which load balancers release late
            await run.gone(
                "ec2", "detach_internet_gateway", retry=waits.GATEWAY_IN_USE,
                missing=("Gateway.NotAttached", "InvalidInternetGatewayID.NotFound"), InternetGatewayId=observed.id, VpcId=observed.state.vpc,
            )  # fmt: skip

    async def delete(self, run: Run, observed: Observed) -> None:
        await self._detach(run, observed)
        await run.gone(
            "ec2", "delete_internet_gateway", retry=waits.GATEWAY_IN_USE,
            missing=("InvalidInternetGatewayID.NotFound",), InternetGatewayId=observed.id,
        )  # fmt: skip


KIND: Final = InternetGatewayKind()
