"""The kind `route_table`: route tables with their routes and associations (EC2 CreateRouteTable, CreateRoute, AssociateRouteTable)."""

from alb_reconcile.kinds.route_table.kind import KIND, RouteTable, ways_out

__all__ = ["KIND", "RouteTable", "ways_out"]
