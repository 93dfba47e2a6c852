"""What a user may allow for one run."""

from collections.abc import Mapping
from typing import Final

from alb_reconcile.model.errors import UsageError

COUNTED: Final = (
    "delete",
    "replace",
    "delete-load-balancer",
    "replace-load-balancer",
    "delete-elastic-ip",
    "touch",
    "never-delete",
    "lift-protection",
    "remove-unsupported",
    "remove-authentication",
    "empty-target-group",
    "cut-off",
    "close",
    "gap",
    "retry",
)
"""The allowances that take a number; `any-time` stands alone."""
ANY_TIME: Final = "any-time"


def check_allowed(allow: Mapping[str, int]) -> None:
    """Raises UsageError for a word that can't be allowed: a misspelt word would read as one left out."""
    for name, number in allow.items():
        if name not in (*COUNTED, ANY_TIME) or number < 0:
            known = ", ".join((*COUNTED, ANY_TIME))
            raise UsageError(f"allow takes numbers from 0 for {known}, not {name!r}: {number}")
