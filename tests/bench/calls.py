"""API calls as the proxy saw them, and what is read off a list of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_READS: Final = ("Describe", "Get", "List")


@dataclass(frozen=True)
class Call:
    """One call: when its last byte arrived at the proxy and when the last byte of its answer left it.

    Both are seconds on CLOCK_MONOTONIC, which all processes of a machine share.
    """

    service: str
    operation: str
    started: float
    ended: float
    status: int

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.operation.startswith(_READS)


def reads(calls: Iterable[Call], service: str = "") -> list[Call]:
    """The calls that only look; of one service, or of all."""
    return [call for call in calls if call.is_read and service in ("", call.service)]


def changes(calls: Iterable[Call]) -> list[Call]:
    """The mutating calls."""
    return [call for call in calls if not call.is_read]


def chain(calls: Iterable[Call]) -> list[Call]:
    """The longest chain of calls that don't overlap: each began after the one before it was answered.

    Its length is the depth in round trips. Greedy by the end is the longest such chain (interval scheduling). Calls
    that could have run together but didn't, because all workers were busy, count as well: the user waits for them.
    """
    found: list[Call] = []
    for call in sorted(calls, key=lambda item: item.ended):
        if not found or call.started >= found[-1].ended:
            found.append(call)
    return found
