"""Imitates the network interfaces of load balancers: one in each subnet, which outlives the load balancer for a while."""

from typing import Any

from moto.ec2.utils import random_public_ip

from .rule import Call
from .world import World


def place_interfaces(call: Call, balancer: Any) -> None:
    """Make the load balancer's interfaces in its subnets; those in former subnets are removed later, since they still answer for
    minutes."""
    held = call.world.ledger.balancer_interfaces.setdefault(balancer.arn, {})
    wanted = {subnet.id: subnet for subnet in balancer.subnets}
    for subnet_id in [subnet_id for subnet_id in held if subnet_id not in wanted]:
        let_go(call, held.pop(subnet_id), call.timing.nodes_linger)
    for subnet_id, subnet in wanted.items():
        if subnet_id not in held:
            held[subnet_id] = make_interface(call, balancer, subnet).id


def make_interface(call: Call, balancer: Any, subnet: Any) -> Any:
    ec2 = call.world.ec2
    eni = ec2.create_network_interface(
        subnet, subnet.get_available_subnet_ip(balancer), group_ids=list(balancer.security_groups)
    )
    eni.description = f"ELB {balancer.arn.split(':loadbalancer/')[1]}"
    eni.requester_id = "amazon-elb"
    eni.requester_managed = True
    eni.status = "in-use"
    if balancer.scheme == "internet-facing":
        eni.public_ip = random_public_ip()
    return eni


def dress_interfaces(call: Call, balancer: Any) -> None:
    """Give the interfaces the load balancer's security groups."""
    groups = [group for group in call.world.groups() if group.id in balancer.security_groups]
    for interface_id in call.world.ledger.balancer_interfaces.get(balancer.arn, {}).values():
        call.world.ec2.enis[interface_id]._group_set = groups


def release_interfaces(call: Call, arn: str) -> None:
    for interface_id in call.world.ledger.balancer_interfaces.pop(arn, {}).values():
        let_go(call, interface_id, call.timing.interfaces_linger)


def let_go(call: Call, interface_id: str, lasts: float) -> None:
    call.world.ledger.schedule(call.now + lasts, "release", interface_id)


def remove_interface(world: World, interface_id: str) -> None:
    eni = world.ec2.enis.pop(interface_id, None)
    if eni:
        for address in eni.private_ip_addresses:
            eni.subnet.del_subnet_ip(address["PrivateIpAddress"])
        world.ec2.tags.pop(interface_id, None)
