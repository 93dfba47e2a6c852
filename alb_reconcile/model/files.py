"""Opens, reads and writes regular files only, without waiting, and up to a size: a pipe or a device could hang a run, or fill it."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from alb_reconcile.model.nodes import shorten

_HANDED_OVER: Final = ("/dev/fd/", "/proc/self/fd/")
"""A shell's `<(…)` and `>(…)`: a pipe, of which the user has the other end."""


def open_file(file: str | Path, flags: int, mode: int = 0o666) -> int:
    """The descriptor of a regular file, as from `os.open`. Raises OSError also for anything but a regular file."""
    number = os.open(file, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    kind = os.fstat(number).st_mode
    if stat.S_ISFIFO(kind) and str(file).startswith(_HANDED_OVER):
        os.set_blocking(number, True)
    elif not stat.S_ISREG(kind):
        os.close(number)
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise OSError(errno.EINVAL, "it isn't a regular file")
    return number


def read_start(file: str | Path, size: int) -> bytes:
    """The first `size` bytes of a file, or all of a smaller one. Raises OSError."""
    with os.fdopen(open_file(file, os.O_RDONLY), "rb") as stream:
        return stream.read(size) or b""  # None where more may come later, as of the kernel's log


def read_file(file: str | Path, largest: int) -> bytes:
    """The content of a file. Raises OSError, also for a file larger than `largest`."""
    data = read_start(file, largest + 1)
    if len(data) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest:,} bytes")
    return data


def write_file(file: str | Path, data: bytes) -> None:
    """Write a file, in place. Raises OSError."""
    with os.fdopen(open_file(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as stream:
        stream.write(data)


def file_mistake(folder: Path, name: str, most: int, advice: str) -> str | None:
    """Why a file of `most` bytes that a spec names can't be used; None if it can."""
    shown = shorten(name) if "-----BEGIN" not in name else "of that name"  # the user wrote a key, not the key's file
    try:
        file = (folder / name).resolve()
        if not file.is_relative_to(folder.resolve()):
            return f"{shown} is outside the spec's folder; put the file next to the spec or below it"
        if not file.is_file():
            with suppress(FileNotFoundError, NotADirectoryError):
                file.stat()  # a loop of symlinks, from 3.13 on
            return f"there is no file {shown} in {folder}; correct the name (it is relative to the spec)"
        if (size := file.stat().st_size) > most:
            return f"{shown} is {size:,} bytes; {advice}"
        read_file(file, most)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of symlinks, before 3.13
        reason = "its name has a NUL character" if isinstance(error, ValueError) else str(error)
        return f"can't be read: {getattr(error, 'strerror', None) or reason}; give it a file that can"
    return None
