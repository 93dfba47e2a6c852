"""Imitates AWS's rules for IPAM pools and web ACLs of load balancers."""

from collections.abc import Callable
from typing import Any

from moto.elbv2.responses import ELBV2Response
from moto.wafv2.exceptions import WAFNonexistentItemException
from moto.wafv2.models import WAFV2Backend

from .elb_balancers import balancer
from .elb_trust_stores import stub
from .rule import Call, after, around, refuse
from .world import World


def patches() -> list[tuple[Any, str, Any]]:
    return [(ELBV2Response, "modify_ip_pools", stub), (WAFV2Backend, "associate_web_acl", associate_web_acl)]


_associate = WAFV2Backend.associate_web_acl


def associate_web_acl(self: Any, web_acl_arn: str, resource_arn: str) -> None:
    """AssociateWebACL: WAFNonexistentItemException for an unknown web ACL or resource. AWS WAF Developer Guide, 'Associating or
    disassociating protection with an AWS resource': a resource has one web ACL at most (moto: any number)."""
    world = World(self.account_id, self.region_name)
    if web_acl_arn not in self.wacls or resource_arn not in world.elb.load_balancers:
        raise WAFNonexistentItemException
    for acl in self.wacls.values():
        if resource_arn in acl.associated_resources:
            acl.associated_resources.remove(resource_arn)
    _associate(self, web_acl_arn, resource_arn)


@after("CreateLoadBalancer")
def pools_are_kept(call: Call, result: Any) -> Any:
    """CreateLoadBalancer, IpamPools: only for internet-facing load balancers (User Guide, 'IP address pools')."""
    made = result["LoadBalancers"][0]
    set_pools(made, call.given("IpamPools") or {})
    return result


@around("ModifyIpPools")
def pools_are_changed(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyIpPools: replaces or removes the pool."""
    found = balancer(call)
    set_pools(found, {} if call.given("RemoveIpamPools") else call.given("IpamPools") or {})
    return {"IpamPools": found.ipam_pools}


def set_pools(found: Any, pools: dict[str, str]) -> None:
    if pools and found.scheme != "internet-facing":
        refuse("InvalidConfigurationRequest", "IPAM pools are only supported for internet-facing load balancers")
    found.ipam_pools = dict(pools) or None
