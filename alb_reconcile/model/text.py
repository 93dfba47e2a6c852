"""Texts: durations, digests, and what a terminal can show."""

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


def camel(name: str) -> str:
    """AWS's name of what is written in snake_case here."""
    return "".join(word.capitalize() for word in name.split("_"))


def snake(key: str) -> str:
    """The inverse: a name of AWS's as a spec has it."""
    return re.sub("(?<!^)([A-Z])", r"_\1", key).lower()


def digest(value: object, length: int = 12) -> str:
    """A short, stable digest of plain data (hexadecimal)."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about a word that isn't known; empty where no other one is like it."""
    word = word[:80]
    whole = {name: name for name in known}
    names = {name[: len(word) + 1]: name for name in whole if name[:1] == word[:1]} | whole  # or only how it begins
    found = get_close_matches(word, names, 1, 0.6)
    return f"; did you mean {names[found[0]]}?" if found else ""
