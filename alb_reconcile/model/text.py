"""Functions on texts: durations, digests, names, and what a terminal can show."""

import hashlib
import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final


def parse_duration(text: str) -> int:
    """`30s`, `5m`, `1h` in seconds. Raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit():
        raise ValueError(f"{text!r} isn't a duration; write 30s, 5m or 1h")
    return int(number) * _UNITS[unit]


def printable(text: str) -> str:
    """A text with escapes for what a terminal can't show, or would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def text_of(value: object) -> str:
    """A text, number or boolean as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def camel(name: str) -> str:
    """AWS's name of what is written in snake_case here."""
    return "".join(word.capitalize() for word in name.split("_"))


def snake(key: str) -> str:
    """The inverse: a name of AWS's as a spec has it."""
    return re.sub("(?<!^)([A-Z])", r"_\1", key).lower()


def numbered(name: str, number: int) -> str:
    """The name of one of several: its number where the name has `%d` or, with leading zeros, `%02d`; else behind it."""
    if _NUMBER.search(name):
        return _NUMBER.sub(lambda found: f"{number:0{found[1] or 1}d}", name, count=1)
    return f"{name}-{number}"


def has_number(name: str) -> bool:
    """Whether a name says where the number of one of several goes."""
    return bool(_NUMBER.search(name))


def number_of(name: str) -> int:
    """The number that a name ends with; 0 where it ends otherwise."""
    found = re.search(r"(\d{1,9})$", name)
    return int(found[1]) if found else 0


def digest(value: object, length: int = 12) -> str:
    """A short, stable digest of plain data (hexadecimal)."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def physical_name(stack: str, address: str, settings: Iterable[object], beside: str, limit: int) -> str:
    """`<stack>-<name>-<hash>`: the hash over stack, address, the bound immutable settings and the id of what it replaces."""
    mark = digest([stack, address, [str(item) for item in settings], beside], 8)
    stem = re.sub(r"[^A-Za-z0-9-]", "-", f"{stack}-{address.partition('.')[2]}")[: limit - 9].rstrip("-")
    return f"{stem}-{mark}"


_NUMBER: Final = re.compile("%(?:0([1-9]))?d")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The end of a sentence about a word that isn't known; empty where no other one is like it. What is right up to the last dot
    doesn't make the rest alike."""
    word, whole = word[:80], {name: name for name in known}
    kind, dot, word = word.rpartition(".")
    if any(name.startswith(kind + dot) for name in whole):
        whole = {name[len(kind + dot) :]: name for name in whole if name.startswith(kind + dot)}
    else:
        word = kind + dot + word
    names = {
        name[: len(word) + 1]: whole[name] for name in whole if name[:1] == word[:1]
    } | whole  # or only how it begins
    found = get_close_matches(word, names, 1, likeness)
    return f"; did you mean {names[found[0]]}?" if found else ""
