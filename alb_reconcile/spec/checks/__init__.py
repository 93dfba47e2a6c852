"""Runs the checks of a spec that a JSON schema can't express: those for every kind, which are here, and each kind's own."""

from alb_reconcile.kinds import in_spec_order
from alb_reconcile.spec import runs
from alb_reconcile.spec.checks import accepted, lookups, names
from alb_reconcile.spec.outline import Outline


def run_checks(outline: Outline) -> None:
    """Run all checks. Of several mistakes at one place the first is told, so mistakes from which others follow come first."""
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
