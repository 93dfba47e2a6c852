"""The kind `security_group`: security groups without their rules (EC2 CreateSecurityGroup, DeleteSecurityGroup)."""

from alb_reconcile.kinds.security_group.kind import KIND, SecurityGroup, worn_together

__all__ = ["KIND", "SecurityGroup", "worn_together"]
