"""Standard output and error, for as long as somebody reads them."""

from __future__ import annotations

import os
import sys
from typing import IO


def emit(text: str) -> None:
    """Write a line to standard output. A reader that has left (`| head -1`) doesn't disturb a run."""
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """Write a line to standard error."""
    _write(sys.stderr, text)


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "replace").decode("ascii") + "\n")
