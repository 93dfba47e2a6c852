"""Finds, of several resources at one address, those that the stack never made, and those that others' resources are in or forward to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from alb_reconcile.engine.plan.cascade_deletes import lineage
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.text import physical_name


def find_strange(stack: str, live: Iterable[Observed], desired: Mapping[Address, Desired]) -> set[str]:
    """The ids of resources, of several at one address, that the stack has probably not made: they have neither a name that this tool gives
    nor the spec's own, and weren't adopted. Names decide, since tags can be copied, and AWS doesn't say what made a resource.

    The hash in a name covers the id of the resource that the named one replaces (`physical_name`). So a resource counts as the stack's,
    too, if the name of another one shows that the other replaces it: the resource may have been adopted, its entry moved, or its
    predecessor deleted.
    """
    return {
        item.id
        for items in _several(stack, live)
        for item in items
        if not _is_own(stack, item, items, desired.get(item.address))
    }


def find_twins(stack: str, live: Iterable[Observed], desired: Mapping[Address, Desired]) -> dict[str, str]:
    """Why one of several resources at an address can't be a leftover of an interrupted replacement, in words, by id."""
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
    """The names that this tool gives to a resource with these settings. `beside`: the id of the resource that it replaces, or empty."""
    settings = item.state.named_after(item)
    return {physical_name(stack, str(item.address), told, beside, item.state.longest_name) for told in settings}


def _needed(user: Observed, known: Mapping[str, Observed]) -> Iterator[str]:
    """The ids of a resource and its parents, and of the target groups that it forwards to."""
    yield from lineage(user, known)
    yield from (str(part.target_group) for part in action_of(user.state).forward)
