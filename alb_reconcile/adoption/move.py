"""Plans `move`: resources get another address, since their entry was renamed; nothing is replaced."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from alb_reconcile.adoption.forget import ancestors, find_own, hurdles, is_below, is_meant, volumes_of
from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.adoption.preview import Preview, preview_plan
from alb_reconcile.adoption.tagging import Tagging
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Grouped
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError, UsageError
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.text import did_you_mean, printable

_NAME: Final = r"[a-z][a-z0-9-]{0,62}"


@dataclass(frozen=True)
class Move:
    """What a move would do; nothing has been written yet."""

    target: DesiredStack
    moves: tuple[tuple[Address, Tagging], ...]
    """The address at which each resource was, and the tags to write."""
    preview: Preview
    notes: tuple[str, ...] = ()
    found: Mapping[str, Observed] = field(default_factory=dict)
    """The resources that move, by id."""


async def find_move(aws: Aws, target: DesiredStack, pairs: Sequence[tuple[str, str]]) -> Move:
    """Find the resources that move, by one pair of an old and a new address after the other: the resource at the old address, and all that
    have its name in their address.

    `instances.OLD` to `instances.NEW` moves all members of a group. Nothing moves if all has moved before, as by a run that was killed at
    its end. Raises UsageError for what is no address, RefusedError if nothing is at either address, or something is at a new address
    already.
    """
    for old, new in pairs:
        _check(old, new)
    target = await resolve_lookups(aws, target)
    reader = HypotheticalReader(aws, target.stack, target.desired)
    try:
        own = await find_own(reader)
        notes, there = [], {item.id: item.address for item in own}
        for old, new in pairs:
            movers = {known: to for known, address in there.items() if (to := _new_address(address, old, new))}
            _refuse(target, there, movers, old, new)
            if not movers:
                notes.append(f"nothing is at {old}, and {new} exists: there is nothing to move")
            there |= movers
        moving = [(item, there[item.id]) for item in own if there[item.id] != item.address]
        volumes = await volumes_of(reader, [item for item, _ in moving])
        moves = tuple((item.address, _tagging(item, address, volumes.get(item.id, ()))) for item, address in moving)
        imagined = {key: {**reader.tags[key], **item.write} for _, item in moves for key in (item.id, *item.volumes)}
        preview = await preview_plan(reader, target, imagined)
    except BaseException:  # an interruption too: no read may go on after it
        await reader.cancel()
        raise
    found = {item.id: item for item, _ in moving}
    return Move(target, moves, preview, (*notes, *_undeclared(target, moving)), found)


def _check(old: str, new: str) -> None:
    (first, _, before), (second, _, after) = old.partition("."), new.partition(".")
    kinds = load_kinds()
    groups = {kind.name: kind for kind in kinds.values() if isinstance(kind, Grouped)}
    for text, kind in ((old, first), (new, second)):
        if kind in {group.section for group in groups.values()} or (kind in kinds and kinds[kind].properties.service):
            continue
        if kind in kinds:
            raise UsageError(f"{text} has no tags of its own: it moves with the entry it belongs to")
        singular = [f"{name}.{text.partition('.')[2]}" for name, it in kinds.items() if it.section == kind]
        hint = did_you_mean(text, singular) or "; write it as plans do, such as instance.web-1 or instances.web"
        raise UsageError(f"{text} isn't an address{hint}")
    if first != second:
        raise RefusedError(f"{old} can't become {new}: an address keeps its kind; nothing was moved")
    parts, olds = after.split("/"), before.split("/")
    if len(parts) != _depth(second) or not all(_is_name(part) for part in parts):
        raise UsageError(
            f"{new}: a name is [a-z][a-z0-9-]*, at most 63 characters, and not an id; a listener's is LOAD-BALANCER/NAME"
        )
    if (group := groups.get(second)) and not re.fullmatch(r".+-[1-9][0-9]*", after):
        raise UsageError(
            f"{new}: members of {group.noun} group are numbered, as in {after}-1; {group.section}.{after} is all of them"
        )
    if parts[:-1] != olds[:-1]:
        raise RefusedError(f"{old} can't become {new}: AWS can't move it to another parent; nothing was moved")
    if old == new:
        raise UsageError(f"{old} and {new} are the same address")


def _depth(kind: str) -> int:
    """How many parts a name of that kind has: a rule's has its load balancer, its listener and its own."""
    return len(ancestors(kind)) + 1


def _is_name(text: str) -> bool:
    return re.fullmatch(_NAME, text) is not None and not is_aws_id(text)


def _new_address(address: Address, old: str, new: str) -> Address | None:
    """The new address of a resource; None if it stays."""
    before, after = old.partition(".")[2], new.partition(".")[2]
    if is_meant(old, address) or is_below(old, address):
        return Address(address.kind, after + address.name.removeprefix(before))
    return None


def _refuse(
    target: DesiredStack, there: Mapping[str, Address], movers: Mapping[str, Address], old: str, new: str
) -> None:
    if not any(is_meant(old, address) or is_meant(new, address) for address in there.values()):
        hint = did_you_mean(old, map(str, there.values()))
        raise RefusedError(f"nothing was moved: the stack {target.stack} has nothing at {old}{hint}")
    stays = {address: known for known, address in there.items() if known not in movers}
    taken = [f"{address} already exists ({stays[address]})" for address in movers.values() if address in stays]
    if taken:
        raise RefusedError(
            "\n".join(
                [*map(printable, taken), "nothing was moved; let the stack forget it first, or choose another name"]
            )
        )


def _tagging(item: Observed, address: Address, volumes: tuple[str, ...]) -> Tagging:
    write = {tags.ADDRESS: str(address)}
    if item.state.tells_address:
        write[tags.ADOPTED] = item.id
    return Tagging(address, item.id, write, volumes=volumes)


def _undeclared(target: DesiredStack, moving: list[tuple[Observed, Address]]) -> list[str]:
    notes = []
    news = [str(address) for _, address in moving if address not in target.desired]
    if news:
        notes.append(
            f"the spec doesn't declare {', '.join(news)}: rename the entry before the next apply, which would otherwise delete"
        )
    olds = {item.address: item for item, _ in moving if item.address in target.desired}
    if olds:
        names = ", ".join(map(str, olds))
        notes.append(f"the spec still declares {names}: the next apply creates new ones, unless the entry is renamed")
    return [*notes, *hurdles(target, olds)]
