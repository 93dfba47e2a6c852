"""The kind `target_group` (ELBv2 CreateTargetGroup, ModifyTargetGroup, ModifyTargetGroupAttributes, DeleteTargetGroup)."""

from alb_reconcile.kinds.target_group.kind import KIND, TargetGroup

__all__ = ["KIND", "TargetGroup"]
