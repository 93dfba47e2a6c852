"""Drives NAT gateways (EC2 CreateNatGateway, AssociateNatGatewayAddress, DeleteNatGateway)."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Entry, IamActions, Intent, Listing, Named, Zones
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.nat_gateway import checks
from alb_reconcile.kinds.nat_gateway.addresses import set_addresses, wait_for_gateway
from alb_reconcile.kinds.nat_gateway.zones import crowded_zones
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import digest

_REGIONAL: Final = "regional"
_MORE: Final = "secondary_elastic_ips"
_USUAL: Final = {"connectivity_type": "public", "availability_mode": "zonal"}
_LEAVING: Final = ("disassociating", "failed")


@dataclass(frozen=True)
class Parts:
    """`made_along`: the ids of what AWS makes and deletes together with a NAT gateway: network interfaces, and a regional gateway's route
    table. `associations`: the associations of the gateway's addresses, by allocation."""

    made_along: tuple[str, ...] = ()
    associations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NatGateway(Properties):
    """A way out for resources without public addresses: in one zone (in a subnet), or in all zones of a VPC (regional).

    In an observed regional gateway, `secondary_elastic_ips` are all addresses that users have given it. A spec can't say them.
    """

    kind = "nat_gateway"
    route_filter = "route.nat-gateway-id"
    is_costly = True
    service = "ec2"
    in_vpc = "vpc"
    is_for_others = True
    addresses = 1
    in_subnets = "subnet"
    leaving = frozenset({"deleting"})
    gone = frozenset({"deleted", "failed"})
    holds = frozenset({_MORE})
    replaced_on = frozenset(
        {"vpc", "subnet", "elastic_ip", "connectivity_type", "availability_mode", "private_ip_address"}
    )
    follows = ("internet_gateway",)

    vpc: Ref | None = None
    subnet: Ref | None = None
    elastic_ip: Ref | None = None
    connectivity_type: str | None = None
    availability_mode: str | None = None
    private_ip_address: str | None = None
    secondary_elastic_ips: tuple[Ref, ...] | None = None

    def slots(self) -> Iterable[Hashable]:
        held = (self.elastic_ip, *(self.secondary_elastic_ips or ()))
        return tuple(("Elastic IP address", str(item)) for item in held if item)


class NatGatewayKind(Ec2Kind[NatGateway]):
    """Drives NAT gateways."""

    properties = NatGateway
    noun = "a NAT gateway"
    position = 34
    section = "nat_gateways"
    entry_checks = (checks.check_entries,)
    use_checks = (checks.check_use,)
    id_prefix = "nat-"
    is_rare = True
    recognized_after = ("elastic_ip",)
    listing = Listing("describe_nat_gateways", "NatGateways", "NatGatewayId", "nat-gateway-id", needs_foreign=True)
    missing = ("NatGatewayNotFound", "InvalidNatGatewayID.NotFound")
    ready = frozenset({"available"})
    usual = _USUAL
    chosen = frozenset({"private_ip_address"})
    iam_type = "natgateway"
    iam_actions = IamActions(
        read=("ec2:DescribeNatGateways", "ec2:DescribeTags"),
        look=("ec2:DescribeAddresses", "ec2:DescribeSubnets", "servicequotas:GetServiceQuota"),
        create=("ec2:CreateNatGateway", "ec2:CreateTags", "iam:CreateServiceLinkedRole"),
        update=("ec2:AssociateNatGatewayAddress", "ec2:DisassociateNatGatewayAddress", "ec2:CreateTags"),
        delete=("ec2:DeleteNatGateway",),
        on={
            "ec2:CreateNatGateway": "natgateway+ vpc subnet elastic-ip",
            "ec2:AssociateNatGatewayAddress": "natgateway elastic-ip",
            "ec2:DisassociateNatGatewayAddress": "natgateway elastic-ip network-interface*",
        },
    )  # fmt: skip

    def grants(self, wanted: NatGateway, scope: Scope) -> Iterable[Grant]:
        if wanted.availability_mode == _REGIONAL:
            yield scope.linked_role("ec2-nat-gateway.amazonaws.com", "AWSServiceRoleForNATGateway")

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        if "subnet" in entry:
            entry.pop("vpc", None)  # the subnet's VPC
        if entry.get("availability_mode") == _REGIONAL and entry.pop(_MORE, None):
            named.remark("it was given its zones' addresses, which aren't managed and stay as they are")
        return entry

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self.own_rows(reader)
        # an emulator without filters by tag shows others' NAT gateways as well
        return [self._observe(reader, row) for row in rows if reader.ours(tags.from_list(row.get("Tags")))]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        addresses = [item for item in row.get("NatGatewayAddresses", ()) if item.get("Status") not in _LEAVING]
        is_regional = row.get("AvailabilityMode") == _REGIONAL
        primary = next((item for item in addresses if item.get("IsPrimary")), addresses[0] if addresses else {})
        is_given = not is_regional or row.get("AutoProvisionZones") == "disabled"
        held = {str(item["AllocationId"]) for item in addresses if is_given and "AllocationId" in item}
        elastic_ip = None if is_regional else primary.get("AllocationId")
        state = NatGateway(
            vpc=row["VpcId"],
            subnet=row.get("SubnetId") or None,
            elastic_ip=elastic_ip,
            connectivity_type=row.get("ConnectivityType") or "public",
            availability_mode=row.get("AvailabilityMode") or "zonal",
            private_ip_address=None if is_regional else primary.get("PrivateIp"),
            secondary_elastic_ips=tuple(sorted(held - {elastic_ip})),
        )
        interfaces = (item.get("NetworkInterfaceId") for item in row.get("NatGatewayAddresses", ()))
        parts = Parts(
            tuple(filter(None, [*interfaces, row.get("RouteTableId")])),
            {item["AllocationId"]: item.get("AssociationId", "") for item in addresses if item.get("AllocationId")},
        )
        return self.observe(reader, row, state, row.get("State", ""), str(row.get("CreateTime", "")), parts)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        """Zones without room for the NAT gateways that are to be made."""
        return await crowded_zones(aws, [item for item in intents if item.fields is None])

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """AWS documents no time. A create takes 84 to 121 s in nine public logs of `terraform apply`; replaces and deletes take minutes."""
        usual = (60, 300) if action in ("replace", "delete") or _MORE in fields else (0, 2)
        return (80, 150) if action == "create" else usual

    async def create(self, run: Run, wanted: NatGateway, desired: Desired) -> str:
        is_regional = wanted.availability_mode == _REGIONAL
        params: dict[str, Any] = {
            "VpcId": wanted.vpc if is_regional else None,
            "SubnetId": wanted.subnet,
            "AllocationId": wanted.elastic_ip,
            "ConnectivityType": wanted.connectivity_type,
            "AvailabilityMode": wanted.availability_mode,
            "PrivateIpAddress": wanted.private_ip_address,
            "SecondaryAllocationIds": list(wanted.secondary_elastic_ips or ()) or None,
            "TagSpecifications": [{"ResourceType": "natgateway", "Tags": run.tag_list(desired)}],
        }
        given, before = {key: value for key, value in params.items() if value is not None}, run.step.beside
        # an earlier NAT gateway that is being deleted holds its address until it is gone
        await all_of(*(wait_for_gateway(run, known, _until_left, waits.NAT_DELETED) for known in before.split()))
        # with `before`, so that AWS doesn't answer with an earlier NAT gateway of the same settings, which may have failed
        token = digest([run.stack, str(desired.address), before, given], 32)
        answer = await run.aws.call("ec2", "create_nat_gateway", ClientToken=token, **given)
        gateway = str(answer["NatGateway"]["NatGatewayId"])
        await wait_for_gateway(run, gateway, _until_available, waits.NAT_AVAILABLE)
        return gateway

    async def update(self, run: Run, wanted: NatGateway, observed: Observed, fields: frozenset[str]) -> None:
        if _MORE in fields:
            have, want = (set(map(str, item.secondary_elastic_ips or ())) for item in (self.of(observed), wanted))
            await set_addresses(run, observed.id, have, want, observed.detail(Parts).associations)

    async def delete(self, run: Run, observed: Observed) -> None:
        if not observed.is_leaving:
            await self.call_delete(run, observed.id, self.in_use)
        await wait_for_gateway(run, observed.id, _until_deleted, waits.NAT_DELETED)


def _until_available(row: Any) -> str:
    state = row["State"] if row else "unknown"
    if state in ("failed", "deleting", "deleted"):
        code, message = row.get("FailureCode", state), row.get("FailureMessage", "no reason given")
        raise WaitError(f"AWS couldn't make the NAT gateway {row['NatGatewayId']}: {message} ({code})")
    return "" if state == "available" else f"the NAT gateway to be available (now {state})"


def _until_left(row: Any) -> str:
    is_leaving = row and row["State"] in NatGateway.leaving
    return f"the NAT gateway {row['NatGatewayId']}, which somebody is deleting, to be gone" if is_leaving else ""


def _until_deleted(row: Any) -> str:
    state = row["State"] if row else "deleted"
    return "" if state in NatGateway.gone else f"the NAT gateway to be deleted (now {state})"


KIND: Final = NatGatewayKind()
