"""Sends the lines that applications write to CloudWatch Logs, as the agent on an instance does."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

Event = tuple[int, str]
"""The time of a line in milliseconds since 1970, and the line."""
Put = Callable[[str, str, Sequence[Event]], str]
"""Puts events of an instance into a log group. Returns why CloudWatch Logs refuses them; empty if it takes them."""
_MOST: Final = 10_000
"""How many lines of an instance wait while they are refused, before the oldest ones are lost."""


class LogEvents:
    """The lines that CloudWatch Logs hasn't taken yet, by instance and log group. Only one thread may use it."""

    def __init__(self, put: Put, clock: Callable[[], float] = time.time) -> None:
        self._put, self._clock = put, clock
        self._waiting: dict[tuple[str, str], deque[Event]] = {}
        self._refusals: dict[str, str] = {}

    def take(self, lines: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        """Add lines that were written just now, by instance, with the log group that they are for."""
        now = round(self._clock() * 1000)
        for instance_id, (group, texts) in lines.items():
            waiting = self._waiting.setdefault((instance_id, group), deque(maxlen=_MOST))
            waiting.extend((now, text) for text in texts)

    def send(self, instances: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Send the lines of these instances, and forget those of others. Yields each refusal once, by instance."""
        known = set(instances)
        for instance_id, group in [*self._waiting]:
            waiting = self._waiting.pop((instance_id, group))
            if instance_id not in known:
                self._refusals.pop(instance_id, None)
                continue
            why = self._put(instance_id, group, tuple(waiting))
            if why:
                self._waiting[instance_id, group] = waiting
            if why and why != self._refusals.get(instance_id):
                yield instance_id, why
            self._refusals[instance_id] = why
