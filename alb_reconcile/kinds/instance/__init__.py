"""The kind `instance`: EC2 instances (RunInstances, ModifyInstanceAttribute, StopInstances, StartInstances, TerminateInstances)."""

from alb_reconcile.kinds.instance.kind import KIND, Instance

__all__ = ["KIND", "Instance"]
