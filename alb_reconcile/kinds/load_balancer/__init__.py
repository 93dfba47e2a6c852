"""The kind `load_balancer`: Application Load Balancers (ELBv2 CreateLoadBalancer, SetSubnets, SetSecurityGroups, SetIpAddressType, …)."""

from alb_reconcile.kinds.load_balancer.kind import KIND, LoadBalancer

__all__ = ["KIND", "LoadBalancer"]
