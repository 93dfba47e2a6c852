"""Imitates AWS's rules for targets that are registered by address."""

from ipaddress import ip_address, ip_network
from typing import Any

from .rule import Call, refuse
from .world import World

PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))


def zone_of(world: World, group: Any, address: str) -> str:
    """The zone of the subnet, in the group's VPC, that contains an address; empty if no subnet does.

    AWS compares with the subnets, not with the VPC's ranges (aws-load-balancer-controller#3714).
    """
    asked = ip_address(address)
    for subnet in world.subnets(group.vpc_id):
        blocks = [subnet.cidr_block, *(item["ipv6CidrBlock"] for item in subnet.ipv6_cidr_block_associations.values())]
        if any(asked in ip_network(block) for block in blocks if ip_network(block).version == asked.version):
            return str(subnet.availability_zone)
    return ""


def check_address(call: Call, group: Any, target: dict[str, Any]) -> None:
    """RegisterTargets, by address: the address must be of the group's IP version; AvailabilityZone is `all` outside of the VPC, never
    inside (aws-load-balancer-controller#561, #3084); CreateTargetGroup, TargetType: no publicly routable addresses."""
    text = target["Id"]
    try:
        address = ip_address(text)
    except ValueError:
        refuse("ValidationError", f"The IP address '{text}' is not a valid IPv4 or IPv6 address")
    if f"ipv{address.version}" != (group.ip_address_type or "ipv4"):
        refuse("ValidationError", f"The IP address '{text}' is not of the type '{group.ip_address_type}'")
    zone, given = zone_of(call.world, group, text), target.get("AvailabilityZone")
    if zone and given == "all":
        refuse(
            "ValidationError",
            f"The IP address '{text}' is within the VPC, and cannot have its Availability Zone overridden to 'all' from '{zone}'",
        )
    if not zone and address.version == 4 and not any(address in block for block in PRIVATE):
        refuse("InvalidTarget", f"The IP address '{text}' is not within the private ranges that may be registered")
    if not zone and given is None:
        refuse(
            "ValidationError",
            "You must specify a valid Availability Zone or select 'all' for all enabled Availability zones, since the IP "
            f"address '{text}' is outside the VPC",
        )
