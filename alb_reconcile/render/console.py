"""Standard output and error, for as long as somebody reads them."""

from __future__ import annotations

import os
import sys
from typing import IO


def emit(text: str) -> None:
    """Write a line to standard output. A reader that has left (`| head -1`) doesn't disturb a run."""
    _write(sys.stdout, text + "\n")


def complain(text: str) -> None:
    """Write a line to standard error."""
    _write(sys.stderr, text + "\n")


def finish(code: int) -> int:
    """Flush both streams. Returns the exit code: 1 instead of 0 if what was to be read couldn't be written."""
    for stream in (sys.stdout, sys.stderr):
        _write(stream, "")
    return code or int(bool(_unwritten))


_unwritten: list[str] = []


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except UnicodeEncodeError:
        _write(stream, text.encode("ascii", "replace").decode("ascii"))
    except OSError as error:  # a full disk; a run under way goes on
        _silence(stream)
        _unwritten.append(stream.name)
        if stream is sys.stdout:
            complain(f"standard output can't be written: {error.strerror}")


def _silence(stream: IO[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
