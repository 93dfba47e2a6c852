"""The kind `record`: DNS records (Route 53 ChangeResourceRecordSets). A TXT record for each says which stack owns it (`aws.record_tags`)."""

from alb_reconcile.kinds.record.kind import KIND, Record

__all__ = ["KIND", "Record"]
