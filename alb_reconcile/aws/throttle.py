"""Paces the tool's own calls: takes a share of AWS's documented token buckets, and a smaller share for a while after AWS throttles.

Other programs empty the same buckets, and AWS doesn't show how full a bucket is. So a bucket's share is found as TCP finds its share of
a line, by additive increase and multiplicative decrease: a refusal halves the share, then the share grows steadily, by half of AWS's
figures in 100 s. Several programs that do so get similar shares, at the price of a refusal a minute.

A throttle may take a smaller share of what a bucket holds at the beginning than of what AWS refills. At the whole refill the bucket's level stays
where it is: what the first calls leave in it stays there for other programs.
"""

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.aws.buckets import Bucket, buckets_of
from alb_reconcile.model.errors import THROTTLED
from alb_reconcile.model.text import camel

CLIMB: Final = 0.005  # part of AWS's figures by which a share grows in a second
LEAST: Final = 0.05  # a run that sends nothing can't find out that the bucket has filled up
# called for each attempt of this thread's call that AWS throttles
ON_THROTTLING: Final[ContextVar[Callable[[], None]]] = ContextVar("on_throttling", default=lambda: None)


@dataclass(frozen=True)
class Throttled:
    """How often AWS has throttled an operation, and when last (ISO 8601, UTC)."""

    count: int
    last: str


class _Level:
    """The tokens that were taken from a bucket, and those that may be taken; both count from the beginning."""

    def __init__(self, bucket: Bucket, share: float, most_at_once: float, now: float) -> None:
        self.bucket, self.asked, self.share, self.since = bucket, share, share, now
        self.most_at_once = most_at_once
        self.taken, self.given, self.halved = 0.0, self.burst(), float("-inf")

    def burst(self) -> float:
        """The tokens that may be taken at once. A second's tokens stay, as calls overtake each other, and AWS refills by the second."""
        return min(self.bucket.size * min(self.share, self.most_at_once), self.bucket.size - self.bucket.refill)

    def advance(self, now: float) -> None:
        passed, before, self.since = now - self.since, self.share, now
        self.share = min(self.asked, before + CLIMB * passed)
        self.given += passed * self.bucket.refill * (before + self.share) / 2
        self.given = min(self.given, self.taken + self.burst())


Places = list[tuple[_Level, float]]  # a call's turn at each of its buckets: once so many tokens have been given


class Throttle:
    """The token buckets of one account and region, for this whole process. Moments are seconds from any start. `share` is the part of AWS's
    refill that is taken, and of what a bucket holds; of the latter no more than `at_once`."""

    def __init__(self, share: float = 1.0, at_once: float = 1.0) -> None:
        self._share, self._at_once, self._lock = share, at_once, threading.Lock()
        self._levels: dict[tuple[str, str], _Level] = {}

    def reserve(self, service: str, operation: str, params: Callable[[], Mapping[str, Any]], now: float) -> Places:
        """A call's place in each queue. A call for more tokens than a bucket's share waits for the whole share, later calls longer."""
        places: Places = []
        with self._lock:
            for name, bucket, tokens in buckets_of(service, camel(operation), params):
                level = self._levels.setdefault((service, name), _Level(bucket, self._share, self._at_once, now))
                level.advance(now)
                places.append((level, level.taken + min(tokens, level.burst())))
                level.taken += tokens
        return places

    def delay(self, places: Places, now: float) -> float:
        """Seconds after which to check again whether it is the call's turn; 0 if it is."""
        longest = 0.0
        with self._lock:
            for level, turn in places:
                level.advance(now)
                longest = max(longest, (turn - level.given) / (level.bucket.refill * level.share))
        return min(longest, 5.0) if longest > 1e-6 else 0.0  # shares change meanwhile; clocks have no finer ticks

    def slow_down(self, places: Places, sent: float, now: float) -> None:
        """Halve shares because AWS has throttled a call sent at a moment; calls under way at the last halving don't count again."""
        with self._lock:
            for level, _ in places:
                level.advance(now)
                level.given = min(level.given, level.taken)
                if sent > level.halved:
                    level.share, level.halved = max(level.share / 2, LEAST), now


def note_throttling(*, parsed_response: Mapping[str, Any] | None, **_: Any) -> None:
    """Call the listener if this attempt was throttled (botocore's event response-received): botocore repeats most attempts itself."""
    if parsed_response and parsed_response.get("Error", {}).get("Code") in THROTTLED:
        ON_THROTTLING.get()()
