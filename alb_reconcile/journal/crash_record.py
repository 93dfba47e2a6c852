"""Keeps the record of a run under way on disk, with what became of its steps, so that a run that is killed leaves a record."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from alb_reconcile.journal.record import RunRecord, StepRecord
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.files import open_file

ENDING: Final = ".begun"
KILLED: Final = "Killed"
"""The code of a run that was killed."""
_TEXT: Final = "it was killed, or its host went down, before it could record how it ended"
_LONGEST: Final = 16 * 1024 * 1024
"""Bytes of one run's record: ten thousand steps have less."""


class Begun:
    """A run under way, in a file that the process has locked. The kernel releases the lock with the process: a file without a lock is
    of a run that was killed."""

    def __init__(self, history: Path, record: RunRecord) -> None:
        """`history` is the file to which the record is written at the end. Raises OSError."""
        history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = history.with_name(f"{history.stem}.{record.run}{ENDING}")
        self._number = open_file(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(record.to_json())
        except OSError:
            self.end()  # without its lock the file would be taken for that of a killed run
            raise

    def note(self, step: Mapping[str, object]) -> None:
        """Note that a step has started, or how it ended: some fields of the step's record, and `at`, the time. Never raises for what
        can't be written."""
        with suppress(OSError):
            self._write(json.dumps(step, separators=(",", ":")))

    def _write(self, line: str) -> None:
        os.write(self._number, line.encode() + b"\n")

    def end(self) -> None:
        """Remove the file: the run's own record is complete."""
        with suppress(OSError):
            self._file.unlink()
        os.close(self._number)


def history_of(file: Path) -> str:
    """The name, without its ending, of the history that a begun run's file belongs to."""
    return file.name.partition(".")[0]


def read_killed(files: Iterable[Path]) -> Iterator[tuple[Path, RunRecord | None]]:
    """The files of begun runs that were killed, each with the run's record; None for a file that can't be read."""
    for file in files:
        try:
            with os.fdopen(open_file(file, os.O_RDONLY), "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                data = stream.read(_LONGEST)
        except OSError:
            continue  # the run is under way, or has ended meanwhile
        try:
            yield file, _record(data)
        except (ValueError, KeyError, TypeError, AttributeError):
            yield file, None


def _record(data: bytes) -> RunRecord:
    first, *rest = data.split(b"\n")
    record = RunRecord.from_json(first)
    steps = {step.key: step for step in record.steps}
    ended = record.ended
    for line in rest[:-1]:  # a line that was cut off by the kill has no line end
        note = json.loads(line)
        ended = str(note.pop("at"))
        key = str(note["key"])
        steps[key] = replace(steps.get(key, StepRecord(key, "")), **note)
    began, last = datetime.fromisoformat(record.started), datetime.fromisoformat(ended)
    undone = (replace(step, how="skipped") if step.how == "planned" else step for step in steps.values())
    found = replace(
        record, steps=tuple(undone), ended=ended, seconds=(last - began).total_seconds(), result="interrupted",
        exit_code=int(ExitCode.INTERRUPTED), code=KILLED, error=_TEXT,
    )  # fmt: skip
    return RunRecord.from_json(found.to_json())
