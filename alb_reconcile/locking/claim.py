"""What a lease's object says, and what a look at it tells."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from alb_reconcile.locking import terms
from alb_reconcile.spec.document import printable

_VERSION: Final = 1
_LONGEST: Final = 86_400.0


@dataclass(frozen=True)
class Claim:
    """Who holds a lease, or held it last. Times are texts for people, by the holder's clock: none is compared."""

    owner: str
    """Random, of one run."""
    host: str
    user: str
    pid: int
    command: str
    since: str
    seconds: float
    """How long it holds from the moment at which S3 stored it."""
    writes: int
    """Makes each write differ from the one before, and so its ETag, which is a digest of the content."""
    released: str = ""
    broken_by: str = ""

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return (json.dumps({"version": _VERSION, **asdict(self)}) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Claim:
        """The inverse. Raises ValueError, with what is wrong, for whatever we can't have written."""
        try:
            found: Any = json.loads(data)
        except (ValueError, RecursionError):
            raise ValueError("it isn't JSON") from None
        if not isinstance(found, dict) or "version" not in found:
            raise ValueError("it names no version")
        if found.pop("version") != _VERSION:
            raise ValueError("it is of another version of this program")
        wanted = {item.name: item.type for item in fields(cls)}
        if found.keys() != wanted.keys():
            raise ValueError("it has other keys than a lease")
        for name, kind in wanted.items():
            if not _fits(found[name], str(kind)):
                raise ValueError(f"its {name} can't be")
        claim = cls(**found)
        if not 0 <= claim.seconds <= _LONGEST:
            raise ValueError("its seconds can't be")
        return claim

    def is_of(self, owner: str) -> bool:
        """Whether that run holds it still, as far as others let it."""
        return self.owner == owner and not self.released and not self.broken_by

    def render(self) -> str:
        """As in `alb-reconcile apply (user ops on web-1, process 4711) since 2026-11-24T03:00:00Z`."""
        who = f"user {_short(self.user)} on {_short(self.host)}, process {self.pid}"
        return f"alb-reconcile {_short(self.command)} ({who}) since {_short(self.since)}"

    def broken(self) -> str:
        """Who broke it."""
        return _short(self.broken_by)


def _fits(value: object, kind: str) -> bool:
    if kind == "str":
        return isinstance(value, str)
    return isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)


def _short(text: str) -> str:
    return printable(text[:120])


@dataclass(frozen=True)
class Sighting:
    """A claim as S3 gave it: its ETag, and times by S3's own clock."""

    claim: Claim
    etag: str
    modified: datetime | None
    """When S3 stored it."""
    asked: datetime | None
    """When S3 answered us."""

    @property
    def free_in(self) -> float:
        """Seconds until others may take it; 0 if they may now. Without times it may never be taken before it is released."""
        if self.claim.released:
            return 0.0
        if self.modified is None or self.asked is None:
            return self.claim.seconds + terms.MARGIN
        age = (self.asked - self.modified).total_seconds()
        return max(0.0, self.claim.seconds + terms.MARGIN - age)

    @property
    def good_until(self) -> str:
        """Until when it holds unless it is renewed, by S3's clock."""
        if self.modified is None:
            return "a time that S3 doesn't tell"
        moment = self.modified.astimezone(UTC) + timedelta(seconds=self.claim.seconds + terms.MARGIN)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def state(self) -> str:
        """free, broken (and not yet free), held or expired."""
        if self.claim.released:
            return "free"
        if self.free_in <= 0:
            return "free" if self.claim.broken_by else "expired"
        return "broken" if self.claim.broken_by else "held"
