"""The kind `rule`: rules of listeners (ELBv2 CreateRule, ModifyRule, SetRulePriorities, DeleteRule)."""

from alb_reconcile.kinds.rule.kind import KIND, Rule

__all__ = ["KIND", "Rule"]
