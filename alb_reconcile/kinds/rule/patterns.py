"""Patterns with `*` and `?`: which texts fit them, and whether all texts of one fit others."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

Tokens = tuple[str, ...]
"""A pattern's parts: `*`, `?`, a character, or a character behind a backslash, which stands for itself."""
OTHER: Final = ""
"""Any character that no pattern names."""
_WORK: Final = 20_000
"""Steps after which a search ends unfinished: some milliseconds. Patterns as people write them take a few dozen."""


@lru_cache(4096)
def parse(pattern: str, *, escapes: bool = False, fold: bool = False) -> Tokens | None:
    """The parts of a pattern; None where it isn't documented what it means. With `escapes` a backslash takes its meaning
    from `*` and `?`; with `fold` upper and lower case are one."""
    tokens = re.findall(r"\\[*?]|\*+|.", pattern, re.DOTALL)
    plain = [token for token in tokens if len(token) == 1 or token[0] == "*"]
    if not pattern.isascii() or "\\" in plain or (not escapes and len(plain) < len(tokens)):
        return None
    return tuple("*" if token[0] == "*" else token.lower() if fold else token for token in tokens)


class Pattern:
    """A pattern's places as bits: bit i is on when its first i parts have been read."""

    def __init__(self, tokens: Iterable[str]) -> None:
        parts = tuple(tokens)
        self.stars = sum(1 << i for i, part in enumerate(parts) if part == "*")
        self.anything = sum(1 << i for i, part in enumerate(parts) if part == "?")
        self.moves = {part[-1]: self.anything for part in parts if part not in ("*", "?")}
        for i, part in enumerate(parts):
            if part not in ("*", "?"):
                self.moves[part[-1]] |= 1 << i
        self.end = 1 << len(parts)
        self.start = self.skip(1)

    def skip(self, places: int) -> int:
        """The places, and those behind stars that stand for nothing."""
        return places | ((places & self.stars) << 1)

    def read(self, places: int, char: str) -> int:
        """The places after one more character."""
        moved = (places & self.moves.get(char, self.anything)) << 1
        return self.skip(moved | (places & self.stars))


def fits(tokens: Tokens, text: str) -> bool:
    """Whether a text fits a pattern."""
    machine = _machine(tokens)
    places = machine.start
    for char in text:
        places = machine.read(places, char)
        if not places:
            return False
    return bool(places & machine.end)


@lru_cache(16384)
def is_included(tokens: Tokens, others: Sequence[Tokens], first: str = "") -> bool:
    """Whether each text that fits a pattern fits one of the others, too; False as well where that takes too long to find
    out. With `first` only texts that begin with that character count."""
    if tokens in others:
        return True
    machines = [_machine(item) for item in others if _may_help(tokens, item) and _may_help(tokens[::-1], item[::-1])]
    if not machines or _is_refuted(tokens, machines, first):
        return False
    alphabet = {part[-1] for item in (tokens, *others) for part in item if part not in ("*", "?")} | {OTHER}
    stack = [(0, tuple(machine.start for machine in machines), first)]
    seen = set(stack)
    while stack:
        place, places, wanted = stack.pop()
        if len(seen) > _WORK or not any(places):
            return False
        if place == len(tokens):
            if not wanted and not _is_read(places, machines):
                return False
            continue
        part = tokens[place]
        ahead = [(place + 1, places, wanted)] if part == "*" else []
        for char in {wanted} if wanted else alphabet if part in ("*", "?") else {part[-1]}:
            if part in ("*", "?") or part[-1] == char:
                after = tuple(machine.read(at, char) for at, machine in zip(places, machines, strict=True))
                ahead.append((place if part == "*" else place + 1, after, ""))
        for state in ahead:
            if state not in seen:
                seen.add(state)
                stack.append(state)
    return True


@lru_cache(4096)
def _machine(tokens: Tokens) -> Pattern:
    return Pattern(tokens)


def _is_read(places: Sequence[int], machines: Sequence[Pattern]) -> bool:
    return any(at & machine.end for at, machine in zip(places, machines, strict=True))


def _is_refuted(tokens: Tokens, machines: Sequence[Pattern], first: str) -> bool:
    """Whether one of two simple texts that fit the pattern fits none of the others: a quick no for most pairs."""
    for fill in ((), (OTHER,)):
        text = [char for part in tokens for char in (fill if part == "*" else (OTHER,) if part == "?" else (part[-1],))]
        if first and text[:1] != [first]:
            continue
        places = [machine.start for machine in machines]
        for char in text:
            places = [machine.read(at, char) for at, machine in zip(places, machines, strict=True)]
        if not _is_read(places, machines):
            return True
    return False


def can_begin_with(tokens: Tokens, char: str) -> bool:
    """Whether a text that fits a pattern can begin with a character."""
    first = next((part for part in tokens if part != "*"), "*")
    return tokens[:1] == ("*",) or first == "?" or first[-1] == char


def _may_help(tokens: Tokens, other: Tokens) -> bool:
    """Whether the other's fixed beginning and the pattern's don't exclude each other."""
    for part, there in zip(tokens, other, strict=False):
        if "*" in (part, there):
            break
        if "?" not in (part, there) and part[-1] != there[-1]:
            return False
    return True
