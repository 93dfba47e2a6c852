"""The record that a lease's object in S3 holds, and what can be told from reading it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec

from alb_reconcile.locking import durations
from alb_reconcile.model.host import iso
from alb_reconcile.model.text import printable

_VERSION: Final = 1


class LeaseRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="version", tag=_VERSION):
    """The run that holds a lease, or held it last. Times are texts for people, by the holder's clock: they are never compared."""

    owner: str
    """A random text of one run."""
    host: str
    user: str
    pid: int
    command: str
    since: str
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)]
    """How long the lease holds from the moment at which S3 stored it."""
    writes: int
    """Makes each write differ from the one before, and so its ETag, which is a digest of the content."""
    released: str = ""
    broken_by: str = ""

    def to_bytes(self) -> bytes:
        """The record as it is stored: JSON."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> LeaseRecord:
        """The record that these bytes hold. Raises ValueError, with what is wrong on one line, for anything that this program can't have
        written."""
        try:
            if _HEADER.decode(data).version != _VERSION:
                raise ValueError("it was written by another version of this program")
            return _RECORD.decode(data)
        except msgspec.ValidationError as error:
            raise ValueError(printable(str(error))) from None
        except (msgspec.DecodeError, RecursionError):
            raise ValueError("it isn't JSON") from None

    def is_of(self, owner: str) -> bool:
        """Whether that run still holds the lease, as far as others let it."""
        return self.owner == owner and not self.released and not self.broken_by

    def render(self) -> str:
        """The run in words, as in `alb-reconcile apply (user ops on web-1, process 4711) since 2026-11-24T03:00:00Z`."""
        who = f"user {_short(self.user)} on {_short(self.host)}, process {self.pid}"
        return f"alb-reconcile {_short(self.command)} ({who}) since {_short(self.since)}"

    def is_dead(self) -> bool:
        """Whether the record names a process of this host that isn't there any more. False for other hosts, since their processes
        aren't known."""
        if self.host != printable(socket.gethostname()) or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)  # only asks
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            return False
        return False

    def broken(self) -> str:
        """The user and host that broke the lease, and when."""
        return _short(self.broken_by)


class _Header(msgspec.Struct):
    version: int


_HEADER: Final = msgspec.json.Decoder(_Header)
_RECORD: Final = msgspec.json.Decoder(LeaseRecord)


def _short(text: str) -> str:
    return printable(text[:120])


@dataclass(frozen=True)
class ObservedLease:
    """A lease as S3 gave it: its record, its ETag, and times by S3's own clock."""

    record: LeaseRecord
    etag: str
    modified: datetime | None
    """When S3 stored the lease."""
    asked: datetime | None
    """When S3 answered."""

    @property
    def free_in(self) -> float:
        """Seconds until others may take the lease; 0 if they may now. Without times it may never be taken before it is released."""
        if self.record.released:
            return 0.0
        return max(0.0, self.record.seconds + durations.MARGIN - (self._age or 0.0))

    @property
    def _age(self) -> float | None:
        """Seconds since the lease was renewed; None if S3 doesn't tell."""
        return None if self.modified is None or self.asked is None else (self.asked - self.modified).total_seconds()

    @property
    def renewed(self) -> str:
        """How long ago the lease was renewed, from which a reader sees whether its run lives."""
        every = f"a run that lives renews it every {durations.RENEW_INTERVAL:.0f} s"
        return every if self._age is None else f"last renewed {self._age:.0f} s ago ({every})"

    @property
    def good_until(self) -> str:
        """Until when the lease holds unless it is renewed, by S3's clock."""
        if self.modified is None:
            return "a time that S3 doesn't tell"
        return iso(self.modified.timestamp() + self.record.seconds + durations.MARGIN)

    @property
    def state(self) -> str:
        """The lease's state: free, broken (and not yet free), held or expired."""
        if self.record.released:
            return "free"
        if self.free_in <= 0:
            return "free" if self.record.broken_by else "expired"
        return "broken" if self.record.broken_by else "held"
