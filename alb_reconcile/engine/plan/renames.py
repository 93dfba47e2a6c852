"""Entries that look renamed: what goes under one name and comes under another with the same properties."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from alb_reconcile.model.abilities import settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Lookups, Properties, bind, field_names, references


def find_renames(steps: Iterable[Step], ids: Mapping[Address, str], facts: Lookups) -> list[str]:
    """A hint for each pair, with the command that follows a rename without replacing anything.

    What has no tags of its own, or moves along with what it is in, isn't named.
    """
    steps = tuple(steps)
    gone = [step for step in steps if step.action == "delete" and step.part_of is None and _moves(step)]
    made = [step for step in steps if step.action == "create" and _moves(step)]
    pairs = dict.fromkeys(_pairs(gone, made, ids, facts))
    return [
        f"{new} is like {old}, which is deleted; if the entry was only renamed, run this first: "
        f"alb-reconcile move SPEC {old} {new}"
        for old, new in pairs
    ]


def _moves(step: Step) -> bool:
    state = step.state or (step.observed.state if step.observed else None)
    return state is not None and bool(state.service)


def _pairs(
    gone: Sequence[Step], made: Iterable[Step], ids: Mapping[Address, str], facts: Lookups
) -> Iterator[tuple[str, str]]:
    left = list(gone)
    for new in made:
        alike = [old for old in left if _is_like(old, new, ids, facts)]
        if alike:
            left.remove(alike[0])
            yield _spelled(alike[0].address), _spelled(new.address)


def _is_like(old: Step, new: Step, ids: Mapping[Address, str], facts: Lookups) -> bool:
    if old.address.kind != new.address.kind or old.observed is None or new.desired is None:
        return False
    parents = [address.name.rpartition("/")[0] for address in (old.address, new.address)]
    if parents[0] != parents[1]:
        return False
    if old.address.kind == "instance" and _number(old.address) != _number(new.address):
        return False
    return _is_same(settle(bind(new.desired.state, ids), old.observed, facts), old.observed.state)


def _is_same(wanted: Properties, found: Properties) -> bool:
    """Whether all that is wanted and was read is there; what it refers to may be new itself."""
    names = [name for name in field_names(type(wanted)) if getattr(wanted, name) is not None]
    read = [name for name in names if getattr(found, name) is not None and not any(references(getattr(wanted, name)))]
    return bool(names) and all(_is_there(getattr(wanted, name), getattr(found, name)) for name in read)


def _is_there(wanted: object, found: object) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(found.get(key) == value for key, value in wanted.items())
    return wanted == found


def _number(address: Address) -> str:
    return address.name.rpartition("-")[2]


def _spelled(address: Address) -> str:
    """As `move` wants it: all members of an instance entry move together."""
    if address.kind == "instance":
        return f"instances.{address.name.rpartition('-')[0]}"
    return str(address)
