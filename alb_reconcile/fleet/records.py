"""Keeps results in a folder or in S3; `fleet status`, `fleet report` and `fleet resume` read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from alb_reconcile.api.session import Session, connect, default_region
from alb_reconcile.fleet.cells import Cell, Fleet
from alb_reconcile.fleet.results import CellResult, check_moments
from alb_reconcile.journal.files import RecordError, only_writer, replace_file
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.files import read_file

VERSION: Final = 1
_LARGEST: Final = 1024 * 1024
_AT_ONCE: Final = 8
_OPERATION: Final = "operation.json"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Operation:
    """The progress of an `apply` over the fleet. `fleet resume` continues from it; what is done, AWS itself says.

    `cells`: the status of cells that have one, by key. `wave`: the current wave, or the wave at which it stopped. `digests`: digests of
    what the specs wanted, by cell; a resumed operation needs the same digests, or no canary would have seen the specs.
    """

    operation: str
    fleet: str
    command: str
    started: str
    ended: str = ""
    status: Literal["running", "succeeded", "stopped", "interrupted"] = "running"
    wave: str = ""
    reason: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    version: int = VERSION


def _operation(data: bytes) -> Operation:
    """The operation in a record. Raises ValueError for any other data."""
    found = msgspec.json.decode(data, type=Operation)
    check_moments(found.started, *filter(None, [found.ended]))
    return found


class Store(Protocol):
    """Small objects by name. All its methods raise RecordError."""

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, data: bytes) -> None: ...


@dataclass(frozen=True)
class Records:
    """A fleet's results. All methods may wait for a disk or for S3: call them in a thread."""

    store: Store

    @classmethod
    def of(cls, fleet: Fleet, session: Session, folder: Path) -> Records:
        """The records at the place that the fleet's file names; by default in `folder`, where runs are recorded. Sends no request yet."""
        if fleet.results.startswith("s3://"):
            bucket, _, prefix = fleet.results.removeprefix("s3://").rstrip("/").partition("/")
            region = default_region(session) or fleet.cells[0].region
            return cls(
                _Bucket(lambda: connect(session, region).transport, bucket, f"{prefix}/{fleet.name}".lstrip("/"))
            )
        place = Path(fleet.file).parent / fleet.results if fleet.results else folder / "fleet"
        return cls(_Folder(place / fleet.name))

    def write(self, result: CellResult) -> CellResult:
        """Replace a cell's last result, keeping what the last one says of the time before. Returns the result as kept. Raises
        RecordError."""
        name = _name_of(result.account, result.region)
        try:
            earlier = self._cell(name)
        except RecordError:  # a damaged record is replaced
            earlier = None
        merged = result.after(earlier)
        self.store.write(name, merged.to_json())
        return merged

    def read(self, cell: Cell) -> CellResult | None:
        """A cell's last result. Raises RecordError for a result that can't be read."""
        return self._cell(_name_of(cell.account, cell.region))

    def read_all(self, cells: Iterable[Cell]) -> tuple[dict[str, CellResult], list[str]]:
        """The last results of cells by their keys, and messages about results that can't be read."""
        found: dict[str, CellResult] = {}
        problems: list[str] = []

        def look(cell: Cell) -> tuple[Cell, CellResult | RecordError | None]:
            try:
                return cell, self.read(cell)
            except RecordError as error:
                return cell, error

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for cell, result in pool.map(look, cells):
                if isinstance(result, RecordError):
                    problems.append(f"{cell}: {result}")
                elif result is not None:
                    found[cell.key] = result
        return found, problems

    def write_operation(self, operation: Operation) -> None:
        """Write the operation. Raises RecordError."""
        self.store.write(_OPERATION, msgspec.json.encode(operation))

    def read_operation(self) -> Operation | None:
        """The last operation. Raises RecordError."""
        return self._parsed(_OPERATION, _operation)

    def _cell(self, name: str) -> CellResult | None:
        return self._parsed(name, CellResult.from_json)

    def _parsed(self, name: str, parse: Callable[[bytes], _T]) -> _T | None:
        data = self.store.read(name)
        if data is None:
            return None
        try:
            return parse(data)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{self.store}/{name} isn't a record of this program: {error}; delete it") from None


def _name_of(account: str, region: str) -> str:
    return f"cells/{account}_{region}.json"


@dataclass(frozen=True)
class _Folder:
    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def read(self, name: str) -> bytes | None:
        file = self.folder / name
        try:
            return read_file(file, _LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(f"{file} can't be read: {(error.strerror or str(error)).lower()}") from None

    def write(self, name: str, data: bytes) -> None:
        file = self.folder / name
        with only_writer(file):
            replace_file(file, data)


@dataclass(frozen=True)
class _Bucket:
    """Objects in S3 (GetObject, PutObject), without versions and conditions: only the run that holds a cell writes its result, and the
    result after a bake is the newest anyway."""

    transport: Callable[[], Callable[..., dict[str, Any]]]
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def read(self, name: str) -> bytes | None:
        try:
            found: bytes = self._ask("get_object", name)["Body"]
        except AwsError as error:
            if error.code in ("NoSuchKey", "404"):
                return None
            raise self._unusable("read", name, error) from None
        except ReconcileError as error:
            raise self._unusable("read", name, error) from None
        return found

    def write(self, name: str, data: bytes) -> None:
        try:
            self._ask("put_object", name, Body=data, ContentType="application/json")
        except ReconcileError as error:
            raise self._unusable("written", name, error) from None

    def _ask(self, operation: str, name: str, **params: Any) -> dict[str, Any]:
        return self.transport()("s3", operation, {"Bucket": self.bucket, "Key": f"{self.prefix}/{name}", **params})

    def _unusable(self, how: str, name: str, error: ReconcileError) -> RecordError:
        return RecordError(f"{self}/{name} can't be {how}: {error}")
