"""Imitates AWS's rules for ranges of VPCs and subnets: secondary ranges, IPv6, and subnet attributes that moto lacks."""

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from .references import not_found
from .rule import Call, around, before, refuse
from .world import World

PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16")]


def ranges(vpc: Any, *states: str) -> Iterator[tuple[Any, Any]]:
    """A VPC's ranges that are in one of these states, with their associations."""
    for association in vpc._cidr_block_association_set.values():
        if association["cidr_block_state"]["state"] in (states or ("associating", "associated")):
            yield ipaddress.ip_network(association["cidr_block"]), association


def vpc_of(call: Call) -> Any:
    found = call.world.ec2.vpcs.get(call.given("VpcId"))
    if found is None:
        refuse(*not_found(call.given("VpcId")))
    return found


def blocks(subnet: Any) -> list[Any]:
    """A subnet's ranges."""
    every = [item["ipv6CidrBlock"] for item in subnet.ipv6_cidr_block_associations.values() if is_there(item)]
    return [ipaddress.ip_network(text) for text in (subnet.cidr_block, *every) if text]


def is_there(association: Any) -> bool:
    return association["ipv6CidrBlockState"]["State"] in ("associating", "associated")


@before("AssociateVpcCidrBlock")
def range_fits_the_vpc(call: Call) -> None:
    """Amazon VPC User Guide, 'IPv4 CIDR block association restrictions': InvalidVpc.Range for a size or a range that AWS doesn't
    allow, and for a range that overlaps another (moto takes any)."""
    vpc, text = vpc_of(call), call.given("CidrBlock")
    if text is None:
        return
    block = ipaddress.ip_network(text, strict=False)
    call.params["CidrBlock"] = str(block)
    if not 16 <= block.prefixlen <= 28:
        refuse("InvalidVpc.Range", f"The CIDR '{block}' is invalid.")
    present = [item for item, _ in ranges(vpc) if item.version == 4]
    if any(item.overlaps(block) for item in present):
        refuse("InvalidVpc.Range", f"The CIDR '{block}' conflicts with another of the VPC's ranges.")
    if is_restricted(block, ipaddress.ip_network(vpc.cidr_block), present):
        refuse(
            "InvalidVpc.Range",
            f"The CIDR '{block}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or "
            "use a publicly-routable CIDR. For additional restrictions, see "
            "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html",
        )


def is_restricted(block: Any, primary: Any, present: list[Any]) -> bool:
    """Whether a range is restricted, by the rows of the table in 'IPv4 CIDR block association restrictions', in order."""
    own = [part for part in PRIVATE if primary.subnet_of(part)]
    new = [part for part in PRIVATE if block.subnet_of(part)]
    if block.overlaps(ipaddress.ip_network("169.254.0.0/16")) or (new and new != own):
        return True
    if own == [PRIVATE[1]] and block.subnet_of(ipaddress.ip_network("172.31.0.0/16")):
        return True
    low = any(item.subnet_of(ipaddress.ip_network("10.0.0.0/15")) for item in present)
    return low and block.subnet_of(ipaddress.ip_network("10.0.0.0/16"))


def settle_range(call: Call, vpc: Any, association: Any, state: str, then: str) -> None:
    association["cidr_block_state"]["state"] = state
    call.world.ledger.schedule(
        call.now + call.timing.associating, "range", f"{vpc.id} {association['association_id']} {then}"
    )


def happen_to_range(world: World, subject: str) -> None:
    """Finish the association or disassociation of a VPC's range."""
    vpc_id, association_id, state = subject.split(" ")
    vpc = world.ec2.vpcs.get(vpc_id)
    association = vpc._cidr_block_association_set.get(association_id) if vpc else None
    if association is None:
        return
    if state == "disassociated":
        del vpc._cidr_block_association_set[association_id]
    else:
        association["cidr_block_state"]["state"] = state


def dress_ipv6(call: Call, vpc: Any) -> None:
    """CreateVpc, AssociateVpcCidrBlock: an IPv6 range is `associating` at first, and its network border group is the region."""
    for _, association in list(ranges(vpc)):
        if association.get("ipv6_pool") and "network_border_group" not in association:
            association["network_border_group"] = call.world.region
            settle_range(call, vpc, association, "associating", "associated")


@around("CreateVpc")
def vpc_has_an_ipv6_range(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateVpc: AmazonProvidedIpv6CidrBlock; AWS takes some seconds to associate it."""
    result = proceed()
    dress_ipv6(call, result["Vpc"])
    return result


@around("AssociateVpcCidrBlock")
def range_is_associated_slowly(call: Call, proceed: Callable[[], Any]) -> Any:
    """AssociateVpcCidrBlock: for some seconds the range is `associating`, and no subnet can be made in it."""
    vpc = vpc_of(call)
    before_ids = set(vpc._cidr_block_association_set)
    result = proceed()
    for association_id, association in vpc._cidr_block_association_set.items():
        if association_id not in before_ids and not association.get("ipv6_pool"):
            settle_range(call, vpc, association, "associating", "associated")
    dress_ipv6(call, vpc)
    return result


@around("DisassociateVpcCidrBlock")
def range_in_use_stays(call: Call, proceed: Callable[[], Any]) -> Any:
    """DisassociateVpcCidrBlock: 'You must detach or delete all gateways and resources that are associated with the CIDR block';
    InvalidCidrBlock.InUse while a subnet is in the range (moto doesn't check). Disassociating takes some seconds."""
    wanted = call.given("AssociationId")
    for vpc in call.world.ec2.vpcs.values():
        for block, association in list(ranges(vpc)):
            if association["association_id"] != wanted:
                continue
            inside = [
                subnet
                for subnet in call.world.subnets(vpc.id)
                if any(part.version == block.version and part.subnet_of(block) for part in blocks(subnet))
            ]
            if inside:
                message = f"The vpc {vpc.id} currently has a subnet within CIDR block {block}"
                refuse("InvalidCidrBlock.InUse", message)
            result = proceed()
            settle_range(call, vpc, association, "disassociating", "disassociated")
            return result
    return proceed()


@before("CreateSubnet", "AssociateSubnetCidrBlock")
def subnet_is_in_an_associated_range(call: Call) -> None:
    """CreateSubnet: InvalidSubnet.Range outside of the VPC's associated ranges, InvalidSubnet.Conflict if it overlaps another subnet;
    Amazon VPC User Guide, 'IPv6 subnet sizing': /44 to /64 in steps of /4 (moto checks no IPv6 ranges)."""
    subnet = call.world.subnet(call.given("SubnetId")) if call.given("SubnetId") else None
    vpc = call.world.ec2.vpcs.get(subnet.vpc_id if subnet else call.given("VpcId"))
    if vpc is None:
        return  # moto refuses it
    for text in filter(None, (call.given("CidrBlock"), call.given("Ipv6CidrBlock"))):
        try:
            block = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        associated = [item for item, _ in ranges(vpc, "associated") if item.version == block.version]
        sized = block.version == 4 or block.prefixlen in range(44, 65, 4)
        if not sized or not any(block.subnet_of(item) for item in associated):
            refuse("InvalidSubnet.Range", f"The CIDR '{block}' is invalid.")
        others = [part for other in call.world.subnets(vpc.id) if other is not subnet for part in blocks(other)]
        if any(part.version == block.version and part.overlaps(block) for part in others):
            refuse("InvalidSubnet.Conflict", f"The CIDR '{block}' conflicts with another subnet")


@before("AssociateSubnetCidrBlock")
def subnet_has_one_ipv6_range(call: Call) -> None:
    """AssociateSubnetCidrBlock: 'You can only associate a single IPv6 CIDR block with your subnet'."""
    subnet = call.world.subnet(call.given("SubnetId"))
    if subnet is None:
        refuse(*not_found(call.given("SubnetId")))
    if any(is_there(item) for item in subnet.ipv6_cidr_block_associations.values()):
        refuse("InvalidParameterValue", f"The subnet {subnet.id} already has an associated IPv6 CIDR block")


@before("DisassociateSubnetCidrBlock")
def ipv6_range_that_is_handed_out_stays(call: Call) -> None:
    """DisassociateSubnetCidrBlock: refused while AssignIpv6AddressOnCreation is on, which terraform-provider-aws switches off before."""
    for subnet in call.world.subnets():
        if (
            call.given("AssociationId") in subnet.ipv6_cidr_block_associations
            and subnet.assign_ipv6_address_on_creation
        ):
            refuse("InvalidParameterValue", f"The subnet {subnet.id} assigns IPv6 addresses on creation")


@around("ModifySubnetAttribute")
def every_attribute_is_kept(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifySubnetAttribute: EnableDns64 and the hostname attributes are kept, too (moto forgets them); AssignIpv6AddressOnCreation needs
    an IPv6 range."""
    subnet: Any = call.world.subnet(call.given("SubnetId"))  # the subnet exists, by an earlier check
    options = dict(subnet.private_dns_name_options_on_launch)
    if (call.given("AssignIpv6AddressOnCreation") or {}).get("Value") and not any(
        part.version == 6 for part in blocks(subnet)
    ):
        refuse("InvalidParameterValue", f"The subnet {subnet.id} has no IPv6 CIDR block to assign addresses from")
    if (value := call.given("EnableDns64")) is not None:
        subnet.enable_dns64 = value["Value"]
    if (value := call.given("PrivateDnsHostnameTypeOnLaunch")) is not None:
        options["HostnameType"] = value
    for name in ("EnableResourceNameDnsARecord", "EnableResourceNameDnsAAAARecord"):
        if (value := call.given(f"{name}OnLaunch")) is not None:
            options[name] = value["Value"]
    result = proceed()
    subnet.private_dns_name_options_on_launch = options
    return result


def shown_ranges(self: Any) -> list[dict[str, Any]]:
    """DescribeSubnets: Ipv6CidrBlockState has a State (moto nests one in another)."""
    return [
        {
            "AssociationId": item["associationId"],
            "Ipv6CidrBlock": item["ipv6CidrBlock"],
            "Ipv6CidrBlockState": {"State": item["ipv6CidrBlockState"]["State"]},
        }
        for item in self.ipv6_cidr_block_associations.values()
        if is_there(item)
    ]
