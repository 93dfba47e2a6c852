"""Counts how many resources there would be after a request, as AWS counts for its quotas."""

from typing import Any

from .ec2_groups import find, key_of, permissions, rules_of
from .elb_targets import group_of, keys
from .health import balancer_of, forwarded
from .rule import Call

_VCPUS = (
    ("mac", ""),
    ("inf", "L-1945791B"),
    ("trn", "L-2C3B7624"),
    ("hpc", "L-F7808C92"),
    ("dl", "L-6E869C2A"),
    ("vt", "L-DB2E81BA"),
    ("g", "L-DB2E81BA"),
    ("f", "L-74FC7D96"),
    ("p", "L-417A185B"),
    ("u", "L-43DA4232"),
    ("x", "L-7295265B"),
)
"""The prefixes of instance types that have quotas of their own, with the codes to which AWS's console links from "On-Demand Instance
quotas"."""
_ENDED = ("shutting-down", "terminated", "stopping", "stopped")


def vpcs(call: Call) -> int:
    return len(call.world.ec2.vpcs) + 1


def gateways(call: Call) -> int:
    return len(call.world.ec2.internet_gateways) + 1


def addresses(call: Call) -> int:
    return len(call.world.ec2.addresses) + 1


def nat_gateways(call: Call) -> int:
    """The NAT gateways of a zone after the request: "NAT gateways only count toward your quota in the pending, active, and deleting
    states"."""
    subnet: Any = call.world.subnet(call.given("SubnetId", ""))
    if subnet is None:
        return 0
    there = [
        item for item in call.world.ec2.nat_gateways.values() if item.state in ("pending", "available", "deleting")
    ]
    zones = [found.availability_zone for item in there if (found := call.world.subnet(item.subnet_id))]
    return zones.count(subnet.availability_zone) + 1


def gateway_endpoints(call: Call) -> int:
    return _endpoints(call, "Gateway")


def interface_endpoints(call: Call) -> int:
    """The interface endpoints of a VPC after the request, with those of Gateway Load Balancers."""
    return _endpoints(call, "Interface", "GatewayLoadBalancer", vpc=call.given("VpcId"))


def _endpoints(call: Call, *types: str, vpc: str = "") -> int:
    """The endpoints of these types, including the new one; 0 if the new one is of another type."""
    if call.given("VpcEndpointType", "Gateway") not in types:
        return 0
    there = call.world.ec2.vpc_end_points.values()
    return sum(item.vpc_endpoint_type in types and vpc in ("", item.vpc_id) for item in there) + 1


def subnets(call: Call) -> int:
    """The subnets of a VPC after the request."""
    return len(call.world.subnets(call.given("VpcId"))) + 1


def route_tables(call: Call) -> int:
    """The route tables of a VPC after the request, with its main table."""
    return len([1 for table in call.world.ec2.route_tables.values() if table.vpc_id == call.given("VpcId")]) + 1


def routes(call: Call) -> int:
    """The IPv4 routes of a table after the request, without the local route."""
    table = call.world.ec2.route_tables.get(call.given("RouteTableId"))
    there = table.routes if table else ()
    return len([1 for route in there if route.destination_cidr_block and not route.local]) + 1


def groups(call: Call) -> int:
    return len(call.world.groups()) + 1


def group_rules(call: Call) -> int:
    """The rules of a group in one direction after the request: those for IPv4 or for IPv6, whichever are more. A rule that names a group or
    a prefix list counts for both."""
    group = find(call)
    held = [key_of(rule) for rule in rules_of(group, call.action)] if group else []
    peers = [key[3] for key in {*held, *permissions(call)}]
    return len(peers) - min(peers.count("cidr"), peers.count("cidr6"))


def groups_given(call: Call) -> int:
    """The security groups that the request gives to an instance's network interface."""
    return len(set(call.given("SecurityGroupIds") or call.given("Groups", [])))


def vcpu_quota(kind: str) -> str:
    """The code of the quota for which an instance type counts; empty for a Mac, which runs on a dedicated host."""
    return next((code for start, code in _VCPUS if kind.startswith(start)), "L-1216C47A")


def vcpus(call: Call, kind: str) -> int:
    """The default number of vCPUs of an instance type."""
    found = call.world.ec2.describe_instance_types([kind])
    return int(found[0]["VCpuInfo"]["DefaultVCpus"]) if found else 0


def running_vcpus(call: Call, code: str) -> int:
    """The vCPUs of the running On-Demand instances that count for a quota: not of spot instances, capacity blocks or dedicated hosts."""
    counted = (
        item
        for item in call.world.instances()
        if item.state not in _ENDED
        and item.lifecycle not in ("spot", "capacity-block")
        and getattr(item.placement, "tenancy", "") != "host"
    )
    return sum(vcpus(call, kind) for item in counted if vcpu_quota(kind := str(item.instance_type)) == code)


def balancers(call: Call) -> int:
    return len(call.world.elb.load_balancers) + 1


def listeners(call: Call) -> int:
    """The listeners of a load balancer after the request."""
    return len(_listeners(call)) + 1


def rules(call: Call) -> int:
    """The rules of a load balancer after the request, without its listeners' default rules."""
    held = [rule for listener in _listeners(call) for rule in listener.rules.values()]
    return len([1 for rule in held if not rule.is_default]) + 1


def target_groups(call: Call) -> int:
    return len(call.world.elb.target_groups) + 1


def target_groups_served(call: Call) -> int:
    """The target groups to which a load balancer's listeners and rules forward after the request, each counted once."""
    held = [rule for listener in _listeners(call) for rule in listener.rules.values()]
    there = {arn for rule in held for arn in forwarded(rule.actions)}
    return len(there.union(forwarded([*call.given("DefaultActions", []), *call.given("Actions", [])])))


def targets_of_group(call: Call) -> int:
    return len(_targets(call, group_of(call).arn))


def targets_of_balancer(call: Call) -> int:
    """The targets of all groups to which the request's load balancer forwards; 0 if no load balancer forwards to the request's group."""
    arn = group_of(call).arn
    balancer = balancer_of(call.world, arn)
    served = [
        other for other in call.world.elb.target_groups if balancer and balancer_of(call.world, other) is balancer
    ]
    return sum(len(_targets(call, other)) for other in served)


def _targets(call: Call, arn: str) -> set[tuple[str, int]]:
    there = {key for key, item in call.world.ledger.targets.get(arn, {}).items() if item.gone_at is None}
    return there.union(keys(call, group_of(call))) if arn == group_of(call).arn else there


def _listeners(call: Call) -> list[Any]:
    """The listeners of the load balancer in which a request makes or changes a listener or a rule."""
    arn = call.given("LoadBalancerArn") or call.given("ListenerArn") or call.given("RuleArn", "")
    mark = "/".join(arn.split("/")[1:4])
    found = (item for key, item in call.world.elb.load_balancers.items() if key.endswith(f"/{mark}"))
    return [listener for balancer in found for listener in balancer.listeners.values()]
