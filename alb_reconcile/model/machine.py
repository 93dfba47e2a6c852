"""Finds out whether an error comes from this machine or the limits of this process, and says what helps."""

import errno
import re
from typing import Final

_HELP: Final = {
    errno.EMFILE: "let this program have more open files: ulimit -n 4096",
    errno.ENFILE: "end other programs, or let this machine have more open files (fs.file-max)",
    errno.ENOMEM: "end other programs, or let this one have more memory and threads (ulimit -v, ulimit -u)",
    errno.ENOSPC: "free up space",
}
_MEMORY: Final = re.compile(
    "can't start new thread|map segment|[Cc]annot allocate memory|malloc failure|without exception set"
)
"""Errors of memory. The last is Python's error, now and then, where no memory is left for a MemoryError."""


def remedy(error: BaseException, usual: str) -> str:
    """What to do about a file that can't be used: `usual`, unless the machine is the cause."""
    return _HELP.get(getattr(error, "errno", None) or 0, usual)


def find_lack(error: BaseException) -> str:
    """What is lacking and what helps, where that is the cause of an error; empty for any other."""
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        error = OSError(errno.ENOMEM, "out of memory" if isinstance(error, MemoryError) else str(error))
    advice = remedy(error, "")
    return f"{getattr(error, 'strerror', '').lower()}: {advice}" if advice else ""
