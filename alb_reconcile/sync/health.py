"""Whether requests get an answer where nothing differs from the spec: the health of the targets that get them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from alb_reconcile.engine.unserved import is_down
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed, each_of

ILL: Final = ("unhealthy", "unavailable")


def find_ill(
    resources: Iterable[Observed], desired: Mapping[Address, Desired]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the groups that get requests, those without a healthy target, and those in which some aren't, in words.

    Whose health checks have just begun may still get healthy, who leaves isn't meant to be, nor who is stopped beside others, or as the spec
    has it.
    """
    live = list(resources)
    names = {item.id: item.address for item in live}
    asked = {str(part.target_group) for item in live for part in action_of(item.state).receiving}
    runs = {item.address for item, state in each_of(desired.values(), Instance) if state.state == "running"}
    rest = {item.id for item in live if item.address.kind == "instance" and item.address not in runs}
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for item in live:
        is_meant = item.status == "unused" and getattr(item.state, "target", "") in rest
        if item.address.kind == "registration" and item.parent_id in asked and not item.is_leaving and not is_meant:
            seen[item.parent_id][item.status] += 1
    nobody, some = [], []
    for key, counts in seen.items():
        ill = sum(counts[status] for status in ILL)
        if is_down(counts):
            nobody.append(f"no target of {names[key]} is healthy{' (unused)' * (counts['unused'] > 0)}")
        elif ill:
            verb = "isn't" if ill == 1 else "aren't"
            some.append(f"{ill} of {counts.total()} targets of {names[key]} {verb} healthy")
    return tuple(nobody), tuple(some)
