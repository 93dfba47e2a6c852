"""NAT gateways (EC2 CreateNatGateway, AssociateNatGatewayAddress, DeleteNatGateway)."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Listing, Zones
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.identifiers import refer_all
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.text import digest

_REGIONAL: Final = "regional"
_ZONES: Final = "availability_zone_addresses"
_LEAVING: Final = ("disassociating", "failed")


class ZoneAddresses(NamedTuple):
    """The Elastic IP addresses of a regional NAT gateway in one zone."""

    availability_zone: str
    elastic_ips: tuple[Ref, ...]


@dataclass(frozen=True)
class Parts:
    """What AWS has made with a NAT gateway and deletes with it: network interfaces, and a regional one's route table. And the
    associations of its addresses, by allocation."""

    made_along: tuple[str, ...] = ()
    associations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NatGateway(Properties):
    """A way out for what has no public address: in one zone (in a subnet), or in all zones of a VPC.

    Observed, `availability_zone_addresses` is None where AWS chooses zones and addresses itself.
    """

    kind = "nat_gateway"
    service = "ec2"
    is_for_others = True
    addresses = 1
    leaving = frozenset({"deleting"})
    gone = frozenset({"deleted", "failed"})
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
    availability_zone_addresses: tuple[ZoneAddresses, ...] | None = None

    def fixed(self, observed: Observed) -> frozenset[str]:
        # one whose zones AWS chooses can't be told which; AWS documents no way back, either
        is_automatic = getattr(observed.state, _ZONES, None) is None
        return self.replaced_on | {_ZONES} if is_automatic else self.replaced_on

    def slots(self) -> Iterable[Hashable]:
        zones = self.availability_zone_addresses or ()
        held = [self.elastic_ip, *(item for zone in zones for item in zone.elastic_ips)]
        return tuple(("elastic ip", str(item)) for item in held if item)


class NatGatewayKind(Ec2Kind[NatGateway]):
    """Drives NAT gateways."""

    properties = NatGateway
    noun = "a NAT gateway"
    position = 34
    section = "nat_gateways"
    id_prefix = "nat-"
    is_rare = True
    listing = Listing("describe_nat_gateways", "NatGateways", "NatGatewayId", "nat-gateway-id", needs_foreign=True)
    missing = ("NatGatewayNotFound", "InvalidNatGatewayID.NotFound")
    ready = frozenset({"available"})
    iam_actions = IamActions(
        read=("ec2:DescribeNatGateways", "ec2:DescribeTags"),
        look=("ec2:DescribeAddresses",),
        create=("ec2:CreateNatGateway", "ec2:CreateTags"),
        update=(
            "ec2:AssociateNatGatewayAddress",
            "ec2:DisassociateNatGatewayAddress",
            "ec2:CreateTags",
        ),
        delete=("ec2:DeleteNatGateway",),
    )

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> NatGateway:
        if (given := entry.get(_ZONES)) is not None:
            zones = [(item["availability_zone"], refer_all("elastic_ip", item["elastic_ips"])) for item in given]
            fields[_ZONES] = _ordered(
                ZoneAddresses(f"{around.region or ''}{zone}" if len(zone) == 1 else zone, addresses or ())
                for zone, addresses in zones
            )
        return NatGateway(**fields)

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await self.own_rows(reader)
        # an emulator that knows no filter by tag shows those of others as well
        return [self._observe(reader, row) for row in rows if reader.ours(tags.from_list(row.get("Tags")))]

    def _observe(self, reader: Reader, row: Row) -> Observed:
        addresses = [item for item in row.get("NatGatewayAddresses", ()) if item.get("Status") not in _LEAVING]
        is_regional = row.get("AvailabilityMode") == _REGIONAL
        primary = next((item for item in addresses if item.get("IsPrimary")), addresses[0] if addresses else {})
        state = NatGateway(
            vpc=row["VpcId"],
            subnet=row.get("SubnetId") or None,
            elastic_ip=None if is_regional else primary.get("AllocationId"),
            connectivity_type=row.get("ConnectivityType") or "public",
            availability_mode=row.get("AvailabilityMode") or "zonal",
            private_ip_address=None if is_regional else primary.get("PrivateIp"),
            availability_zone_addresses=_zones_of(addresses) if row.get("AutoProvisionZones") == "disabled" else None,
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
        """Addresses that something else holds: AWS tells minutes after the call."""
        made = {
            str(item.wanted.elastic_ip): item.desired
            for item in intents
            if item.fields is None and isinstance(item.wanted.elastic_ip, str)
        }
        if not made:
            return []
        rows = await aws.pages("ec2", "describe_addresses", "Addresses", where={"allocation-id": sorted(made)})
        return [
            Finding(
                made[row["AllocationId"]],
                "elastic_ip",
                f"{row['AllocationId']} is associated with {row['InstanceId']}; choose another address, or disassociate it",
            )
            for row in rows
            if row.get("InstanceId")
        ]

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """AWS documents no time; minutes are usual."""
        return (60, 300) if action in ("create", "replace", "delete") or _ZONES in fields else (0, 2)

    async def create(self, run: Run, wanted: NatGateway, desired: Desired) -> str:
        is_regional = wanted.availability_mode == _REGIONAL
        zones = [
            {"AvailabilityZone": item.availability_zone, "AllocationIds": list(item.elastic_ips)}
            for item in wanted.availability_zone_addresses or ()
        ]
        params: dict[str, Any] = {
            "VpcId": wanted.vpc if is_regional else None,
            "SubnetId": wanted.subnet,
            "AllocationId": wanted.elastic_ip,
            "ConnectivityType": wanted.connectivity_type,
            "AvailabilityMode": wanted.availability_mode,
            "PrivateIpAddress": wanted.private_ip_address,
            "AvailabilityZoneAddresses": zones or None,
            "TagSpecifications": [{"ResourceType": "natgateway", "Tags": run.tag_list(desired)}],
        }
        given = {key: value for key, value in params.items() if value is not None}
        # beside what was here before, which may have failed: its token would only show it again
        token = digest([run.stack, str(desired.address), run.beside, given], 32)
        answer = await run.aws.call("ec2", "create_nat_gateway", retry=waits.NAT_UNKNOWN, ClientToken=token, **given)
        gateway = str(answer["NatGateway"]["NatGatewayId"])
        await _wait(run, gateway, _until_available, waits.NAT_AVAILABLE)
        return gateway

    async def update(self, run: Run, wanted: NatGateway, observed: Observed, fields: frozenset[str]) -> None:
        if _ZONES not in fields:
            return
        have, want = _pairs(self.of(observed)), _pairs(wanted)
        moving = {address for _, address in have - want}
        associate = partial(_associate, run, observed.id)
        # what is new is there before anything goes, but for an address that changes its zone
        await associate({pair for pair in want - have if pair[1] not in moving})
        if have - want:
            associations = observed.detail(Parts).associations
            ids = sorted(associations[address] for address in moving if address in associations)
            await run.aws.call("ec2", "disassociate_nat_gateway_address", NatGatewayId=observed.id, AssociationIds=ids)
            gone = partial(_without, have - want)
            await _wait(run, observed.id, gone, waits.NAT_ADDRESSES)
        await associate({pair for pair in want - have if pair[1] in moving})

    async def delete(self, run: Run, observed: Observed) -> None:
        if not observed.is_leaving:
            await self.call_delete(run, observed.id, self.in_use)
        await _wait(run, observed.id, _until_deleted, waits.NAT_DELETED)


def _ordered(zones: Iterable[ZoneAddresses]) -> tuple[ZoneAddresses, ...]:
    return tuple(sorted(zones, key=str))


def _zones_of(addresses: Iterable[Mapping[str, Any]]) -> tuple[ZoneAddresses, ...]:
    by_zone: dict[str, list[str]] = {}
    for item in addresses:
        by_zone.setdefault(str(item.get("AvailabilityZone", "")), []).append(str(item.get("AllocationId", "")))
    return _ordered(ZoneAddresses(zone, tuple(sorted(found))) for zone, found in by_zone.items())


def _pairs(state: NatGateway) -> set[tuple[str, str]]:
    """Each zone with each of its addresses."""
    zones = state.availability_zone_addresses or ()
    return {(zone.availability_zone, str(address)) for zone in zones for address in zone.elastic_ips}


async def _associate(run: Run, gateway: str, pairs: Collection[tuple[str, str]]) -> None:
    zones: dict[str, list[str]] = {}
    for zone, address in sorted(pairs):
        zones.setdefault(zone, []).append(address)
    call = partial(run.aws.call, "ec2", "associate_nat_gateway_address", retry=waits.NAT_UNKNOWN, NatGatewayId=gateway)
    await all_of(*(call(AvailabilityZone=zone, AllocationIds=found) for zone, found in zones.items()))
    if pairs:
        await _wait(run, gateway, partial(_with, pairs), waits.NAT_ADDRESSES)


async def _wait(run: Run, gateway: str, check: Callable[[Any], str], timeout: float) -> None:
    """Wait until `check` says nothing more of what DescribeNatGateways shows (None if nothing)."""

    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        found = await run.aws.pages("ec2", "describe_nat_gateways", "NatGateways", where={"nat-gateway-id": ids})
        return {item["NatGatewayId"]: item for item in found}

    await run.watch("NAT gateways", fetch, slowest=15).until(gateway, check, timeout, run.say)


def _until_available(row: Any) -> str:
    state = row["State"] if row else "unknown"
    if state in ("failed", "deleting", "deleted"):
        code, message = row.get("FailureCode", state), row.get("FailureMessage", "no reason given")
        raise WaitError(f"AWS couldn't make the NAT gateway {row['NatGatewayId']}: {message} ({code})")
    return "" if state == "available" else f"the NAT gateway to be available (now {state})"


def _until_deleted(row: Any) -> str:
    state = row["State"] if row else "deleted"
    return "" if state in NatGateway.gone else f"the NAT gateway to be deleted (now {state})"


def _statuses(row: Any) -> dict[tuple[str, str], str]:
    """The status of each zone's addresses."""
    found = row.get("NatGatewayAddresses", ()) if row else ()
    return {(item.get("AvailabilityZone"), item.get("AllocationId")): item.get("Status", "succeeded") for item in found}


def _with(pairs: Collection[tuple[str, str]], row: Any) -> str:
    statuses = _statuses(row)
    if failed := sorted(address for zone, address in pairs if statuses.get((zone, address)) == "failed"):
        raise WaitError(f"AWS couldn't associate {', '.join(failed)} with the NAT gateway")
    missing = sum(statuses.get(pair) != "succeeded" for pair in pairs)
    return f"{missing} addresses to be associated" if missing else ""


def _without(pairs: Collection[tuple[str, str]], row: Any) -> str:
    left = len(_statuses(row).keys() & set(pairs))
    return f"{left} addresses to be disassociated" if left else ""


KIND: Final = NatGatewayKind()
