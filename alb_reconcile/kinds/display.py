"""Shows properties and their differences as a user reads them: ids of the stack's resources as their addresses."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.model.actions import Forward
from alb_reconcile.model.address import Address, UserData
from alb_reconcile.model.lookup import FoundId
from alb_reconcile.model.plan import plain
from alb_reconcile.model.requests.conditions import Condition, Transform
from alb_reconcile.model.resource import Change
from alb_reconcile.model.service import Permission, Route
from alb_reconcile.model.text import printable

Names = Mapping[str, Address]
"""The addresses of the stack's resources by id."""
REPLACEMENT: Final = "its replacement"
"""The text for the resource that replaces the one in a property."""


def show_change(change: Change, names: Names) -> Iterator[tuple[str, str]]:
    """Pairs of a sign and a text: of a collection, each member that is removed (-) or added (+); else one text without a sign."""
    # a collection, not a reference or a part of an action
    if type(change.after) is tuple and "." not in change.path:
        before, after = list(change.before or ()), list(change.after)
        texts = {show_member(change.path, item, names) for item in after}
        for item in [item for item in before if item not in after]:
            text = show_member(change.path, item, names)
            # the new resource has the same address, so the old one is shown by its id
            yield "-", show_member(change.path, item, {}) if text in texts else text
        for item in [item for item in after if item not in before]:
            yield "+", show_member(change.path, item, names)
        return
    if isinstance(change.after, UserData) and isinstance(change.before, UserData) and change.after.told(change.before):
        yield "", printable(change.after.told(change.before))
        return
    groups, stay = _groups(change.before), _groups(change.after)
    if len({names.get(item, item) for item in groups}) < len(
        groups
    ):  # a replacement was cut short, so two groups have one name: only the one that stays is shown by it
        names = {known: name for known, name in names.items() if known in stay or known not in groups}
    old, new = show(change.before, names), show(change.after, names)
    if old == new:  # the old and the new resource have the same address
        known = show(change.before, {})
        old, new = (known, new) if old == known or len(groups) > 1 else (old, REPLACEMENT)
    yield "", f"{old} → {new}"


def _groups(value: Any) -> list[Any]:
    found = value if isinstance(value, tuple) else getattr(value, "forward", ())
    return [item.target_group for item in found if isinstance(item, Forward)]


def show_member(name: str, value: Any, names: Names) -> str:
    """A member of a property, as a user reads it. By the property's name, a permission is to or from its source."""
    if isinstance(value, Permission):
        return _permission(value, "to" if name == "egress" else "from", names)
    return show(value, names)


def show(value: Any, names: Names) -> str:
    """A property as a user reads it, with addresses instead of the ids of the stack's resources."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, FoundId):
        return printable(f"{short_id(value)} ({value.words})")
    if isinstance(value, str):
        return printable(str(names.get(value) or short_id(value))) if value else '""'
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "(not set)"
    if isinstance(value, Forward):
        # an address that an observed group has, too: the group is that one's replacement
        new = isinstance(value.target_group, Address) and value.target_group in names.values()
        return f"{'the new ' if new else ''}{show(value.target_group, names)} at {value.weight}"
    if isinstance(value, Route):
        return f"{value.destination} → {show(value.target, names)}"
    if isinstance(value, Condition | Transform):
        return printable(str(value))
    if isinstance(value, tuple):
        return ", ".join(show(item, names) for item in value) or "(none)"
    if hasattr(value, "forward"):
        return _action(value, names)
    return printable(str(plain(value)))


def _permission(item: Permission, way: str, names: Names) -> str:
    ports = item.from_port if item.from_port == item.to_port else f"{item.from_port}-{item.to_port}"
    traffic = "all traffic" if item.protocol == "-1" else f"{item.protocol} {ports}"
    description = f" ({printable(item.description)})" if item.description else ""
    return f"{traffic} {way} {show(item.source, names)}{description}"


def _action(value: Any, names: Names) -> str:
    if value.authentication:
        return f"{printable(str(value.authentication))}, then {_action(replace(value, authentication=None), names)}"
    if value.unsupported:
        others = printable(", ".join(value.unsupported))
        rest = replace(value, unsupported=())
        return f"{others}, {_action(rest, names)}" if plain(rest) else others
    if value.forward:
        single = len(value.forward) == 1
        groups = show(value.forward[0].target_group, names) if single else show(value.forward, names)
        sticky = f", sticky for {value.stickiness_seconds} s" if value.stickiness_seconds else ""
        return f"forward to {groups}{sticky}"
    name, pairs = ("redirect", value.redirect) if value.redirect else ("answer", value.fixed_response)
    return printable(f"{name} {', '.join(f'{key} {item}' for key, item in pairs)}")


def short_id(physical_id: str) -> str:
    """An id as it is; of an ARN, the last part; of a registration, the target."""
    arn, _, member = physical_id.partition("|")
    return printable(member.replace("|", ":") or (arn.rpartition(":")[2] if arn.startswith("arn:") else arn))


def id_and_name(physical_id: str, own: Mapping[str, str], address: Address, stack: str) -> str:
    """An id as `short_id` shows it, with the Name tag where a user has chosen that name."""
    known, name, usual = short_id(physical_id), own.get("Name", ""), f"{stack}-{address.name}"
    is_usual = name in ("", usual, usual.rpartition("-")[0]) or name in known
    return known if is_usual else f'{known} "{printable(name)}"'
