"""Writes to standard output and standard error, and carries on when the reader has gone."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Final

from alb_reconcile.cli.render.style import CODES, Style
from alb_reconcile.model.advice import reach_with
from alb_reconcile.model.secrets import hide, hide_document, unmark

_OBEYED: Final = re.compile(
    rf"(\x1b\[(?:{'|'.join(sorted(CODES))})m)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""Control characters that a terminal obeys, and the colours of `Style`, which are kept."""


def open_closed() -> None:
    """Open the null device in place of each standard stream that this process was started without."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDONLY), mode))  # noqa: PTH123, SIM115 (a descriptor, not a path; it stays open)


def emit(text: str) -> None:
    """Write a line to standard output. A reader that has left (`| head -1`) doesn't disturb a run."""
    _write(sys.stderr if _diverted else sys.stdout, hide(text) + "\n")


def emit_document(text: str) -> None:
    """Write a document for programs to standard output, even if other output is diverted."""
    emit_as_it_is(hide_document(text))


def emit_as_it_is(text: str) -> None:
    """Write a document without hiding secrets: for output that is made to be used, such as a policy."""
    _write(sys.stdout, text + "\n")
    _documents.append(None)


def divert() -> None:
    """From now on write text for people to standard error: standard output is for programs."""
    _diverted.append(None)


def is_diverted() -> bool:
    """Whether standard output is for programs."""
    return bool(_diverted)


def has_document() -> bool:
    """Whether this process has written a document for programs."""
    return bool(_documents)


def complain(text: str) -> None:
    """Write a line to standard error, on a terminal broken between words."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    _write(sys.stderr, Style(colored=False, width=width).fit(hide(text)) + "\n")


def draw(text: str) -> None:
    """Write text with control sequences to the terminal. The text is this program's own, or was escaped."""
    _put(sys.stdout, text)


def draw_above(write: Callable[[str], None] | None) -> None:
    """Have `write` write lines to the terminal from now on, above a footer; None: this module writes them again."""
    _screen.clear()
    if write is not None:
        _screen.append(write)


def is_one_place() -> bool:
    """Whether standard output and error are the same file, pipe or terminal."""
    with suppress(OSError, ValueError):  # a stream needn't be an open file
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return False


def finish(code: int) -> int:
    """Flush both streams. Returns the exit code: 1 instead of 0 if output couldn't be written."""
    for stream in (sys.stdout, sys.stderr):
        _write(stream, "")
    return code or int(bool(_unwritten))


_unwritten: list[str] = []
_diverted: list[None] = []
_documents: list[None] = []
"""Documents that were written. One process runs one command; `reset` is for tests that run several commands in one."""
_screen: list[Callable[[str], None]] = []


def reset() -> None:
    """Forget what an earlier command in this process has chosen."""
    for known in (_unwritten, _diverted, _documents, _screen):
        known.clear()
    reach_with(())
    unmark()


def _write(stream: IO[str], text: str) -> None:
    # characters that a text quotes from AWS or a file; written as JSON has them, so that JSON stays JSON
    text = _OBEYED.sub(lambda found: found[1] or f"\\u{ord(found[0]):04x}", text)
    if _screen and text and stream.isatty():
        _screen[0](text.removesuffix("\n"))
    else:
        _put(stream, text)


def _put(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except UnicodeEncodeError:
        _put(stream, text.encode("ascii", "replace").decode("ascii"))
    except OSError as error:  # a full disk, for example; a run under way goes on
        _silence(stream)
        _unwritten.append(stream.name)
        if stream is sys.stdout:
            complain(f"standard output can't be written: {error.strerror}")


def _silence(stream: IO[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
