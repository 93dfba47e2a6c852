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
"""The code of such a run."""
_TEXT: Final = "it was killed, or its host went down, before it could record how it ended"
_LONGEST: Final = 16 * 1024 * 1024
"""Bytes of one run: ten thousand steps have less."""


class Begun:
    """A run that is under way. The kernel lets go of its file's lock with the process: a file without is of a run that was killed."""

    def __init__(self, history: Path, record: RunRecord) -> None:
        """`history` is the file to which the record is written in the end. Raises OSError."""
        history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = history.with_name(f"{history.stem}.{record.run}{ENDING}")
        self._number = open_file(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(record.to_json())
        except OSError:
            self.end()  # without its lock it would be taken for one that was killed
            raise

    def note(self, step: Mapping[str, object]) -> None:
        """That a step has started, or how it ended: some fields of its record, and `at`, the time. What can't be written isn't missed before a kill."""
        with suppress(OSError):
            self._write(json.dumps(step, separators=(",", ":")))

    def _write(self, line: str) -> None:
        os.write(self._number, line.encode() + b"\n")

    def end(self) -> None:
        """The run's own record says all, if anything can."""
        with suppress(OSError):
            self._file.unlink()
        os.close(self._number)


def history_of(file: Path) -> str:
    """The name of the history, without its ending, that a begun run belongs to."""
    return file.name.partition(".")[0]


def read_killed(files: Iterable[Path]) -> Iterator[tuple[Path, RunRecord | None]]:
    """The runs that were killed, of those that have begun; None for what can't be read."""
    for file in files:
        try:
            with os.fdopen(open_file(file, os.O_RDONLY), "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                data = stream.read(_LONGEST)
        except OSError:
            continue  # it is under way, or has ended meanwhile
        try:
            yield file, _record(data)
        except (ValueError, KeyError, TypeError, AttributeError):
            yield file, None


def _record(data: bytes) -> RunRecord:
    first, *rest = data.split(b"\n")
    record = RunRecord.from_json(first)
    steps = {step.key: step for step in record.steps}
    ended = record.ended
    for line in rest[:-1]:  # a line that the kill has torn has no end
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
