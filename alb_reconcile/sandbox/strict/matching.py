"""Compares a value with a filter's values as AWS does."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

_SPECIAL = frozenset("*?\\")


@cache
def pattern(wanted: str) -> re.Pattern[str]:
    """A filter value as a regular expression. `*` and `?` are wildcards unless a backslash is before them; brackets have no meaning (AWS
    EC2, 'List and filter using the CLI and API')."""
    parts = re.findall(r"\\.|.", wanted, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(p) or re.escape(p[1:] if len(p) > 1 else p) for p in parts), re.DOTALL)


@cache
def _told_apart(wanted: tuple[Any, ...]) -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """A filter's literal values, and its patterns. They are separated for speed, since a list may have hundreds of elements to match."""
    texts = [str(one) for one in wanted]
    wild = [text for text in texts if _SPECIAL.intersection(text)]
    return frozenset(texts).difference(wild), tuple(map(pattern, wild))


def matches(value: Any, wanted: Iterable[Any]) -> bool:
    """Whether any of a filter's values matches the value or, if it is a list, any of its elements."""
    return _matches(value, tuple(wanted))


def _matches(value: Any, wanted: tuple[Any, ...]) -> bool:
    if value is None:
        return False
    if isinstance(value, bool):
        return str(value).lower() in wanted
    if isinstance(value, datetime):
        value = value.isoformat(timespec="milliseconds")
    if isinstance(value, str | int):
        literal, wild = _told_apart(wanted)
        text = str(value)
        return text in literal or any(one.fullmatch(text) for one in wild)
    return any(_matches(element, wanted) for element in value)
