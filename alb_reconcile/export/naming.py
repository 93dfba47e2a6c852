"""Names entries: after the names that other tools, tags or AWS give to resources, or after what these are."""

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping
from typing import Final

from alb_reconcile.kinds.base import AnyKind
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.text import number_of, numbered

_LONGEST: Final = 50
_LOGICAL: Final = "aws:cloudformation:logical-id"
"""The tag that CloudFormation gives to what it makes."""
_STACK: Final = re.compile(r"(?!sg-|internal-)[a-z][a-z0-9-]{0,38}[a-z0-9]")


def slug(text: str) -> str:
    """A text as an entry's name can be; empty if nothing of it is left."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", text)
    plain = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    found = re.sub(r"^[0-9-]+", "", plain)[:_LONGEST].strip("-")
    return "" if found and is_aws_id(found) else found


def stack_name(candidates: Iterable[str]) -> str:
    """The first candidate that can be a stack's name."""
    for text in candidates:
        found = slug(text)[:40].strip("-")
        if _STACK.fullmatch(found):
            return found
    return "exported"


def common_prefix(names: Collection[str]) -> str:
    """The words with which at least half of the names begin, and at least two of them go on; empty if there are none."""
    parts = [slug(name).split("-") for name in names]
    best: list[str] = []
    least = max(2, (len(parts) + 1) // 2)
    while True:
        begun = Counter(part[len(best)] for part in parts if part[: len(best)] == best and len(part) > len(best) + 1)
        word, count = next(iter(begun.most_common(1)), ("", 0))
        if count < least:
            return "-".join(best)
        best, least = [*best, word], count


def name_of(
    kind: AnyKind, observed: Observed, tags: Mapping[str, str], above: Iterable[str], known: Mapping[str, str]
) -> tuple[str, ...]:
    """The names that an entry may have, the best first. The name of the stack and those of the entries around it are left out."""
    given = known.get(observed.id) or tags.get(_LOGICAL) or tags.get("Name") or kind.suggest_name(observed.state)
    names = [slug(given)]
    for prefix in filter(None, above):
        names.insert(0, names[0].removeprefix(f"{prefix}-"))
    usable = (name for name in names if re.match("[a-z]", name) and not is_aws_id(name))
    return (*dict.fromkeys(usable), kind.name.replace("_", "-"))


def unique(names: tuple[str, ...], taken: Container[str]) -> str:
    """The first name that isn't taken; else the first one with a number."""
    free = next((name for name in names[:-1] if name not in taken), None)
    if free is None and len(names) == 1 and names[0] not in taken:
        free = names[0]
    number = 2
    while free is None:
        numbered = f"{names[0]}-{number}"
        free = numbered if numbered not in taken else None
        number += 1
    return free


def stem(own: Mapping[str, str]) -> str:
    """A Name without the number at its end, by its resource's tags."""
    return re.sub(r"[-_ ]*\d+$", "", own.get("Name", ""))


def by_number(own: Mapping[str, str], item: Observed) -> tuple[int, str, str]:
    """The sort key of a resource, by its tags: the number in the Name, then the time of creation."""
    return number_of(own.get("Name", "")), item.created, item.id


def numbering(names: Mapping[int, str]) -> str:
    """The `name:` of an entry by which its members get these Names, by number; empty if there is none."""
    first = next(iter(names.values()))
    digits = re.search(r"\d*$", first)[0]  # type: ignore[index]  # it matches any text
    bare = first.removesuffix(digits) if digits else first
    ways = (bare.removesuffix("-"), f"{bare}%d", f"{bare}%0{len(digits)}d")
    return next((way for way in ways if all(own == numbered(way, place) for place, own in names.items())), "")
