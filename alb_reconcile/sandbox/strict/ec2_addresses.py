"""Imitates AWS's rules for Elastic IP addresses."""

from .nat import address_of, holder_of, release_from_interface
from .references import not_found
from .rule import Call, before, refuse

HAS_INTERFACES = ("running", "stopping", "stopped")
"""The states in which an instance can get an address."""


@before("ReleaseAddress")
def address_in_use_stays(call: Call) -> None:
    """ReleaseAddress: 'You must disassociate the Elastic IP address before you can release it. Otherwise, Amazon EC2 returns
    an error (InvalidIPAddress.InUse)'. While its NAT gateway is being deleted that is AuthFailure (sno-for-100, issue 5;
    terraform-aws-vpc, issue 64)."""
    for address in call.world.ec2.addresses:
        if address.allocation_id == call.given("AllocationId") and address.association_id:
            gateway = holder_of(call.world, address.allocation_id)
            if gateway is not None and gateway.state == "deleting":
                refuse("AuthFailure", "You do not have permission to access the specified resource.")
            refuse("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")


@before("AssociateAddress")
def who_gets_an_address_is_there(call: Call) -> None:
    """AssociateAddress: InvalidAllocationID.NotFound, InvalidInstanceID.NotFound; InvalidInstanceID of one that is pending or
    terminated (terraform-provider-aws, pull request 3072 and issue 21228); 'the instance must have exactly one attached network
    interface'. Without an internet gateway in its VPC Gateway.NotAttached (EC2 API, 'Error codes')."""
    allocation, wanted = call.given("AllocationId"), call.given("InstanceId")
    if address_of(call.world, allocation) is None:
        refuse(*not_found(allocation or ""))
    if wanted is None:
        return
    instance = call.world.instance(wanted)
    if instance is None:
        refuse(*not_found(wanted))
    if instance.state not in HAS_INTERFACES:
        text = f"The {instance.state} instance '{wanted}' is not in a valid state for this operation."
        refuse("InvalidInstanceID", text)
    if len(instance.nics) > 1:
        text = f"There are multiple interfaces attached to instance '{wanted}'. Please specify an interface ID for the operation instead."
        refuse("InvalidInstanceID", text)
    if call.world.gateway_of(instance.vpc_id) is None:
        refuse("Gateway.NotAttached", f"Network {instance.vpc_id} is not attached to any internet gateway")


@before("AssociateAddress")
def address_moves_where_that_is_allowed(call: Call) -> None:
    """AssociateAddress, AllowReassociation: 'Reassociation is automatic, but you can specify false to ensure the operation fails if
    the Elastic IP address is already associated with another resource' (Resource.AlreadyAssociated; moto's default is false). 'If you
    associate an Elastic IP address with an instance that has an existing Elastic IP address, the existing address is disassociated
    from the instance'. A NAT gateway keeps its own (AuthFailure)."""
    address = address_of(call.world, call.given("AllocationId"))
    instance = call.world.instance(call.given("InstanceId") or "")
    interface = instance.nics[0] if instance else call.world.ec2.enis.get(call.given("NetworkInterfaceId") or "")
    call.params["AllowReassociation"] = call.given("AllowReassociation", True)
    if address is None or interface is None:
        return
    if address.association_id and address.eni is not interface:
        if holder_of(call.world, address.allocation_id) is not None:
            refuse("AuthFailure", "You do not have permission to access the specified resource.")
        if not call.params["AllowReassociation"]:
            refuse(
                "Resource.AlreadyAssociated",
                f"resource {address.allocation_id} is already associated with associate-id {address.association_id}",
            )
        release_from_interface(address)
    for other in call.world.ec2.addresses:
        if other.eni is interface and other is not address:
            release_from_interface(other)


@before("DisassociateAddress")
def what_is_disassociated_is_there(call: Call) -> None:
    """DisassociateAddress: InvalidAssociationID.NotFound (moto's message is worded for several ids)."""
    known = {item.association_id for item in call.world.ec2.addresses}
    if call.given("AssociationId") and call.given("AssociationId") not in known:
        refuse("InvalidAssociationID.NotFound", f"The association ID '{call.given('AssociationId')}' does not exist")
