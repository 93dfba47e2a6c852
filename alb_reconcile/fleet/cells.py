"""A fleet as values: its waves, its cells (an account in a region), and the message by which a cell is handed to a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from alb_reconcile.aws.endpoint import without_passwords
from alb_reconcile.aws.role import Role
from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.text import printable

VERSION: Final = 1
"""The version of messages."""
LARGEST: Final = 4096
"""The most bytes of a message."""


@dataclass(frozen=True)
class Source:
    """Where specs are: `path` in the fleet's own folder, below an `s3` place, or in a `git` repository at `ref`."""

    path: str
    s3: str = ""
    git: str = ""
    ref: str = ""

    @property
    def repository(self) -> str:
        """The repository and its ref as they may be shown: without the login."""
        shown = without_passwords(self.git) if self.git.startswith("https://") else self.git
        return f"{shown}{'@' * bool(self.ref)}{self.ref}"

    def __str__(self) -> str:
        if self.git:
            return f"{self.repository}{':' * bool(self.path)}{self.path}"
        return self.s3 or self.path


@dataclass(frozen=True)
class Tolerance:
    """How many cells may fail: a number, or a share in percent."""

    count: int = 0
    percentage: int | None = None

    def allowed(self, total: int) -> int:
        """How many of `total` cells may fail. A share is rounded down, as in StackSets."""
        return self.count if self.percentage is None else self.percentage * total // 100


@dataclass(frozen=True)
class Wave:
    """Cells that are changed together. `bake`: seconds until they are looked at again, before the next wave begins."""

    name: str
    bake: int = 0
    max_concurrent: int = 8
    failure_tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True)
class Cell:
    """One account in one region: it has API limits of its own, and so is the unit of work.

    `regions` are all regions of the account. `schedule`: seconds from one look to the next; None where the fleet's file has none.
    `place`: the line and column of its account in the fleet's file.
    """

    fleet: str
    account: str
    region: str
    wave: str
    sources: tuple[Source, ...]
    folder: Path
    name: str = ""
    role: Role | None = None
    owner: str = ""
    schedule: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    place: tuple[int, int] = (1, 1)

    @property
    def key(self) -> str:
        """The cell's unique name, as in `111111111111/eu-central-1`."""
        return f"{self.account}/{self.region}"

    def __str__(self) -> str:
        return f"{self.name or self.account}/{self.region}"

    def to_message(self) -> bytes:
        """The message that a queue carries: the cell and its fleet. What to do there, the worker's own fleet file says."""
        return msgspec.json.encode(_Message(VERSION, self.fleet, self.account, self.region, self.wave))


class MessageError(ReconcileError):
    """A message that isn't one of this fleet's. Such a message is refused, and never acted upon."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    fleet: str
    account: str
    region: str
    wave: str


@dataclass(frozen=True)
class Fleet:
    """The content of a fleet's file. `results`: a folder, or a place in S3; empty for the default folder."""

    name: str
    file: str
    cells: tuple[Cell, ...]
    waves: tuple[Wave, ...]
    results: str = ""
    max_concurrent: int = 8
    sequential_regions: bool = False

    @property
    def accounts(self) -> tuple[str, ...]:
        """The fleet's accounts, each once."""
        return tuple(dict.fromkeys(cell.account for cell in self.cells))

    def in_waves(self) -> Iterator[tuple[Wave, tuple[Cell, ...]]]:
        """Each wave that has cells, with its cells."""
        for wave in self.waves:
            if cells := tuple(cell for cell in self.cells if cell.wave == wave.name):
                yield wave, cells

    def cell_of(self, message: bytes | str) -> Cell:
        """The cell that a message names. Raises MessageError for a cell that this fleet's file doesn't have."""
        found = _read(message)
        if found.fleet != self.name:
            raise MessageError(
                f"the message is for another fleet, {_quoted(found.fleet)}, and {self.file} is {self.name}"
            )
        for cell in self.cells:
            if (cell.account, cell.region) == (found.account, found.region):
                if cell.wave != found.wave:
                    break
                return cell
        what = f"{_quoted(found.account)} in {_quoted(found.region)}, wave {_quoted(found.wave)}"
        raise MessageError(f"the message names a cell that {self.file} doesn't have: {what}")


def _read(message: bytes | str) -> _Message:
    data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
    if len(data) > LARGEST:
        raise MessageError(f"the message has {len(data):,} bytes; a cell's has {LARGEST:,} at most")
    try:
        version = msgspec.json.decode(data, type=_Version).version
        if version != VERSION:
            raise MessageError(
                f"the message has version {version}, and this program reads {VERSION}; run the same version everywhere"
            )
        return msgspec.json.decode(data, type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"the message isn't a cell's: {printable(str(error))[:200]}") from None


class _Version(msgspec.Struct):
    version: int


def _quoted(text: str) -> str:
    return f'"{printable(text[:60])}"'
