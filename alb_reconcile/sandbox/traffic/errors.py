"""The error for failures of the sandbox's traffic."""

from alb_reconcile.model.errors import ReconcileError


class TrafficError(ReconcileError):
    """The sandbox's load balancers can't carry requests; the text says why and what to do."""
