"""Subnets (EC2 CreateSubnet, AssociateSubnetCidrBlock, ModifySubnetAttribute, DeleteSubnet)."""

from alb_reconcile.kinds.subnet.kind import KIND, Subnet, place_of

__all__ = ["KIND", "Subnet", "place_of"]
