"""The kind `listener`: listeners of load balancers (ELBv2 CreateListener, ModifyListener, DeleteListener)."""

from alb_reconcile.kinds.listener.kind import KIND, Listener

__all__ = ["KIND", "Listener"]
