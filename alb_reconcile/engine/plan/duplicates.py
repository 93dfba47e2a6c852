"""Tells which of several resources at one address the stack never made, and which contain something that the stack never made."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from alb_reconcile.engine.plan.cascade_deletes import lineage
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.text import physical_name


def find_strange(stack: str, live: Iterable[Observed], desired: Mapping[Address, Desired]) -> set[str]:
    """The ids of resources that have neither a name which the stack gives nor the spec's own, and weren't adopted: tags can be copied, and
    AWS doesn't say what made a resource.

    A name also tells which resource its bearer was made in place of. So a resource may be known though its own name doesn't tell: it was
    adopted, its entry was moved, or what it replaced is gone.
    """
    return {
        item.id
        for items in _several(stack, live)
        for item in items
        if not _is_own(stack, item, items, desired.get(item.address))
    }


def find_twins(stack: str, live: Iterable[Observed], desired: Mapping[Address, Desired]) -> dict[str, str]:
    """Why one of several resources at an address can't be what an interrupted replacement has left, in words, by id."""
    known = {item.id: item for item in live}
    strange = find_strange(stack, known.values(), desired)
    others = [item for item in known.values() if item.owner != stack]
    found = {}
    for item in (item for items in _several(stack, known.values()) for item in items):
        texts = [f"its name, {_name_of(item)}, isn't one that the stack gives"] if item.id in strange else []
        users = sorted({str(other.address) for other in others if item.id in _needed(other, known)})
        if users:
            texts.append(
                f"{' and '.join(users)} {'is' if len(users) == 1 else 'are'} there, which the stack never made"
            )
        if texts:
            found[item.id] = "; ".join(texts)
    return found


def _several(stack: str, live: Iterable[Observed]) -> list[list[Observed]]:
    found: dict[Address, list[Observed]] = defaultdict(list)
    for item in live:
        if item.owner == stack and not item.is_leaving and item.state.longest_name:
            found[item.address].append(item)
    return [items for items in found.values() if len(items) > 1]


def _is_own(stack: str, item: Observed, items: Iterable[Observed], wanted: Desired | None) -> bool:
    given = {_name_of(wanted)} if wanted else set()
    for beside in ("", *(other.id for other in items)):
        given |= _given_names(stack, item, beside)
    is_replaced = any(_name_of(other) in _given_names(stack, other, item.id) for other in items)
    return item.tags.get(tags.ADOPTED) == item.id or is_replaced or _name_of(item) in given


def _name_of(item: Desired | Observed) -> str | None:
    return item.state.own_name or None


def _given_names(stack: str, item: Observed, beside: str) -> set[str | None]:
    """The names that this tool gives to a resource with these settings in the place of another one, by that one's id, or of none."""
    settings = item.state.named_after(item)
    return {physical_name(stack, str(item.address), told, beside, item.state.longest_name) for told in settings}


def _needed(user: Observed, known: Mapping[str, Observed]) -> Iterator[str]:
    """The ids of what a resource is in, and of the target groups that it forwards to."""
    yield from lineage(user, known)
    yield from (str(part.target_group) for part in action_of(user.state).forward)
