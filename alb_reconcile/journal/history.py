"""Keeps the history of stacks: one line of JSON for each run, in one file for each account, region and stack."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO, Final

from alb_reconcile.journal.crash_record import ENDING, history_of, read_killed
from alb_reconcile.journal.files import RecordError, only_writer, replace_file, safe_name, unwritable
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.model.files import open_file
from alb_reconcile.model.host import iso
from alb_reconcile.model.machine import remedy
from alb_reconcile.model.text import printable

_ENDING: Final = ".jsonl"
_BLOCK: Final = 64 * 1024
"""Bytes of a history that are in memory at a time; so many for each run that ends at the same moment."""
_LONGEST: Final = 128 * _BLOCK
"""Bytes of one run's record: ten thousand steps have less."""
_RECENT: Final = 20
_MOST: Final = 4096 * _BLOCK
"""Bytes of a history, from its end, that are read: more than 2,000 runs of a large stack have."""


@dataclass(frozen=True)
class Retention:
    """Which runs are kept: the newest `runs`, none older than `days`; but the newest `least` at any age.

    The newest `least` outlive a clock that jumps ahead, and a stack without runs for a long time.
    """

    runs: int = 2000
    days: int = 90
    least: int = 50


@dataclass(frozen=True)
class History:
    """Runs, the newest first, and how many lines among them couldn't be read (a writer was killed, or a person edited the file)."""

    runs: tuple[RunRecord, ...]
    unreadable: int = 0


def history_file(folder: Path, record: RunRecord) -> Path:
    """The file with the history of a run's stack. `folder` is the state folder."""
    parts = [record.account or "unknown", record.region, record.stack, *([record.place] if record.place else [])]
    return folder / "history" / ("_".join(map(safe_name, parts)) + _ENDING)


def write_history(record: RunRecord, folder: Path, retention: Retention | None = None) -> None:
    """Append a run, whole or not at all, and drop runs that needn't be kept any longer.

    Raises RecordError if that can't be done, for example on a full disk; what was there is still there.
    """
    file = history_file(folder, record)
    with only_writer(file):
        try:
            _take_over_killed(file)
            _append(file, record.to_json().encode() + b"\n")
        except OSError as error:
            raise unwritable(file, error) from None
        _drop_old(file, retention or Retention())


def _take_over_killed(file: Path) -> None:
    """Append the records of runs that were killed since the history was last written."""
    begun = [item for item in _listed(file.parent, ENDING) if history_of(item) == file.stem]
    for item, record in read_killed(begun):
        if record is not None and not _has(file, record.run):
            _append(file, record.to_json().encode() + b"\n")
        item.unlink(missing_ok=True)


def _has(file: Path, run: str) -> bool:
    """Whether a run is among the last ones recorded: for example, it was killed after its end was recorded, before its own end."""
    try:
        return any(record is not None and record.run == run for record in islice(_read(file), _RECENT))
    except RecordError:
        return False


def _append(file: Path, line: bytes) -> None:
    number = open_file(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(number).st_size
        if size and os.pread(number, 1, size - 1) != b"\n":
            line = b"\n" + line  # a writer was killed in the middle of its line; the new record gets a line of its own
        try:
            while line:
                line = line[os.write(number, line) :]
            os.fsync(number)
        except OSError:
            os.ftruncate(number, size)
            raise
    finally:
        os.close(number)


def _drop_old(file: Path, retention: Retention) -> None:
    oldest = iso(time.time() - retention.days * 86_400)
    try:
        with _opened(file) as stream:
            starts, line = [], b""
            for start, line in _backwards(stream):  # noqa: B007 (the last one is the first of the file)
                starts.append(start)
            # a tenth more may stay, so that not each run writes the whole file again
            crowded = len(starts) > retention.runs + retention.runs // 10 or (starts and starts[-1])
            if crowded or (len(starts) > retention.least and not _is_kept(line, oldest)):
                kept = [
                    start for number, (start, line) in enumerate(islice(_backwards(stream), retention.runs))
                    if number < retention.least or _is_kept(line, oldest)
                ]  # fmt: skip
                replace_file(file, _lines(stream, reversed(kept)))
    except OSError as error:
        raise unwritable(file, error) from None


def _lines(stream: BinaryIO, starts: Iterable[int]) -> Iterator[bytes]:
    for start in starts:
        stream.seek(start)
        if len(line := stream.readline(_LONGEST + 1)) <= _LONGEST:
            yield line


def _is_kept(line: bytes, oldest: str) -> bool:
    with suppress(ValueError):
        return RunRecord.from_json(line).ended >= oldest
    return False


def read_history(
    folder: Path,
    stack: str,
    region: str | None = None,
    *,
    account: str | None = None,
    place: str | None = None,
    limit: int | None = None,
    successful: bool = False,
) -> History:
    """The runs over a stack, the newest first; None stands for any region, account or place. Not more than `limit` runs are returned;
    with `successful` only successful ones.

    Asks AWS nothing. Raises RecordError if there is a history that can't be read.
    """
    found: list[RunRecord] = []
    unreadable = 0

    def is_wanted(record: RunRecord) -> bool:
        return (
            record.stack == stack
            and region in (None, record.region)
            and account in (None, record.account)
            and place in (None, record.place)
            and (record.is_success or not successful)
        )

    for file in _files(folder / "history", stack, region, _ENDING):
        matching = 0
        for record in _read(file):
            if record is None:
                unreadable += 1
            elif is_wanted(record):
                found.append(record)
                matching += 1
                if matching == limit:
                    break
    known = {record.run for record in found}
    for _, record in read_killed(_files(folder / "history", stack, region, ENDING)):
        if record is None:
            unreadable += 1
        elif is_wanted(record) and record.run not in known:
            found.append(record)
    found.sort(key=lambda record: record.started, reverse=True)  # stable: runs of one second stay in their order
    return History(tuple(found[:limit]), unreadable)


def runs_of(folder: Path, record: RunRecord) -> Iterator[RunRecord]:
    """The runs over a record's stack in its account and region, the newest first, each read when it is asked for. Raises RecordError."""
    file = history_file(folder, record)
    return filter(None, _read(file) if file.exists() else ())


def last_runs_of(folder: Path, file: str) -> list[RunRecord]:
    """The newest run of each stack that was last run from a spec file and wasn't destroyed, the newest first. Raises RecordError."""
    path = os.path.realpath(file)
    newest = (next(filter(None, _read(item)), None) for item in _listed(folder / "history", _ENDING))
    found = [
        item for item in newest
        if item and item.spec_file and not item.is_gone
        and os.path.realpath(Path(item.spec_folder, item.spec_file)) == path
    ]  # fmt: skip
    return sorted(found, key=lambda record: record.started, reverse=True)


def describe_elsewhere(folder: Path, stack: str, region: str, account: str, place: str) -> str:
    """A sentence on where a stack without resources here was changed last; empty if it was here, or nowhere. Raises RecordError."""
    newest = [
        last
        for file in _files(folder / "history", stack, None, _ENDING)
        if (last := next((item for item in _read(file) if item and item.having(how="done")), None))
        and (last.stack, last.place) == (stack, place)
    ]
    here = any((item.region, item.account) == (region, account) for item in newest)
    last = max((item for item in newest if not item.is_gone), key=lambda item: item.started, default=None)
    if last is None or here:
        return ""
    ask = "is this the right region?" if last.region != region else "are these the right credentials?"
    when = f"its last run on this host that changed something, {last.started.replace('T', ' ')},"
    return printable(f"{when} was in {last.region}, account {last.account}: {ask}")


def _files(folder: Path, stack: str, region: str | None, ending: str) -> list[Path]:
    wanted = [safe_name(region) if region else None, safe_name(stack)]
    files = []
    for file in _listed(folder, ending):
        parts = history_of(file).split("_")
        if len(parts) in (3, 4) and wanted in (parts[1:3], [None, parts[2]]):
            files.append(file)
    return files


def _listed(folder: Path, ending: str) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(ending)]  # noqa: PTH208 (Path.iterdir gives no plain names)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None


def _read(file: Path) -> Iterator[RunRecord | None]:
    """Each line's record, the last line first; None for a line that can't be read."""
    try:
        with _opened(file) as stream:
            for _, line in _backwards(stream):
                try:
                    yield RunRecord.from_json(line)
                except ValueError:
                    yield None
    except OSError as error:
        raise _unreadable(file, error) from None


def _opened(file: Path) -> BinaryIO:
    return os.fdopen(open_file(file, os.O_RDONLY), "rb")


def _backwards(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The start and text of each line, the last line first, of the lines in the last `_MOST` bytes. A line longer than any record ends
    in a byte that no record has."""
    position = stream.seek(0, os.SEEK_END)
    first = max(position - _MOST, 0)
    rest, is_lost = b"", False
    while position > first:
        size = min(_BLOCK, position - first)
        position -= size
        stream.seek(position)
        lines = (stream.read(size) + rest).split(b"\n")
        starts = accumulate((len(line) + 1 for line in lines[:-1]), initial=position)
        for start, line in reversed([*zip(starts, lines, strict=True)][1:]):
            if line.strip():
                yield start, line
        is_lost = len(lines) == 1 and (is_lost or len(lines[0]) > _LONGEST)
        rest = b"\0" if is_lost else lines[0]
    if rest.strip():
        yield position, rest


def _unreadable(place: Path, error: OSError) -> RecordError:
    reason = (error.strerror or str(error)).lower()
    return RecordError(f"the history in {place} can't be read: {reason}; {remedy(error, 'give this user read access')}")
