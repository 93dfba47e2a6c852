"""Imitates AWS's rules for load balancers."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from moto.elbv2.models import AvailabilityZone

from .ec2_ranges import is_there
from .elb_attributes import balancer_defaults
from .interfaces import dress_interfaces, place_interfaces, release_interfaces
from .references import not_found
from .rule import Call, after, around, before, refuse
from .world import Timeline

MOST_DESCRIBED = 20
FREE_ADDRESSES = 8
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def check_name(what: str, name: str) -> None:
    """CreateLoadBalancer, CreateTargetGroup: at most 32 letters, digits and inner hyphens."""
    if len(name) > 32:
        refuse("ValidationError", f"{what} name '{name}' cannot be longer than '32' characters")
    if not NAME.fullmatch(name):
        refuse(
            "ValidationError",
            f"{what} name '{name}' can only contain characters that are alphanumeric characters or "
            "hyphens(-), and cannot begin or end with a hyphen",
        )


@before("CreateLoadBalancer")
def balancer_name_is_well_formed(call: Call) -> None:
    """CreateLoadBalancer: the name 'must not begin with "internal-"' besides the general rules."""
    name = call.given("Name", "")
    check_name("The load balancer", name)
    if name.startswith("internal-"):
        refuse("ValidationError", f"The load balancer name '{name}' cannot begin with 'internal-'")


def wanted_subnets(call: Call) -> list[Any]:
    """The subnets that a request names. They must exist, be in one VPC, and in two zones or more."""
    ids = [*call.given("Subnets", []), *(m.get("SubnetId") for m in call.given("SubnetMappings", []))]
    subnets = []
    for subnet_id in dict.fromkeys(ids):
        subnet = call.world.subnet(subnet_id)
        if subnet is None:
            refuse("SubnetNotFound", f"The subnet ID '{subnet_id}' does not exist")
        subnets.append(subnet)
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        refuse("InvalidConfigurationRequest", "All subnets must belong to the same VPC")
    zones = [subnet.availability_zone for subnet in subnets]
    if len(set(zones)) < len(zones):
        refuse(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    if len(zones) < 2:
        refuse("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    return subnets


def needs_gateway(call: Call, scheme: str, vpc_id: str) -> None:
    """CreateLoadBalancer: InvalidSubnet, for an internet-facing load balancer in a VPC without an internet gateway."""
    if scheme == "internet-facing" and call.world.gateway_of(vpc_id) is None:
        refuse("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")


def needs_room(subnets: Iterable[Any]) -> None:
    """CreateLoadBalancer, SetSubnets: InvalidSubnet, 'out of available addresses'; Application Load Balancers, 'Subnets for your load
    balancer': 'at least eight free IP addresses per subnet'. Checked for subnets in which the load balancer isn't yet; the message is from
    aws-load-balancer-controller, pull request 1233."""
    for subnet in subnets:
        if subnet.available_ip_address_count < FREE_ADDRESSES:
            refuse(
                "InvalidSubnet",
                f"Not enough IP space available in {subnet.id}. ELB requires at least {FREE_ADDRESSES} free IP addresses in "
                "each subnet.",
            )


def check_groups(call: Call, group_ids: list[str], vpc_id: str) -> None:
    """CreateLoadBalancer, SetSecurityGroups: the groups exist and are of the load balancer's VPC."""
    groups = {group.id: group for group in call.world.groups()}
    for group_id in group_ids:
        if group_id not in groups:
            refuse("InvalidSecurityGroup", f"Security group '{group_id}' does not exist")
        if groups[group_id].vpc_id != vpc_id:
            refuse("InvalidConfigurationRequest", "One or more security groups are invalid")


def balancer(call: Call) -> Any:
    """The load balancer that a request names."""
    arn = call.given("LoadBalancerArn")
    found = call.world.elb.load_balancers.get(arn)
    if found is None:
        refuse("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    return found


@around("CreateLoadBalancer")
def balancer_is_made_once(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateLoadBalancer: 'If you attempt to create multiple load balancers with the same settings, each call
    succeeds'; with other settings DuplicateLoadBalancerName. It starts `provisioning`, with real defaults."""
    subnets = wanted_subnets(call)
    vpc_id = subnets[0].vpc_id
    scheme = call.given("Scheme", "internet-facing")
    groups = call.given("SecurityGroups") or [call.world.ec2.get_default_security_group(vpc_id).id]
    check_groups(call, groups, vpc_id)
    settings = (
        scheme,
        call.given("Type", "application"),
        call.given("IpAddressType", "ipv4"),
        {subnet.id for subnet in subnets},
        set(groups),
    )
    for other in call.world.elb.load_balancers.values():
        if other.name == call.given("Name"):
            if settings != settings_of(other):
                refuse(
                    "DuplicateLoadBalancerName",
                    f"A load balancer with the same name '{other.name}' exists, but with different settings",
                )
            return {"LoadBalancers": [other]}
    needs_gateway(call, scheme, vpc_id)
    needs_room(subnets)
    check_addresses(call.given("IpAddressType", "ipv4"), scheme, subnets)
    call.params["Scheme"], call.params["SecurityGroups"] = scheme, groups
    addresses = call.params.pop("IpAddressType", "ipv4")  # moto knows two of the types
    result = proceed()
    result["LoadBalancers"][0].ip_address_type = addresses
    begin(call, result["LoadBalancers"][0])
    return result


def check_addresses(wanted: str, scheme: str, subnets: Iterable[Any]) -> None:
    """CreateLoadBalancer, SetIpAddressType, 'Update the IP address types for your Application Load Balancer': with dualstack
    'the subnets must have associated IPv6 CIDR blocks'; without public IPv4 it has to be internet-facing."""
    if wanted not in ("ipv4", "dualstack", "dualstack-without-public-ipv4"):
        refuse("ValidationError", f"'{wanted}' is not a valid IP address type")
    if wanted == "dualstack-without-public-ipv4" and scheme != "internet-facing":
        refuse("InvalidConfigurationRequest", "Internal load balancers have no public IPv4 addresses to go without")
    for subnet in subnets:
        has_ipv6 = any(is_there(item) for item in subnet.ipv6_cidr_block_associations.values())
        if wanted != "ipv4" and not has_ipv6:
            refuse(
                "InvalidSubnet", f"You must specify subnets with an associated IPv6 CIDR block ({subnet.id} has none)"
            )


@around("SetIpAddressType")
def addresses_need_ranges(call: Call, _: Callable[[], Any]) -> Any:
    """SetIpAddressType: the same rules as in CreateLoadBalancer (moto checks no subnets, and knows only two types)."""
    found = balancer(call)
    check_addresses(call.given("IpAddressType"), found.scheme, found.subnets)
    found.ip_address_type = call.given("IpAddressType")
    return {"IpAddressType": found.ip_address_type}


def settings_of(balancer: Any) -> tuple[Any, ...]:
    return (
        balancer.scheme,
        balancer.type,
        balancer.ip_address_type,
        {subnet.id for subnet in balancer.subnets},
        set(balancer.security_groups),
    )


def begin(call: Call, made: Any) -> None:
    made.attrs = balancer_defaults()
    made.created_time = call.moment
    prefix = "internal-" if made.scheme == "internal" else ""
    number = int(made.arn.rpartition("/")[2], 16) % 10**10
    made.dns_name = f"{prefix}{made.name}-{number:010d}.{call.world.region}.elb.amazonaws.com"
    timeline = Timeline()
    timeline.add(call.now, "provisioning")
    timeline.then(call.now + call.timing.provisioning, "active")
    call.world.ledger.balancers[made.arn] = timeline
    call.world.ledger.schedule(call.now + call.timing.provisioning, "state", made.arn)
    place_interfaces(call, made)


@before("DeleteLoadBalancer")
def protected_balancer_stays(call: Call) -> None:
    """DeleteLoadBalancer: OperationNotPermitted under deletion protection."""
    found = call.world.elb.load_balancers.get(call.given("LoadBalancerArn"))
    if found and found.attrs.get("deletion_protection.enabled") == "true":
        refuse(
            "OperationNotPermitted",
            f"Load balancer '{found.arn}' cannot be deleted because deletion protection is enabled",
        )


@around("DeleteLoadBalancer")
def balancer_takes_its_listeners_along(call: Call, proceed: Callable[[], Any]) -> Any:
    """DeleteLoadBalancer: 'Deleting a load balancer also deletes its listeners'; its interfaces stay for a while; a load
    balancer that doesn't exist is no error."""
    arn = call.given("LoadBalancerArn")
    found = call.world.elb.load_balancers.get(arn)
    if found is None:
        return None
    for listener in list(found.listeners.values()):
        for rule in listener.rules.values():
            call.world.elb.tagging_service.delete_all_tags_for_resource(rule.arn)
        call.world.elb.tagging_service.delete_all_tags_for_resource(listener.arn)
        call.world.ledger.mutual.pop(listener.arn, None)
    result = proceed()
    call.world.elb.tagging_service.delete_all_tags_for_resource(arn)
    call.world.ledger.balancers.pop(arn, None)
    release_interfaces(call, arn)
    return result


@around("SetSubnets")
def subnets_stay_in_the_vpc(call: Call, _: Callable[[], Any]) -> Any:
    """SetSubnets: two zones or more, in the load balancer's own VPC (moto lets it move to another VPC)."""
    found = balancer(call)
    subnets = wanted_subnets(call)
    if subnets[0].vpc_id != found.vpc_id:
        refuse("InvalidConfigurationRequest", f"The subnets must belong to the load balancer's VPC {found.vpc_id}")
    needs_gateway(call, found.scheme, found.vpc_id)
    needs_room(subnet for subnet in subnets if subnet not in found.subnets)
    found.subnets = subnets
    place_interfaces(call, found)
    return {"AvailabilityZones": [AvailabilityZone(subnet) for subnet in subnets]}


@around("SetSecurityGroups")
def groups_are_of_the_vpc(call: Call, proceed: Callable[[], Any]) -> Any:
    """SetSecurityGroups: the groups must be of the VPC; the load balancer's interfaces get them, too."""
    found = balancer(call)
    groups = call.given("SecurityGroups", [])
    if not groups:
        refuse("InvalidConfigurationRequest", "At least one security group must be specified")
    check_groups(call, groups, found.vpc_id)
    result = proceed()
    dress_interfaces(call, found)
    return result


@before("DescribeLoadBalancers")
def balancers_named_exist(call: Call) -> None:
    """DescribeLoadBalancers: LoadBalancerNotFound when any is missing (moto: the first), 20 at a time."""
    every = call.world.elb.load_balancers
    names = {found.name for found in every.values()}
    arns, wanted = call.given("LoadBalancerArns", []), call.given("Names", [])
    if len(arns) > MOST_DESCRIBED or len(wanted) > MOST_DESCRIBED:
        refuse("ValidationError", f"You cannot describe more than '{MOST_DESCRIBED}' load balancers at a time")
    for arn in arns:
        if arn not in every:
            refuse(*not_found(arn))
    for name in wanted:
        if name not in names:
            refuse("LoadBalancerNotFound", f"Load balancers '[{name}]' not found")


@after("DescribeLoadBalancers")
def balancers_show_their_zones_in_order(call: Call, result: Any) -> Any:
    """DescribeLoadBalancers: in a stable order, by name as the console shows them."""
    return {**result, "LoadBalancers": sorted(result["LoadBalancers"], key=lambda found: str(found.name))}
