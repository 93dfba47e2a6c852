"""The kind `elastic_ip_association`: Elastic IP addresses given to instances (EC2 AssociateAddress, DisassociateAddress)."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Row
from alb_reconcile.kinds._instance_rows import is_alive, is_copy, primary_interface
from alb_reconcile.kinds.base import Entry, IamActions, Kind, Named
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.elastic_ip import KIND as ELASTIC_IP
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed, Properties, each_of
from alb_reconcile.model.service import PublicAddress
from alb_reconcile.model.steps import Associate

_HELD: Final = "Resource.AlreadyAssociated"
_AMAZON: Final = "amazon"


@dataclass(frozen=True)
class Associated:
    """AWS's id of an association; empty where the id isn't known."""

    id: str = ""


@dataclass(frozen=True, kw_only=True)
class ElasticIpAssociation(PublicAddress):
    """The Elastic IP address of an instance's primary network interface.

    Observed, `elastic_ip` is the address itself where its allocation is neither the stack's nor named by the spec.
    """

    kind = "elastic_ip_association"
    said_in = frozenset({"elastic_ip"})
    service = ""
    parent = "instance"
    follows = ("internet_gateway",)
    moves = frozenset({"elastic_ip"})

    instance: Ref
    elastic_ip: Ref | None = None

    def slots(self) -> Iterable[Hashable]:
        """The Elastic IP address, which a NAT gateway can hold, too."""
        return (("Elastic IP address", str(self.elastic_ip)),)

    def conflicts(self, other: Properties) -> bool:
        """Whether the other holder must let go first: between instances, the address moves in one call."""
        return not isinstance(other, ElasticIpAssociation)


def associations(name: str, entry: Entry) -> Iterable[tuple[Address, Properties]]:
    """The associations that an entry under `instances` describes: the members get the addresses of a list in its order."""
    given = entry.get("elastic_ip")
    addresses = given if isinstance(given, list) else [] if given is None else [given]
    for number, item in zip(range(1, entry.get("count", 1) + 1), addresses, strict=False):
        instance = Address("instance", f"{name}-{number}")
        state = ElasticIpAssociation(elastic_ip=refer("elastic_ip", item), instance=instance)
        yield Address(ElasticIpAssociation.kind, instance.name), state


class ElasticIpAssociationKind(Kind[ElasticIpAssociation]):
    """Drives Elastic IP addresses of instances."""

    properties = ElasticIpAssociation
    noun = "an instance's Elastic IP address"
    position = 62
    is_always_read = False
    iam_type = "elastic-ip"
    iam_actions = IamActions(
        read=("ec2:DescribeAddresses", "ec2:DescribeInstances", "ec2:DescribeTags"),
        create=("ec2:AssociateAddress",),
        update=("ec2:AssociateAddress",),
        delete=("ec2:DisassociateAddress",),
        on={
            "ec2:AssociateAddress": "elastic-ip instance network-interface*",
            "ec2:DisassociateAddress": "elastic-ip network-interface*",
        },
    )  # fmt: skip

    async def is_hinted(self, reader: Reader) -> bool:
        """Whether an instance of the stack has an Elastic IP address."""
        return bool(await _held(reader))

    async def discover(self, reader: Reader) -> list[Observed]:
        wanted = {item.address for item, _ in each_of(reader.desired.values(), ElasticIpAssociation)}
        held = await _held(reader)
        found = []
        for instance in await reader.instances():
            if not is_alive(instance) or is_copy(instance):
                continue
            own = tags.own_address(tags.from_list(instance.get("Tags")), "instance", instance["InstanceId"])
            address = Address(ElasticIpAssociation.kind, own.name)
            row = _primary(instance, held.get(instance["InstanceId"], ()))
            known = row["AllocationId"] if row else _other_address(instance) if address in wanted else ""
            if known:
                state = ElasticIpAssociation(elastic_ip=known, instance=instance["InstanceId"])
                details = Associated(row["AssociationId"] if row else "")
                key = f"{instance['InstanceId']}/elastic_ip"
                found.append(Observed(address, key, state, {}, reader.stack, details=details))
        return found

    def write_member(self, observed: Observed, entry: Entry, own: Entry, named: Named) -> None:
        """Adds the address to its instance's entry; a group of instances has a list."""
        known = named.name_of(str(self.of(observed).elastic_ip))
        given = entry.get("elastic_ip")
        entry["elastic_ip"] = known if given is None else [*(given if isinstance(given, list) else [given]), known]

    async def create(self, run: Run, wanted: ElasticIpAssociation, desired: Desired) -> str:
        await _associate(run, str(wanted.elastic_ip), str(wanted.instance))
        return f"{wanted.instance}/elastic_ip"

    async def update(self, run: Run, wanted: ElasticIpAssociation, observed: Observed, fields: frozenset[str]) -> None:
        await _associate(run, str(wanted.elastic_ip), str(wanted.instance))

    async def delete(self, run: Run, observed: Observed) -> None:
        missing = ("InvalidAssociationID.NotFound",)
        association = observed.detail(Associated).id
        await run.gone("ec2", "disassociate_address", missing=missing, AssociationId=association)


async def _held(reader: Reader) -> dict[str, list[Row]]:
    """By instance, the Elastic IP addresses that instances have: the stack's own addresses, and addresses that its spec names."""
    listing, held = ELASTIC_IP.listing, defaultdict[str, list[Row]](list)
    named = await reader.by_ids(ELASTIC_IP.id_prefix, listing.operation, listing.key, listing.id_filter)
    for item in [*await ELASTIC_IP.own_rows(reader), *named]:
        if item.get("InstanceId") and item.get("AssociationId"):
            held[item["InstanceId"]].append(item)
    return held


def _primary(instance: Row, rows: Iterable[Row]) -> Row | None:
    """The Elastic IP address of an instance's primary private address, if there is one."""
    private = instance.get("PrivateIpAddress")
    return min(rows, key=lambda row: row.get("PrivateIpAddress") != private, default=None)


def _other_address(instance: Row) -> str:
    """An Elastic IP address that a user gave to an instance; empty for one of Amazon's own addresses."""
    association = primary_interface(instance).get("Association") or {}
    is_elastic = association.get("IpOwnerId") not in (None, _AMAZON)
    return str(association.get("PublicIp", "")) if is_elastic else ""


async def _associate(run: Run, allocation: str, instance: str) -> None:
    """Give an instance an address. An address that another resource holds is taken only as the plan has said."""
    call = partial(
        run.aws.call, "ec2", "associate_address",
        retry=waits.ASSOCIATED_UNKNOWN, AllocationId=allocation, InstanceId=instance,
    )  # fmt: skip
    try:
        await call(AllowReassociation=False)
    except AwsError as error:
        if error.code != _HELD and not error.ambiguous:
            raise
        # where no resource holds the address, the instance has another one, which gives way
        holder = await repeat_until(run.aws, partial(_holder, run, allocation), bool, waits.LOST_REPLY)
        if holder == instance:
            return
        if holder and holder not in {*run.own, *run.ids.values(), run.step.detail(Associate).taken_from}:
            text = f"{allocation} is associated with {holder}, which isn't this stack's; disassociate it there first"
            raise RefusedError(text) from None
        await call(AllowReassociation=bool(holder) or error.code == _HELD)


async def _holder(run: Run, allocation: str) -> str:
    """The instance or network interface that has an address; empty where none has it, or AWS shows none yet."""
    rows: list[dict[str, Any]] = await run.aws.pages(
        "ec2", "describe_addresses", "Addresses", where={"allocation-id": allocation}
    )
    return next((str(row.get("InstanceId") or row.get("NetworkInterfaceId") or "") for row in rows), "")


KIND: Final = ElasticIpAssociationKind()
