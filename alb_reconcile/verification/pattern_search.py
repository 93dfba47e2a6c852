"""Which patterns a text can fit at the same time: an exact search over all hosts, or all paths, there can be."""

import re
import string
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from alb_reconcile.kinds.rule.patterns import Pattern

_WORK: Final = 1_500_000
"""Steps after which a search ends unfinished: about a second."""

Grammar = dict[str, dict[str, str]]
"""By state and class of character (a letter or digit, `-`, `.`, `/`, anything else `*`): the next state."""

HOST: Final[Grammar] = {
    "start": {"a": "label"},
    "label": {"a": "label", "-": "hyphen", ".": "start"},
    "hyphen": {"a": "label", "-": "hyphen"},
}
"""Names as DNS has them: labels of letters, digits and inner hyphens. A name ends in state `label`."""
PATH: Final[Grammar] = {"start": {"/": "label"}, "label": dict.fromkeys("a-./*", "label")}
_WORD: Final = frozenset(string.ascii_letters + string.digits)
_PATH_CHARACTERS: Final = _WORD | frozenset("_-.$/~\"'@:+&*%=,;()!")


@dataclass(frozen=True)
class Search:
    """The shortest text for each set of patterns (by index) that a text can fit together. `complete`: there are no others."""

    witnesses: dict[frozenset[int], str]
    complete: bool


def search(patterns: Sequence[str], grammar: Grammar) -> Search:
    """Every combination of patterns that some host (lower case) or path fits, with the shortest such text."""
    machines = [Pattern(re.sub(r"\*+", "*", pattern)) for pattern in patterns]
    alphabet = _alphabet(patterns, grammar)
    room = _WORK // (len(alphabet) * max(1, len(machines)))
    begin = ("start", tuple(machine.start for machine in machines))
    seen, queue = {begin}, deque([(begin, "")])
    witnesses: dict[frozenset[int], str] = {}
    while queue:
        (state, positions), text = queue.popleft()
        if state == "label":
            fitting = (i for i, machine in enumerate(machines) if positions[i] & machine.end)
            witnesses.setdefault(frozenset(fitting), text)
        for char in alphabet:
            following = grammar[state].get(_class(char))
            if following is None:
                continue
            places = zip(machines, positions, strict=True)
            after = (following, tuple(machine.read(place, char) for machine, place in places))
            if after in seen:
                continue
            if len(seen) >= room:
                return Search(witnesses, complete=False)
            seen.add(after)
            queue.append((after, text + char))
    return Search(witnesses, complete=True)


def _class(char: str) -> str:
    return "a" if char in _WORD else char if char in "-./" else "*"


def _alphabet(patterns: Sequence[str], grammar: Grammar) -> list[str]:
    """The characters that the patterns tell apart, and one that none of them names."""
    used = {char for pattern in patterns for char in pattern if char not in "*?"}
    allowed = frozenset(string.ascii_lowercase + string.digits + "-.") if grammar is HOST else _PATH_CHARACTERS
    other = next((char for char in "xyzvwqjk" + string.ascii_letters + string.digits if char not in used), "")
    structure = {"."} if grammar is HOST else {"/"}
    return [other] * bool(other) + sorted((used | structure) & allowed)
