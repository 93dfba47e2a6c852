"""The kind `certificate`: certificates that ACM issues after validation by DNS records, or that are imported from files."""

from alb_reconcile.kinds.certificate.kind import KIND

__all__ = ["KIND"]
