"""Rules of Elastic IP addresses."""

from typing import Any

from .nat import holder_of
from .rule import Call, after, before, refuse


@after("AllocateAddress")
def address_says_where_it_is_from(call: Call, result: Any) -> Any:
    """AllocateAddress, DescribeAddresses: PublicIpv4Pool is `amazon` for Amazon's own, and NetworkBorderGroup the region
    unless another was asked for (moto says neither)."""
    pool = call.given("PublicIpv4Pool", "amazon")
    group = call.given("NetworkBorderGroup", call.world.region)
    for address in call.world.ec2.addresses:
        if address.allocation_id == result["AllocationId"]:
            address.public_ipv4_pool, address.network_border_group = pool, group
    return {**result, "PublicIpv4Pool": pool, "NetworkBorderGroup": group}


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
