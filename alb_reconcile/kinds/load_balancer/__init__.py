"""Application Load Balancers (ELBv2 CreateLoadBalancer, SetSubnets, SetSecurityGroups, SetIpAddressType, DeleteLoadBalancer)."""

from alb_reconcile.kinds.load_balancer.kind import KIND, LoadBalancer

__all__ = ["KIND", "LoadBalancer"]
