"""Checks that AWS can be asked for what a spec looks up."""

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.spec.outline import Outline


def check(outline: Outline) -> None:
    """Report look-ups that can't lead anywhere."""
    for path, name, target in outline.references:
        if not isinstance(target, Lookup):
            continue
        kind = load_kinds()[name]
        if target.by == "default" and not kind.has_default:
            outline.error(path, f"there is no default {name.replace('_', ' ')} to look up; look it up by tag or ssm")
        elif target.by == "tag" and (kind.listing is None or kind.listing.is_nested):
            outline.error(
                path, f"{kind.noun} can't be looked up by its tags here; look it up by ssm, or give its id or ARN"
            )
