"""Inputs from valid ones: changed as data, as text and as bytes."""

from __future__ import annotations

import copy
import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from random import Random

LONG, MANY = 20_000, 2_000
MOST = 2**20
"""Bytes of an input: no queue takes longer messages, and a spec is read from a file that somebody wrote."""
TEXTS = (
    "", " ", "\0", "\x1b]0;x\x07", "\u202e\u2028", "é€😀", "\ud800", "a" * LONG, "../../etc/passwd", "${A}", "${", "null", "~", "1e999", "-0",
    "2026-11-26", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "10.0.0.0/8", "::/0", "*a", "&a b", "!!python/object:x", "<<", "%s%n{0}", "\r\n",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**200), 10**400, 0.1, 1e308, float("inf"), float("nan"), [], {}, [[]], {"": {}}, [None], *TEXTS,
)  # fmt: skip
PIECES = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b"\t", b": ", b"- ", b"{", b"}", b"[", b"]", b'"', b"'", b"&a ", b"*a ", b"!x ", b"|\n",
    b"? ", b"---\n", b"...\n", b"<<: *a\n", b"#", b",", b"\\u0000", b"1e9999", b"[" * 300, b"{a: " * 300, b"\xed\xa0\x80", b"%YAML 9.9\n",
)  # fmt: skip


def changed(rng: Random, data: bytes) -> bytes:
    """One to four changes of what was valid, in a way of their own each."""
    parsed = _parsed(data)
    for _ in range(rng.randint(1, 4)):
        if parsed is not None and rng.random() < 0.7:
            data, parsed = _changed_once(rng, data, parsed)
        else:
            data, parsed = _changed_bytes(rng, data), None
        if len(data) > MOST:
            break
    return data[:MOST]


def _changed_once(rng: Random, data: bytes, parsed: Any) -> tuple[bytes, Any]:
    try:
        parsed = _changed_data(rng, copy.deepcopy(parsed))
        return _written(rng, parsed, data), parsed
    except RecursionError:  # deeper than Python copies and writes: guided inputs grow from others
        return _changed_bytes(rng, data), None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data) if data[:1] in b"{[" else yaml.safe_load(data)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError):
        return None  # PyYAML has no words for much of what it refuses


def _written(rng: Random, parsed: Any, was: bytes) -> bytes:
    if was[:1] in (b"{", b"[") or rng.random() < 0.2:
        return json.dumps(parsed, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    try:
        text: str = yaml.dump(parsed, sort_keys=False, allow_unicode=rng.random() < 0.5)
    except RecursionError:  # deeper than PyYAML writes
        return was
    return text.encode("utf-8", "surrogatepass")


def _changed_data(rng: Random, root: Any) -> Any:
    """Something in it is deleted, duplicated, moved, nested, or another thing."""
    places = list(islice(_places(root), MANY))
    if not places:
        return rng.choice(OTHERS)
    holder, key = rng.choice(places)
    value, what = holder[key], rng.randrange(8)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, list):
        is_small = len(places) < MANY and len(repr(value)) <= MANY
        holder.extend([value] * rng.choice((1, 2, 1000 if is_small else 3)))
    elif what == 1:
        holder[f"{key}{rng.choice(('2', ' ', 'x' * 300))}"] = value
    elif what == 2:
        other, place = rng.choice(places)
        holder[key] = (
            copy.deepcopy(other[place]) if place in (other if isinstance(other, dict) else range(len(other))) else None
        )
    elif what == 3:
        for _ in range(rng.choice((1, 5, 120))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        holder[key] = value
    elif what == 4 and isinstance(holder, dict):
        holder[rng.choice((*TEXTS, 1, None, True))] = holder.pop(key)
    elif what == 5 and isinstance(value, str) and value:
        at = rng.randrange(len(value))
        holder[key] = value[:at] + rng.choice(TEXTS) + value[at:]
    elif what == 6 and isinstance(value, int):
        holder[key] = rng.choice(
            (-value, value + 1, value * 10**30, value / 3 if abs(value) < 2**200 else value, str(value))
        )
    else:
        holder[key] = copy.deepcopy(rng.choice(OTHERS))
    return root


def _places(value: Any) -> Any:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _changed_bytes(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.choice((0, 1, 1, 8, 200)))
    return data[:start] + rng.choice((b"", data[start:end] * 2, rng.randbytes(3), *PIECES)) + data[end:]
