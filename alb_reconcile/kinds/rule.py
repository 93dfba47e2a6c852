"""Listener rules (ELBv2 CreateRule, ModifyRule, SetRulePriorities, DeleteRule)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from alb_reconcile.actions import Action
from alb_reconcile.kind import Kind
from alb_reconcile.values import Ref


@dataclass(frozen=True, kw_only=True)
class Rule(Kind):
    """A rule. `conditions` are (field, values) pairs, as in `("path_pattern", ("/v2/*",))`."""

    kind: ClassVar[str] = "rule"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"listener"})

    listener: Ref
    priority: int
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    action: Action
