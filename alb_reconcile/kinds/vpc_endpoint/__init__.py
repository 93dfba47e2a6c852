"""The kind `vpc_endpoint` (EC2 CreateVpcEndpoint, ModifyVpcEndpoint, DeleteVpcEndpoints)."""

from alb_reconcile.kinds.vpc_endpoint.kind import KIND

__all__ = ["KIND"]
