"""Debian's redis-server on a free port, for a test."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.processes import read_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def running_redis(folder: Path, port: int = 0) -> Iterator[int]:
    """Its port. It keeps what it has in the folder, so that another one on that port has it too."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server program")
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--appendonly", "yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            read_until(process, "Ready to accept connections")
            yield port
        finally:
            process.terminate()
