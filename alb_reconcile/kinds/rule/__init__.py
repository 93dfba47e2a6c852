"""Listener rules (ELBv2 CreateRule, ModifyRule, SetRulePriorities, DeleteRule)."""

from alb_reconcile.kinds.rule.kind import KIND, Rule

__all__ = ["KIND", "Rule"]
