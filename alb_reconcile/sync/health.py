"""Whether requests get an answer where nothing differs from the spec: the health of the targets that get them."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.resource import Observed


def find_ill(resources: Iterable[Observed]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the groups that get requests, those without a healthy target, and those in which some aren't, in words.

    Whose health checks have just begun may still get healthy, and who leaves or is stopped isn't meant to be.
    """
    live = list(resources)
    names = {item.id: item.address for item in live}
    asked = {str(part.target_group) for item in live for part in action_of(item.state).receiving}
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for item in live:
        if item.address.kind == "registration" and item.parent_id in asked and not item.is_leaving:
            seen[item.parent_id][item.status] += 1
    nobody, some = [], []
    for key, counts in seen.items():
        ill, number = counts["unhealthy"] + counts["unavailable"], counts.total()
        if ill and not counts["healthy"] + counts["initial"]:
            which = f"none of its {number} targets is" if number > 1 else "its only target isn't"
            nobody.append(f"{names[key]}: {which} healthy")
        elif ill:
            some.append(f"{names[key]}: {ill} of its {number} targets {'is' if ill == 1 else 'are'} unhealthy")
    return tuple(nobody), tuple(some)
