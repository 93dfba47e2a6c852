"""Registrations of instances, addresses and functions in target groups (ELBv2 RegisterTargets, DeregisterTargets)."""

from alb_reconcile.kinds.registration.kind import KIND, Registration

__all__ = ["KIND", "Registration"]
