"""How AWS compares a value with a filter's values."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any


@cache
def pattern(wanted: str) -> re.Pattern[str]:
    """AWS EC2, 'List and filter using the CLI and API': * and ? are wildcards, a backslash takes that away, and
    brackets mean nothing."""
    parts = re.findall(r"\\.|.", wanted, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(p) or re.escape(p[1:] if len(p) > 1 else p) for p in parts), re.DOTALL)


def matches(value: Any, wanted: Iterable[Any]) -> bool:
    """Any of the filter's values matches the value, or any of its elements where it is a list."""
    if value is None:
        return False
    if isinstance(value, bool):
        return str(value).lower() in wanted
    if isinstance(value, datetime):
        value = value.isoformat(timespec="milliseconds")
    if isinstance(value, str | int):
        return any(pattern(str(one)).fullmatch(str(value)) for one in wanted)
    return any(matches(element, wanted) for element in value)
