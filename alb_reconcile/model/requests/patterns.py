"""Finds a text that fits one pattern and none of some others, or finds that there is no such text.

In a pattern `*` stands for any characters, and `?` for one ("Condition types for listener rules", Elastic Load Balancing).
"""

import itertools
import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache, reduce
from typing import Final

Tokens = tuple[str, ...]
"""A pattern's parts: `*`, `?`, a character, or a character behind a backslash, which stands for itself."""
OTHER: Final = "\x80"
"""A character that no pattern names, since `parse` takes ASCII only."""
_ALL: Final = OTHER + "".join(map(chr, range(128)))
_MOST: Final = 20_000
"""States that a search visits before it ends unfinished: a few tenths of a second and some megabytes at worst. Usual patterns
take a few dozen."""


class UndecidedError(Exception):
    """A search has ended unfinished: there may be more texts."""


@lru_cache(4096)
def split(pattern: str, *, escapes: bool = False, fold: bool = False) -> Tokens:
    """The parts of a pattern. With `escapes` a backslash takes its meaning from `*` and `?`; with `fold` upper and lower
    case are one."""
    parts = re.findall(r"\\[*?]|\*+|." if escapes else r"\*+|.", pattern.lower() if fold else pattern, re.DOTALL)
    return tuple("*" if part[0] == "*" else part for part in parts)


def parse(pattern: str, *, escapes: bool = False, fold: bool = False) -> Tokens | None:
    """The parts of a pattern; None where the pattern's meaning isn't documented."""
    tokens = split(pattern, escapes=escapes, fold=fold)
    return tokens if pattern.isascii() and "\\" not in tokens else None


class _Machine:
    """Matches a text with several patterns at once. Bit i of a number is on when the parts before place i have been read; a
    pattern's places are followed by its end, and by the next one's (Shift-And: Baeza-Yates and Gonnet, "A new approach to
    text searching", 1992)."""

    def __init__(self, patterns: tuple[Tokens, ...]) -> None:
        self.start = self.stars = self.anything = 0
        self.ends: list[int] = []
        named: dict[str, int] = {}
        place = 1
        for tokens in patterns:
            self.start |= place
            for part in tokens:
                if part == "*":
                    self.stars |= place
                elif part == "?":
                    self.anything |= place
                else:
                    named[part[-1]] = named.get(part[-1], 0) | place
                place <<= 1
            self.ends.append(place)
            place <<= 1
        self.moves = {char: places | self.anything for char, places in named.items()}
        self.end = sum(self.ends)

    def read(self, places: int, char: str) -> int:
        """The places after one more character."""
        stars = places & self.stars
        return ((places | stars << 1) & self.moves.get(char, self.anything)) << 1 | stars

    def fitting(self, places: int) -> int:
        """The ends of the patterns that a text fits."""
        return (places | (places & self.stars) << 1) & self.end


_machine = lru_cache(4096)(_Machine)


def search(
    pattern: Tokens,
    those: tuple[Tokens, ...] = (),
    apart: tuple[Tokens, ...] = (),
    *,
    start: str = "",
    characters: str = _ALL,
) -> Iterator[tuple[frozenset[Tokens], str]]:
    """The texts that fit a pattern and no pattern in `those`: the shortest for each set of patterns in `apart` that a text fits.
    Texts begin with `start`, followed by `characters`. Raises UndecidedError where the search takes too long."""
    own, others = _machine((pattern,)), _machine((*those, *apart))
    ends = others.ends[len(those) :]
    vain, told = sum(others.ends[: len(those)]), sum(ends)
    found = set()
    for place, places, text in _walk(own, others, vain, start, characters):
        fitting = others.fitting(places)
        if own.fitting(place) and not fitting & vain and fitting & told not in found:
            found.add(fitting & told)
            yield frozenset(item for item, end in zip(apart, ends, strict=True) if fitting & end), text


def _walk(own: _Machine, others: _Machine, vain: int, start: str, characters: str) -> Iterator[tuple[int, int, str]]:
    """The states that texts lead to, breadth first, each with its shortest text: one place of the first machine, since one way
    to fit its pattern is enough, and all places of the others. Of the characters that no pattern names one is tried. Texts
    that come to a vain end however they go on aren't followed."""
    named = own.moves.keys() | others.moves.keys()
    unnamed = (char for char in characters if char not in named)
    alphabet = [*itertools.islice(unnamed, 1), *(char for char in sorted(named) if char in characters)]
    queue = deque(
        (place, reduce(others.read, start, others.start), start) for place in _each(reduce(own.read, start, own.start))
    )
    seen = {(place, places) for place, places, _ in queue}
    while queue:
        place, places, text = queue.popleft()
        if places & others.stars & (vain >> 1):
            continue
        yield place, places, text
        for char in alphabet:
            after = others.read(places, char)
            for ahead in _each(own.read(place, char)):
                if (ahead, after) not in seen:
                    if len(seen) >= _MOST:
                        raise UndecidedError
                    seen.add((ahead, after))
                    queue.append((ahead, after, text + char))


def _each(places: int) -> Iterator[int]:
    while places:
        yield places & -places
        places &= places - 1


def find_text(pattern: Tokens, those: tuple[Tokens, ...] = (), start: str = "") -> str | None:
    """The shortest text that fits a pattern and no pattern in `those`; None if there is no such text. Raises UndecidedError."""
    return next((text for _, text in search(pattern, those, start=start)), None)


@lru_cache(16384)
def is_included(tokens: Tokens, others: tuple[Tokens, ...], start: str = "") -> bool:
    """Whether each text that fits a pattern fits one of the others, too; False also where finding out takes too long.
    With `start` only texts that begin with `start` count."""
    if tokens in others:
        return True
    near = tuple(item for item in others if _may_meet(tokens, item))
    simple = (fill(tokens, star, OTHER) for star in ("", OTHER))  # a quick no for most pairs
    if not near or any(text.startswith(start) and not fits(near, text) for text in simple):
        return False
    try:
        return find_text(tokens, near, start) is None
    except UndecidedError:
        return False


def _may_meet(one: Tokens, other: Tokens) -> bool:
    """Whether two patterns' fixed beginnings and ends don't exclude each other."""
    for ends in (zip(one, other, strict=False), zip(one[::-1], other[::-1], strict=False)):
        for part, there in ends:
            if "*" in (part, there):
                break
            if "?" not in (part, there) and part[-1] != there[-1]:
                return False
    return True


def fits(patterns: tuple[Tokens, ...], text: str) -> bool:
    """Whether a text fits one of some patterns."""
    machine = _machine(patterns)
    return bool(machine.fitting(reduce(machine.read, text, machine.start)))


def fill(tokens: Tokens, star: str, one: str) -> str:
    """A text that fits a pattern: what its stars stand for, and each `?`."""
    return "".join(star if part == "*" else one if part == "?" else part[-1] for part in tokens)
