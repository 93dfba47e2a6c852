"""Target groups (ELBv2 CreateTargetGroup, ModifyTargetGroup, ModifyTargetGroupAttributes, DeleteTargetGroup)."""

from alb_reconcile.kinds.target_group.kind import KIND, ServedBy, TargetGroup

__all__ = ["KIND", "ServedBy", "TargetGroup"]
