"""The kind `vpc`: VPCs and their address ranges (EC2 CreateVpc, AssociateVpcCidrBlock, ModifyVpcAttribute, DeleteVpc)."""

from alb_reconcile.kinds.vpc.kind import KIND, Vpc, leaving_ranges

__all__ = ["KIND", "Vpc", "leaving_ranges"]
