"""DNS records (Route 53 ChangeResourceRecordSets). A TXT record beside each says whose it is (`aws.record_tags`)."""

from alb_reconcile.kinds.record.kind import KIND, Record

__all__ = ["KIND", "Record"]
