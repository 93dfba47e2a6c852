"""Writes log lines with fields: readable on a terminal, else as JSON, without secrets and control characters."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from alb_reconcile.journal.mask import Mask

_OWN: Final = "alb_reconcile"
_LOG: Final = logging.getLogger(_OWN)
_about: ContextVar[dict[str, Any]] = ContextVar("about", default={})  # noqa: B039 (it is never changed, only replaced)


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Add these fields to all lines logged within the block, and in tasks started in it, for example the stack and the run."""
    before = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(before)


def tell(event: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event by its name, in snake_case, with fields for what varies."""
    _LOG.log(level, "%s", event, extra={"fields": {**_about.get(), **fields}})


def configure_logs(
    write: Callable[[str], None],
    *,
    terminal: bool,
    mask: Mask,
    verbose: bool = False,
    quiet: bool = False,
    errors: bool = True,
) -> None:
    """Have `write` write all log lines, each without its line end: readable on a terminal, else as JSON.

    `quiet`: warnings and errors only. Without `errors`, no errors of this program, since a report tells them. Lines of libraries are
    written from warnings on. A second call replaces the first. Without a call nothing of this program's is logged.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Lines)]:
        root.removeHandler(handler)
    root.addHandler(_Lines(write, terminal, mask, errors=errors))
    root.setLevel(logging.WARNING)  # below that, HTTP clients write whole URLs
    _LOG.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


class _Lines(logging.Handler):
    def __init__(self, write: Callable[[str], None], terminal: bool, mask: Mask, *, errors: bool) -> None:
        super().__init__()
        self._errors = errors
        self._write, self._terminal, self._mask = write, terminal, mask

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _OWN and record.levelno >= logging.ERROR and not self._errors:
            return
        try:
            line = self._line(record)
        except Exception as error:  # a message that doesn't fit its arguments; logging itself would show them
            line = f"a log line of {record.name} can't be written: {type(error).__name__}"
        self._write(line)

    def _line(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        level, event = record.levelname.lower(), self._mask.line(record.getMessage(), 2000)
        fields = {
            self._mask.line(name, 100): self._mask.field(name, value)
            for name, value in getattr(record, "fields", {}).items()
        }
        if record.name != _OWN:
            fields["logger"] = self._mask.line(record.name, 100)
        if record.exc_info:
            fields["exception"] = self._mask.line(logging.Formatter().formatException(record.exc_info), 8000)
        if self._terminal:
            shown = "".join(f"  {name}={_brief(value)}" for name, value in fields.items())
            told = "" if record.levelno == logging.INFO else f"{level}: "
            return f"{moment:%H:%M:%S}  {told}{event}{shown}"
        time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        own = {"time": time, "level": level, "event": event}
        # in this order for a person who reads along; and no field passes for one of these
        return json.dumps({**own, **fields, **own})


def _brief(value: Any) -> str:
    """A field's value as a reader sees it: quoted only where it has to be."""
    if isinstance(value, str) and value and " " not in value and "=" not in value and '"' not in value:
        return value
    return json.dumps(value, ensure_ascii=False)
