"""Finds what AWS deletes together with a resource: a load balancer's listeners, their rules, a target group's targets."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed


def tell_implied(steps: Iterable[Step], live: Iterable[Observed]) -> tuple[Step, ...]:
    """The same steps, in which each delete names the resources that AWS deletes with it. Resources with a step of their own, such as an
    address that moves, aren't among them."""
    steps = tuple(steps)
    removers = {step.id: step.key for step in steps if step.action == "delete" and step.id}
    own = {step.id for step in steps if step.action in ("delete", "replace", "update")}
    known = {item.id: item for item in live} if removers else {}
    along: dict[str, list[Address]] = defaultdict(list)
    for item in known.values():
        if item.id not in own and not item.is_leaving:
            remover = next((removers[text] for text in lineage(item, known) if text in removers), None)
            if remover is not None:
                along[remover].append(item.address)
    return tuple(
        replace(step, also_deletes=tuple(sorted(along[step.key]))) if step.key in along else step for step in steps
    )


def lineage(item: Observed | None, known: Mapping[str, Observed]) -> Iterator[str]:
    """The id of a resource, the id of its parent, with which AWS deletes it, and so on."""
    while item is not None:
        yield item.id
        parent = item.parent_id
        if parent and parent not in known:
            yield parent
        item = known.get(parent or "")
