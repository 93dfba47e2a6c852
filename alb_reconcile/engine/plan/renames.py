"""Finds entries that look renamed: a plan deletes a resource under one name, and makes one with the same properties under another."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from alb_reconcile.engine.plan.decide import forcing
from alb_reconcile.kinds import group_of, load_kinds
from alb_reconcile.model.abilities import settle, slots
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties, bind, diff, field_names, references

_MOST: Final = 10
"""The most renames that are listed one by one."""


def find_renames(steps: Iterable[Step], ids: Mapping[Address, str], facts: Lookups) -> list[str]:
    """A hint for each renamed entry, with the command that renames it in the tags, so that nothing is replaced.

    Resources without tags of their own, and those that `move` renames together with their parent, aren't listed.
    """
    steps = tuple(steps)
    gone = [step for step in steps if step.action == "delete" and step.part_of is None and _moves(step)]
    made = [step for step in steps if step.action == "create" and _moves(step)]
    pairs = list(dict.fromkeys(_pairs(gone, made, ids, facts)))
    told = [pair for pair in pairs if pair.is_ours][:_MOST]
    hints = [f"{pair.new} is like {pair.old}, which is deleted" for pair in told]
    if told:
        what = "the entry was" if len(told) == 1 else "these entries were"
        names = (name for pair in told for name in (pair.old, pair.new))
        hints[-1] += f"; if {what} only renamed, run this first: {advised('move', told[0].file, *names)}"
    hints += [
        f"{pair.new} is like {pair.old}, which no stack owns, and which is deleted; to take it over instead, run this first: "
        f"{advised('adopt', pair.file)}"
        for pair in pairs
        if not pair.is_ours
    ]
    more = sum(pair.is_ours for pair in pairs) - len(told)
    return hints + ([f"{more} more look renamed, too"] if more else [])


class _Pair(NamedTuple):
    """A resource that is deleted, and a similar one that is made. `is_ours`: whether the stack owns the deleted one."""

    old: str
    new: str
    is_ours: bool
    file: str


def told_with(hints: Iterable[str], refusal: str) -> str:
    """A refusal, after the hints that give another command than the refusal: a user should read the hints before allowing anything."""
    return "\n".join([*(hint for hint in hints if hint.rpartition(": ")[2] not in refusal), refusal])


def refuse_successors(steps: Iterable[Step], ids: Mapping[Address, str]) -> None:
    """Refuse a plan with entries that `find_successors` finds. Raises RefusedError."""
    if problems := list(dict.fromkeys(find_successors(steps, ids))):
        raise RefusedError("\n".join(problems))


def find_successors(steps: Iterable[Step], ids: Mapping[Address, str]) -> Iterator[str]:
    """Texts about new resources that can't be made before another one is deleted, though that one could be changed into the new one.
    Between the two steps neither would exist; the text has the command after which the existing one is changed in place. For example, a
    port of a load balancer can have only one listener."""
    known = {step.key: step for step in steps}
    for new in known.values():
        for old in (known[key] for key in new.needs if new.action == "create" and key in known):
            if old.action != "delete" or old.part_of or _place(old.address) != _place(new.address) or not _moves(old):
                continue
            if old.observed and old.observed.owner and new.desired and _can_become(old.observed, new.desired, ids):
                yield (
                    f"{new.address} can't be created before {old.address} ({old.id}) is deleted, and nothing is there meanwhile; let the one "
                    f"become the other: run {advised('move', new.desired.file, _spelled(old.address), _spelled(new.address))}, then apply"
                )


def _can_become(found: Observed, wanted: Desired, ids: Mapping[Address, str]) -> bool:
    """Whether the two hold the same slot, and AWS can make all changes from one to the other in place."""
    state = bind(wanted.state, ids)
    held = set(slots(state)).intersection(slots(found.state))
    return bool(held) and not forcing(wanted, state, found, diff(state, found.state))


def _moves(step: Step) -> bool:
    state = step.state or (step.observed.state if step.observed else None)
    return state is not None and bool(state.service)


def _pairs(gone: Sequence[Step], made: Iterable[Step], ids: Mapping[Address, str], facts: Lookups) -> Iterator[_Pair]:
    left: dict[tuple[str, ...], list[Step]] = defaultdict(list)
    for old in gone:
        left[_place(old.address)].append(old)
    comparisons = 5_000  # with very many entries, not every pair is compared
    for new in made:
        near = left[_place(new.address)][:comparisons]
        comparisons -= len(near)
        like = next((old for old in near if _is_like(old, new, ids, facts)), None)
        if like is not None and like.observed and new.desired:
            left[_place(new.address)].remove(like)
            is_ours = like.observed.owner is not None
            yield _Pair(_spelled(like.address), _spelled(new.address), is_ours, new.desired.file)


def _place(address: Address) -> tuple[str, ...]:
    """The parts of an address that don't change when an entry is renamed: its kind, its parent entry, and a member's number."""
    group = group_of(address)
    number = address.name.removeprefix(group.name) if group else ""
    return address.kind, address.name.rpartition("/")[0], number


def _is_like(old: Step, new: Step, ids: Mapping[Address, str], facts: Lookups) -> bool:
    if old.observed is None or new.desired is None:
        return False
    return _is_same(settle(bind(new.desired.state, ids), old.observed, facts), old.observed.state)


def _is_same(wanted: Properties, found: Properties) -> bool:
    """Whether the found properties, as far as they were read, are the wanted ones; properties that refer to new resources don't count."""
    names = [name for name in field_names(type(wanted)) if getattr(wanted, name) is not None]
    read = [name for name in names if getattr(found, name) is not None and not any(references(getattr(wanted, name)))]
    return bool(names) and all(_is_there(getattr(wanted, name), getattr(found, name)) for name in read)


def _is_there(wanted: object, found: object) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(found.get(key) == value for key, value in wanted.items())
    return wanted == found


def _spelled(address: Address) -> str:
    """The address as `move` takes it: all members of an instance entry move together."""
    group = group_of(address)
    return f"{load_kinds()[group.kind].section}.{group.name}" if group else str(address)
