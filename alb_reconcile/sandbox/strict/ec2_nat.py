"""Imitates AWS's rules for NAT gateways."""

from collections.abc import Callable, Iterator
from typing import Any

from .matching import matches
from .nat import SHOWN, Nat, address_of, holder_of
from .references import not_found
from .rule import Call, around, before, refuse
from .tokens import fingerprint, refuse_mismatch
from .world import Timeline

_OF_A_ZONE = ("SubnetId", "AllocationId", "PrivateIpAddress", "SecondaryAllocationIds")


def _gateway(call: Call) -> Nat:
    found: Nat | None = call.world.ec2.nat_gateways.get(call.given("NatGatewayId"))
    if found is None:
        refuse("NatGatewayNotFound", f"NatGateway {call.given('NatGatewayId')} was not found")
    return found


@before("CreateNatGateway")
def nat_gateway_is_zonal_or_regional(call: Call) -> None:
    """CreateNatGateway: a zonal one has a SubnetId, and an AllocationId unless it is private ('You cannot specify an Elastic IP
    address with a private NAT gateway'); VpcId and AvailabilityZoneAddresses are 'for regional NAT gateways only'. Amazon VPC User
    Guide, 'Regional NAT gateways'."""
    is_private = call.given("ConnectivityType") == "private"
    if call.given("AvailabilityMode") == "regional":
        wrong = [key for key in _OF_A_ZONE if call.given(key)] + ["ConnectivityType"] * is_private
        missing = [] if call.given("VpcId") else ["VpcId"]
    else:
        wrong = [key for key in ("VpcId", "AvailabilityZoneAddresses") if call.given(key)]
        wrong += [key for key in ("AllocationId", "SecondaryAllocationIds") if is_private and call.given(key)]
        missing = [key for key in ("SubnetId", *([] if is_private else ["AllocationId"])) if not call.given(key)]
    if wrong:
        refuse("InvalidParameterCombination", f"The parameter {wrong[0]} isn't valid for this NAT gateway")
    if missing:
        refuse("MissingParameter", f"The request must contain the parameter {missing[0]}")


@before("CreateNatGateway")
def what_a_nat_gateway_names_exists(call: Call) -> None:
    """CreateNatGateway: InvalidSubnetID.NotFound, InvalidVpcID.NotFound, InvalidAllocationID.NotFound."""
    subnet, vpc = call.given("SubnetId"), call.given("VpcId")
    if subnet and call.world.subnet(subnet) is None:
        refuse(*not_found(subnet))
    if vpc and vpc not in call.world.ec2.vpcs:
        refuse(*not_found(vpc))
    for allocation in _allocations(call):
        if address_of(call.world, allocation) is None:
            refuse(*not_found(allocation))


def _allocations(call: Call) -> Iterator[str]:
    if call.given("AllocationId"):
        yield call.given("AllocationId")
    yield from call.given("SecondaryAllocationIds", [])
    for zone in (*call.given("AvailabilityZoneAddresses", []), {"AllocationIds": call.given("AllocationIds", [])}):
        yield from zone.get("AllocationIds", [])


@around("CreateNatGateway")
def nat_gateway_takes_minutes(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeNatGateways: pending, then available, or failed with FailureCode and FailureMessage. A ClientToken makes one gateway only
    ('Ensuring idempotency in Amazon EC2 API requests'; moto ignores it)."""
    token = call.given("ClientToken")
    digest = fingerprint(call.params)
    known_digest, known = call.world.ledger.tokens.get((token, "CreateNatGateway"), (digest, ""))
    if token and digest != known_digest:
        refuse_mismatch()
    if token and known in call.world.ec2.nat_gateways:
        return {"NatGateway": call.world.ec2.nat_gateways[known], "ClientToken": token}
    gateway = _make(call)
    if token:
        call.world.ledger.tokens[token, "CreateNatGateway"] = (digest, gateway.id)
    return {"NatGateway": gateway, "ClientToken": token}


def _make(call: Call) -> Nat:
    world = call.world
    subnet = world.subnet(call.given("SubnetId")) if call.given("SubnetId") else None
    vpc = subnet.vpc_id if subnet else call.given("VpcId")
    gateway = Nat(world, call.moment, **{**call.params, "VpcId": vpc})
    for specification in call.given("TagSpecifications", []):
        gateway.add_tags({tag["Key"]: tag["Value"] for tag in specification.get("Tags", [])})
    timeline = world.ledger.nats[gateway.id] = Timeline()
    timeline.add(call.now, "pending")
    if failure := _failure(call, gateway, subnet):
        timeline.entries.append((call.now + call.timing.nat_failing, "failed", failure))
        world.ledger.schedule(call.now + call.timing.nat_failing, "nat failed", gateway.id)
        return gateway
    timeline.then(call.now + call.timing.nat_pending, "available")
    if gateway.is_regional:
        _spread(call, gateway)
    else:
        _place(call, gateway, subnet)
    return gateway


def _failure(call: Call, gateway: Nat, subnet: Any) -> str:
    """Why a gateway will fail, empty if it won't (DescribeNatGateways, FailureCode and FailureMessage): Gateway.NotAttached,
    Resource.AlreadyAssociated, InsufficientFreeAddressesInSubnet."""
    if gateway.connectivity_type == "public" and call.world.gateway_of(gateway.vpc_id) is None:
        return f"Gateway.NotAttached: Network {gateway.vpc_id} has no Internet gateway attached"
    for allocation in _allocations(call):
        if getattr(address_of(call.world, allocation), "association_id", None):
            return f"Resource.AlreadyAssociated: Elastic IP address {allocation} is already associated"
    if subnet and int(subnet.available_ip_address_count) <= 0:
        return "InsufficientFreeAddressesInSubnet: Subnet has insufficient free addresses to create this NAT gateway"
    return ""


def _place(call: Call, gateway: Nat, subnet: Any) -> None:
    """CreateNatGateway: 'creates a network interface in the specified subnet with a private IP address from the IP address range of
    the subnet'."""
    wanted = call.given("PrivateIpAddress") or subnet.get_available_subnet_ip(gateway)
    eni = call.world.ec2.create_network_interface(subnet, wanted)
    eni.description, eni.interface_type = f"Interface for NAT Gateway {gateway.id}", "nat_gateway"
    eni.requester_managed, eni.status = True, "in-use"
    shown = {"NetworkInterfaceId": eni.id, "PrivateIp": wanted, "IsPrimary": True, "Status": "succeeded"}
    address = address_of(call.world, call.given("AllocationId"))
    if address is None:
        gateway.nat_gateway_addresses.append(shown)
        return
    address.eni, eni.public_ip = eni, address.public_ip
    gateway.hold(address, **shown)
    for allocation in call.given("SecondaryAllocationIds", []):
        private = subnet.get_available_subnet_ip(gateway)
        gateway.hold(address_of(call.world, allocation), **{**shown, "PrivateIp": private, "IsPrimary": False})


def _spread(call: Call, gateway: Nat) -> None:
    """Amazon VPC User Guide, 'Regional NAT gateways': if the request names addresses, auto-expansion is off; 'AWS automatically creates a
    route table for it, which comes with a pre-configured route to the internet gateway'. Otherwise AWS chooses addresses and
    interfaces itself, which isn't imitated."""
    zones = call.given("AvailabilityZoneAddresses", [])
    gateway.auto_provision_zones = gateway.auto_scaling_ips = "disabled" if zones else "enabled"
    for zone in zones:
        for allocation in zone["AllocationIds"]:
            address = address_of(call.world, allocation)
            gateway.hold(address, AvailabilityZone=zone["AvailabilityZone"], Status="succeeded")
    table = call.world.ec2.create_route_table(gateway.vpc_id)
    attached = call.world.gateway_of(gateway.vpc_id)
    call.world.ec2.create_route(table.id, "0.0.0.0/0", gateway_id=attached.id if attached else None)
    gateway.route_table_id = table.id


@around("DeleteNatGateway")
def deleting_a_nat_gateway_takes_time(call: Call, _: Callable[[], Any]) -> Any:
    """DeleteNatGateway: deleting, then deleted and shown for about an hour; 'Deleting a public NAT gateway disassociates its Elastic
    IP address' ('doesn't delete any NAT gateway routes in your route tables')."""
    gateway = _gateway(call)
    if gateway.state not in (*SHOWN, "deleting"):
        timeline = call.world.ledger.nats[gateway.id]
        timeline.add(call.now, "deleting")
        timeline.then(call.now + call.timing.nat_deleting, "deleted")
        call.world.ledger.schedule(call.now + call.timing.nat_deleting, "nat deleted", gateway.id)
    return {"NatGatewayId": gateway.id}


@around("DescribeNatGateways")
def nat_gateways_are_found_by_tag(call: Call, proceed: Callable[[], Any]) -> Any:
    """DescribeNatGateways: the filters `tag:<key>` and `tag-key` (moto ignores them), NatGatewayNotFound for an unknown id."""
    for gateway_id in call.given("NatGatewayIds", []):
        if gateway_id not in call.world.ec2.nat_gateways:
            refuse("NatGatewayNotFound", f"NatGateway {gateway_id} was not found")
    given = call.given("Filter", [])
    call.params["Filter"] = [item for item in given if not item["Name"].startswith("tag")]
    found = proceed()["NatGateways"]
    for item in given:
        if item["Name"].startswith("tag"):
            key, values = item["Name"].removeprefix("tag:"), item.get("Values", [])
            found = [row for row in found if matches(_tagged(call, row.id, key), values)]
    return {"NatGateways": found}


def _tagged(call: Call, gateway_id: str, key: str) -> Any:
    tags = call.world.ec2.tags.get(gateway_id, {})
    return list(tags) if key == "tag-key" else tags.get(key)


@around("AssociateNatGatewayAddress")
def addresses_join_a_nat_gateway(call: Call, _: Callable[[], Any]) -> Any:
    """AssociateNatGatewayAddress: an available gateway takes more addresses. Each is `associating` at first (NatGatewayAddress, Status).
    Not imitated for regional gateways."""
    gateway = _gateway(call)
    if gateway.state != "available":
        refuse("IncorrectState", f"The NAT gateway {gateway.id} is not available.")
    for allocation in call.given("AllocationIds", []):
        address = address_of(call.world, allocation)
        if address is None:
            refuse(*not_found(allocation))
        if address.association_id:
            refuse("Resource.AlreadyAssociated", f"Elastic IP address {allocation} is already associated")
        gateway.hold(address, **_beside(call, gateway), Status="associating")
        call.world.ledger.schedule(call.now + call.timing.nat_joining, "nat joined", f"{gateway.id} {allocation}")
    return {"NatGatewayId": gateway.id, "NatGatewayAddresses": gateway.nat_gateway_addresses}


def _beside(call: Call, gateway: Nat) -> dict[str, Any]:
    """The place of an additional address of a zonal gateway: the gateway's interface, with another private address."""
    subnet = call.world.subnet(gateway.subnet_id or "")
    private = subnet.get_available_subnet_ip(gateway) if subnet else ""
    eni = gateway.nat_gateway_addresses[0]["NetworkInterfaceId"]
    return {"NetworkInterfaceId": eni, "PrivateIp": private, "IsPrimary": False}


@around("DisassociateNatGatewayAddress")
def addresses_leave_a_nat_gateway(call: Call, _: Callable[[], Any]) -> Any:
    """DisassociateNatGatewayAddress: an address is `disassociating` for MaxDrainDurationSeconds: 'Default value is 350 seconds'."""
    gateway = _gateway(call)
    drained = call.now + float(call.given("MaxDrainDurationSeconds", 350))
    for held in gateway.nat_gateway_addresses:
        if held.get("AssociationId") in call.given("AssociationIds", []):
            held["Status"] = "disassociating"
            call.world.ledger.schedule(drained, "nat left", f"{gateway.id} {held['AllocationId']}")
    return {"NatGatewayId": gateway.id, "NatGatewayAddresses": gateway.nat_gateway_addresses}


@before("DisassociateAddress")
def nat_gateways_keep_their_addresses(call: Call) -> None:
    """Amazon VPC User Guide, 'Work with NAT gateways': only DisassociateNatGatewayAddress, or deleting the gateway, takes an
    address from a NAT gateway (InvalidParameterValue; AuthFailure: 'You do not have permission to access the specified resource')."""
    for address in call.world.ec2.addresses:
        is_meant = address.association_id and address.association_id == call.given("AssociationId")
        if is_meant and holder_of(call.world, address.allocation_id) is not None:
            refuse("AuthFailure", "You do not have permission to access the specified resource.")


def _unanswered(_: Any) -> Any:
    """Stands in for an action that moto doesn't have, so that a rule can answer it."""
    raise NotImplementedError


def patches() -> list[tuple[Any, str, Any]]:
    from moto.ec2.responses import EC2Response

    return [(EC2Response, f"{verb}_nat_gateway_address", _unanswered) for verb in ("associate", "disassociate")]
