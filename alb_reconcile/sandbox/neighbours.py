"""Finds out which user of this machine has sent a request to the sandbox, by the table of connections that Linux shows (proc(5), /proc/net/tcp)."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_HERE: Final = ("0100007F", "0000000000000000FFFF00000100007F")
"""127.0.0.1, as the tables write it."""
_ROOT: Final = 0


def is_of_another_user(port: int, folder: Path, tables: Iterable[Path] = TABLES) -> bool:
    """Whether the connection from a port of 127.0.0.1 is another user's, and that user may not enter the sandbox's folder. False for root, and where
    no table says whose the connection is (other systems than Linux)."""
    if folder.stat().st_mode & 0o077:
        return False  # its owner has opened it to others
    return any(uid not in (os.getuid(), _ROOT) for uid in users_of(port, tables))


def users_of(port: int, tables: Iterable[Path] = TABLES) -> Iterable[int]:
    """The users (by number) of the connections from a port of 127.0.0.1."""
    for table in tables:
        for line in table.read_text("ascii").splitlines()[1:] if table.is_file() else ():
            _, local, _, _, _, _, _, uid, *_ = line.split()
            address, _, number = local.partition(":")
            if address in _HERE and int(number, 16) == port:
                yield int(uid)
