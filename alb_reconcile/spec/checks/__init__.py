"""Checks what a JSON schema can't say of a spec: what holds for every kind here, what is a kind's own in its room."""

from alb_reconcile.kinds import in_spec_order
from alb_reconcile.spec import runs
from alb_reconcile.spec.checks import accepted, lookups, names
from alb_reconcile.spec.outline import Outline


def run_checks(outline: Outline) -> None:
    """All of them. Of several mistakes at one place the first is told, so those come first from which others follow."""
    names.check(outline)
    lookups.check(outline)
    for kind in in_spec_order():
        for check in kind.entry_checks:
            check(outline)
    runs.check(outline)
    for kind in in_spec_order():
        for check in kind.use_checks:
            check(outline)
    accepted.check(outline)
