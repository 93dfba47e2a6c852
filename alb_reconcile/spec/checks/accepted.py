"""Checks that a spec's `security` section accepts findings only of entries that exist."""

from alb_reconcile.model.text import did_you_mean
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.runs import addresses_of


def check(outline: Outline) -> None:
    """Report findings that are accepted for an entry that isn't in the file, if all else is right: a mistake elsewhere may be why the entry
    is missing."""
    if not outline.is_sound:
        return
    found = outline.mappings("security", "accept", ...)
    known = list(addresses_of(outline)) if found else []
    for path, reasons in found:
        for address in reasons:
            if address not in known:
                advice = did_you_mean(address, known[:2000]) or "; write an address such as load_balancer.public"
                outline.error((*path, address), f'there is no "{address}"{advice}', at_key=True)
