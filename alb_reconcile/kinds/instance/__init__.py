"""EC2 instances (RunInstances, ModifyInstanceAttribute, StopInstances, StartInstances, TerminateInstances)."""

from alb_reconcile.kinds.instance.kind import KIND, Instance, LaunchedWith

__all__ = ["KIND", "Instance", "LaunchedWith"]
