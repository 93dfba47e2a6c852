"""The kind `registration`: instances, addresses and functions registered in target groups (ELBv2 RegisterTargets, DeregisterTargets)."""

from alb_reconcile.kinds.registration.kind import KIND, Registration

__all__ = ["KIND", "Registration"]
