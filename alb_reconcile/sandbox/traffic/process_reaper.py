"""Ends the instances' processes when the sandbox's process has ended, in a process of its own that outlives the sandbox by a moment.

It is run by its path, without this package: its standard input is a pipe that only the sandbox can write to.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Read numbers of process groups, one a line (negative: the group has ended). Kill the groups that are left when the pipe closes."""
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        if number > 0:
            groups.add(number)
        else:
            groups.discard(-number)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
