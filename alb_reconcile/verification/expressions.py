"""Matches texts with regular expressions of rules, and makes texts that match."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

MOST: Final = 12
"""The most texts that are kept for a part."""
_WORDS: Final = ("verify", "x")
_LETTERS: Final = "xvabcdefghijklmnopqrstuwyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_./~:@!$&'()*+,;=%#? "
_CLASSES: Final = {"d": "1", "w": "w", "s": " ", "D": "x", "W": "-", "S": "x"}
_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_NOTHING: Final = "bBAzZ"
_GROUP: Final = re.compile(r"\((?:\?(?:P?<[A-Za-z]\w*>|[a-zA-Z-]*(?P<end>[:)])))?")
_COUNT: Final = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")


def describes(expression: str, text: str) -> bool | None:
    """Whether a text matches an expression. None where that depends on what AWS doesn't document: whether the whole text has to match,
    and whether case counts."""
    exact, loose = _compile(expression, 0), _compile(expression, re.IGNORECASE)
    if exact is None or loose is None:
        return None
    return True if exact.fullmatch(text) else None if loose.search(text) else False


def samples(expression: str) -> list[str]:
    """A few texts that an expression matches as a whole, as a person would write them; none where the expression isn't understood."""
    compiled = _compile(expression, 0)
    try:
        return [text for text in _Reader(expression).read() if compiled and compiled.fullmatch(text)]
    except (re.error, ValueError, IndexError, RecursionError):
        return []


@cache
def _compile(expression: str, flags: int) -> re.Pattern[str] | None:
    """The compiled expression; None where Python reads it in another way."""
    try:
        return None if "[[:" in expression else re.compile(expression, flags | re.DOTALL)
    except (re.error, OverflowError, RecursionError):
        return None


class _Reader:
    """Reads an expression from left to right. Raises ValueError, IndexError for syntax that it doesn't understand."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def read(self) -> list[str]:
        found = self._choice()
        if self._at < len(self._text):
            raise ValueError(self._text)
        return found

    def _choice(self) -> list[str]:
        found = self._sequence()
        while self._next() == "|":
            self._at += 1
            found = _some([*found, *self._sequence()])
        return found

    def _sequence(self) -> list[str]:
        found = [""]
        while self._next() not in ("", "|", ")"):
            found = _joined(found, self._counted())
        return found

    def _counted(self) -> list[str]:
        is_any = self._next() == "."
        found = self._part()
        least, most = self._count()
        if (least, most) == (1, 1):
            return found
        if is_any and (most is None or most >= len(_WORDS[0])) and least <= len(_WORDS[1]):
            return [*_WORDS, ""][: 3 if least == 0 else 2]
        times = [max(least, 1)] if most != 0 else [0]
        times += [count for count in (least, times[0] + 1) if most is None or count <= most]
        return _some(_repeated(found, count) for count in times)

    def _count(self) -> tuple[int, int | None]:
        char = self._next()
        if char in ("*", "+", "?"):
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        elif found := _COUNT.match(self._text, self._at):
            self._at = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
        else:
            return 1, 1
        if self._next() == "?":
            self._at += 1
        return min(least, 64), most

    def _part(self) -> list[str]:
        char = self._take()
        if char in ("^", "$"):
            return [""]
        if char == ".":
            return ["x"]
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char == "(":
            return self._group()
        return [char]

    def _group(self) -> list[str]:
        found = _GROUP.match(self._text, self._at - 1)
        if found is None:
            raise ValueError(self._text)
        self._at = found.end()
        if found["end"] == ")":  # flags alone
            return [""]
        inside = self._choice()
        if self._take() != ")":
            raise ValueError(self._text)
        return inside

    def _escape(self) -> list[str]:
        char = self._take()
        if char in _NOTHING:
            return [""]
        if char == "x":
            self._at += 2
            return [chr(int(self._text[self._at - 2 : self._at], 16))]
        return [_CLASSES.get(char) or _CONTROL.get(char) or char]

    def _class(self) -> list[str]:
        begin = self._at - 1
        self._at += self._next() == "^"
        self._at += self._next() == "]"
        while self._take() != "]":
            if self._text[self._at - 1] == "\\":
                self._at += 1
        compiled = re.compile(self._text[begin : self._at])
        return _some(char for char in _LETTERS if compiled.fullmatch(char))[:2]

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1]


def _some(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))[:MOST]


def _joined(left: list[str], right: list[str]) -> list[str]:
    """Each left text with the first right one, and the first left text with each right one."""
    if not left or not right:
        return []
    return _some([*(text + right[0] for text in left), *(left[0] + text for text in right)])


def _repeated(found: list[str], count: int) -> str:
    return "".join(found[number % len(found)] for number in range(count))
