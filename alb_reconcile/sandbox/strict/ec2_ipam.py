"""Rules of IPAM: pools, and the ranges of VPCs and subnets, and the addresses, that come from them (moto has none)."""

import ipaddress
from collections.abc import Callable
from typing import Any

from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_resource_id

from .ec2_ranges import blocks, range_fits_the_vpc, ranges, subnet_is_in_an_associated_range
from .elb_trust_stores import stub
from .ipam import Allocation, Pool, allocate, pool_of
from .rule import Call, after, around, before, refuse
from .world import World

ACTIONS = ("create_ipam_pool", "provision_ipam_pool_cidr", "describe_ipam_pools", "get_ipam_pool_allocations")
MANAGED = "IPAM Managed"
"""What DescribeVpcs shows as the pool of an IPv6 range from IPAM, of whichever pool it is (terraform-provider-aws, `ipamManagedIPv6PoolID`)."""


def patches() -> list[tuple[Any, str, Any]]:
    return [(EC2Response, name, stub) for name in ACTIONS]


def shown(pool: Pool) -> dict[str, Any]:
    return {**pool.settings, "IpamPoolId": pool.id, "State": "create-complete"}


@around("CreateIpamPool")
def pool_is_made(call: Call, _: Callable[[], Any]) -> Any:
    """CreateIpamPool. The IPAM itself and its scopes aren't looked at."""
    given = {name: value for name, value in call.params.items() if name not in ("DryRun", "ClientToken", "Action")}
    pool = Pool(f"ipam-pool-{random_resource_id(17)}", {"Locale": "None", **given})
    call.world.ledger.ipam_pools[pool.id] = pool
    return {"IpamPool": shown(pool)}


@around("ProvisionIpamPoolCidr")
def pool_gets_a_range(call: Call, _: Callable[[], Any]) -> Any:
    """ProvisionIpamPoolCidr: a range for its allocations."""
    pool_of(call, call.given("IpamPoolId")).cidrs.append(call.given("Cidr"))
    return {"IpamPoolCidr": {"Cidr": call.given("Cidr"), "State": "provisioned"}}


@around("DescribeIpamPools")
def pools_are_shown(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeIpamPools: InvalidIpamPoolId.NotFound for any that isn't there."""
    named = call.given("IpamPoolIds", [])
    found = [pool_of(call, item) for item in named] if named else call.world.ledger.ipam_pools.values()
    return {"IpamPools": [shown(pool) for pool in found]}


@around("GetIpamPoolAllocations")
def allocations_are_shown(call: Call, _: Callable[[], Any]) -> Any:
    """GetIpamPoolAllocations: each range with the resource that has it."""
    return {
        "IpamPoolAllocations": [
            {"Cidr": item.cidr, "IpamPoolAllocationId": item.id, "ResourceId": item.resource, "ResourceType": item.kind}
            for item in pool_of(call, call.given("IpamPoolId")).held(call.now)
        ]
    }


@before("CreateVpc", "AssociateVpcCidrBlock", "CreateSubnet", "AssociateSubnetCidrBlock")
def length_needs_a_pool(call: Call) -> None:
    """CreateVpc, CreateSubnet: a netmask length is that of a range from a pool; with it a range can't be named."""
    for family, name in (("Ipv4", "CidrBlock"), ("Ipv6", "Ipv6CidrBlock")):
        length, pool = call.given(f"{family}NetmaskLength"), call.given(f"{family}IpamPoolId")
        if length is not None and (pool is None or call.given(name)):
            refuse(
                "InvalidParameterCombination",
                f"{family}NetmaskLength must be specified with {family}IpamPoolId and without {name}",
            )
        if pool is not None:
            pool_of(call, pool)


def take(call: Call) -> list[Allocation]:
    """What a request wants of pools, as if it had named the ranges."""
    found = []
    if pool := call.given("Ipv4IpamPoolId"):
        found.append(allocate(call, pool, "ipv4", call.given("Ipv4NetmaskLength"), call.given("CidrBlock")))
        call.params["CidrBlock"] = found[-1].cidr
    if pool := call.given("Ipv6IpamPoolId"):
        found.append(allocate(call, pool, "ipv6", call.given("Ipv6NetmaskLength"), call.given("Ipv6CidrBlock")))
        call.params["Ipv6CidrBlock"] = found[-1].cidr
    return found


@around("CreateVpc", "AssociateVpcCidrBlock")
def vpc_takes_from_a_pool(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateVpc, AssociateVpcCidrBlock: Ipv4IpamPoolId and Ipv6IpamPoolId, with a length or the pool's default."""
    found = take(call)
    if call.given("Ipv6IpamPoolId"):
        call.params["Ipv6Pool"] = MANAGED

    def go_on() -> Any:
        if call.action.startswith("Associate"):
            range_fits_the_vpc.apply(call)
        return proceed()

    result = held_by(call, found, go_on)
    vpc = result["Vpc"].id if "Vpc" in result else call.given("VpcId")
    for item in found:
        item.resource = vpc
    return result


@around("CreateSubnet", "AssociateSubnetCidrBlock")
def subnet_takes_from_a_pool(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateSubnet: the pool is one for the subnet's VPC (IPAM User Guide, 'Plan VPC IP address space for subnet IP allocations')."""
    subnet = call.world.subnet(call.given("SubnetId", ""))
    vpc = subnet.vpc_id if subnet else call.given("VpcId")
    for name in ("Ipv4IpamPoolId", "Ipv6IpamPoolId"):
        if pool := call.given(name):
            source = pool_of(call, pool).settings.get("SourceResource") or {}
            if source.get("ResourceId") != vpc:
                refuse("InvalidParameterValue", f"The pool {pool} isn't a resource planning pool of {vpc}.")
    found = take(call)

    def go_on() -> Any:
        subnet_is_in_an_associated_range.apply(call)
        return proceed()

    result = held_by(call, found, go_on if found else proceed)
    for item in found:
        item.resource, item.kind = result["Subnet"].id if "Subnet" in result else call.given("SubnetId"), "subnet"
    return result


def held_by(call: Call, found: list[Allocation], proceed: Callable[[], Any]) -> Any:
    """Nothing is taken from a pool for what is refused."""
    try:
        return proceed()
    except BaseException:
        for pool in call.world.ledger.ipam_pools.values():
            pool.allocations = [item for item in pool.allocations if item not in found]
        raise


@around("AllocateAddress")
def address_comes_from_a_pool(call: Call, proceed: Callable[[], Any]) -> Any:
    """IPAM User Guide, 'Allocate sequential Elastic IP addresses from an IPAM pool': the answer's PublicIpv4Pool is the IPAM pool's id."""
    pool, named = call.given("IpamPoolId"), call.given("Address")
    if pool is None:
        return proceed()
    found = allocate(call, pool, "ipv4", 32, f"{named}/32" if named else None)
    call.params["Address"] = found.cidr.partition("/")[0]
    call.params["PublicIpv4Pool"] = pool
    result = held_by(call, [found], proceed)
    found.resource, found.kind = result["AllocationId"], "eip"
    return result


@after("DeleteVpc", "DeleteSubnet", "ReleaseAddress", "DisassociateVpcCidrBlock", "DisassociateSubnetCidrBlock")
def ranges_come_back_later(call: Call, result: Any) -> Any:
    """IPAM User Guide, 'Release an allocation': 'it takes a few minutes for the CIDR to become available for future allocations'
    (in the Free Tier up to 48 hours)."""
    for pool in call.world.ledger.ipam_pools.values():
        for item in pool.allocations:
            if item.until is None and item.resource and not is_used(call.world, item):
                item.until = call.now + call.timing.ipam_release
    return result


def is_used(world: World, item: Allocation) -> bool:
    block = ipaddress.ip_network(item.cidr)
    if item.kind == "eip":
        return any(address.allocation_id == item.resource for address in world.ec2.addresses)
    if item.kind == "subnet":
        subnet = world.subnet(item.resource)
        return subnet is not None and block in blocks(subnet)
    vpc = world.ec2.vpcs.get(item.resource)
    return vpc is not None and block in [found for found, _ in ranges(vpc)]
