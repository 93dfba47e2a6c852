"""NAT gateways as objects, and their changes as time passes."""

from datetime import datetime
from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import random_eip_association_id, random_nat_gateway_id

from .clock import Timing
from .world import World

SHOWN = ("deleted", "failed")
"""The states of a NAT gateway that is gone, but still shown."""


class Nat(TaggedEC2Resource):
    """A NAT gateway with all that DescribeNatGateways shows (moto's has no states, zones or failures)."""

    def __init__(self, world: World, moment: datetime, **settings: Any) -> None:
        self.ec2_backend = world.ec2
        self.id = random_nat_gateway_id()
        self.state = "pending"
        self.create_time = moment
        self.nat_gateway_addresses: list[dict[str, Any]] = []
        self.failure_code: str | None = None
        self.failure_message: str | None = None
        self.subnet_id: str | None = settings.get("SubnetId")
        self.vpc_id: str = settings["VpcId"]
        self.connectivity_type: str = settings.get("ConnectivityType", "public")
        self.availability_mode: str = settings.get("AvailabilityMode", "zonal")
        self.auto_provision_zones: str | None = None
        self.auto_scaling_ips: str | None = None
        self.route_table_id: str | None = None
        world.ec2.nat_gateways[self.id] = self

    @property
    def is_regional(self) -> bool:
        return self.availability_mode == "regional"

    def hold(self, address: Any, **more: Any) -> dict[str, Any]:
        """Associate an Elastic IP address."""
        address.association_id = random_eip_association_id()
        held = {
            "AllocationId": address.allocation_id,
            "PublicIp": address.public_ip,
            "AssociationId": address.association_id,
            **more,
        }
        self.nat_gateway_addresses.append(held)
        return held


def address_of(world: World, allocation: str | None) -> Any | None:
    return next((item for item in world.ec2.addresses if item.allocation_id == allocation), None)


def holder_of(world: World, allocation: str) -> Nat | None:
    """The NAT gateway that has an Elastic IP address; None if there is none."""
    gateways = (item for item in world.ec2.nat_gateways.values() if item.state not in SHOWN)
    return next(
        (
            item
            for item in gateways
            if any(part.get("AllocationId") == allocation for part in item.nat_gateway_addresses)
        ),
        None,
    )


def let_go(world: World, allocation: str) -> None:
    """Release an Elastic IP address by its allocation."""
    if address := address_of(world, allocation):
        release_from_interface(address)


def release_from_interface(address: Any) -> None:
    """Release an Elastic IP address from its interface. A running instance gets a public address of AWS instead, if it is to have one (EC2
    User Guide, 'Amazon EC2 instance IP addressing')."""
    if address.eni:
        address.eni.public_ip = None
        if address.eni.instance and address.eni.instance.state == "running":
            address.eni.check_auto_public_ip()
    address.eni = address.instance = address.association_id = None


def happen(world: World, when: float, kind: str, subject: str, timing: Timing) -> None:
    """Carry out an event that is due: `nat failed`, `nat deleted` or `nat forgotten` for a gateway; `nat joined` or `nat left` for one of
    its addresses."""
    gateway = world.ec2.nat_gateways.get(subject.split(" ")[0])
    if gateway is None:
        return
    if kind in ("nat failed", "nat deleted"):
        take_apart(world, gateway)
        world.ledger.schedule(when + timing.nat_visible, "nat forgotten", gateway.id)
    elif kind == "nat forgotten":
        del world.ec2.nat_gateways[gateway.id]
        world.ec2.tags.pop(gateway.id, None)
    meant = subject.split(" ")[-1]
    for held in [item for item in gateway.nat_gateway_addresses if item.get("AllocationId") == meant]:
        if kind == "nat joined" and held["Status"] == "associating":
            held["Status"] = "succeeded"
        elif kind == "nat left":
            gateway.nat_gateway_addresses.remove(held)
            let_go(world, meant)


def take_apart(world: World, gateway: Nat) -> None:
    """Remove a gateway's interface and route table, and release its addresses. The gateway still shows its former addresses."""
    for held in gateway.nat_gateway_addresses:
        if held.get("AllocationId"):
            let_go(world, held["AllocationId"])
        world.remove_interface(held.get("NetworkInterfaceId", ""))
    if gateway.route_table_id:
        world.ec2.route_tables.pop(gateway.route_table_id, None)


def show(world: World, now: float) -> None:
    """Write the states at that time into the gateways."""
    for gateway_id, timeline in world.ledger.nats.items():
        if gateway := world.ec2.nat_gateways.get(gateway_id):
            gateway.state, reason = timeline.at(now)
            gateway.failure_code, _, message = reason.partition(": ")
            gateway.failure_code, gateway.failure_message = gateway.failure_code or None, message or None
