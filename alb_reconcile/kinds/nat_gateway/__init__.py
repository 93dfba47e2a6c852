"""The kind `nat_gateway` (EC2 CreateNatGateway, AssociateNatGatewayAddress, DeleteNatGateway)."""

from alb_reconcile.kinds.nat_gateway.kind import KIND, NatGateway

__all__ = ["KIND", "NatGateway"]
