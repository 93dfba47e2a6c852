"""The kind `subnet` (EC2 CreateSubnet, AssociateSubnetCidrBlock, ModifySubnetAttribute, DeleteSubnet)."""

from alb_reconcile.kinds.subnet.kind import KIND, Subnet

__all__ = ["KIND", "Subnet"]
