"""Certificates: requested of ACM and validated by DNS records, or imported from files (ACM RequestCertificate, ImportCertificate,"""

from alb_reconcile.kinds.certificate.kind import KIND

__all__ = ["KIND"]
