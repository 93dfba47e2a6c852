"""What a process has in memory, as Linux tells it."""

from __future__ import annotations

import re
from pathlib import Path


def peak(pid: int | str = "self") -> float:
    """The most that a process ever had, in MB (getrusage's figure includes what the parent had)."""
    return _read(pid, "VmHWM")


def resident(pid: int | str = "self") -> float:
    """What it has now, in MB."""
    return _read(pid, "VmRSS")


def _read(pid: int | str, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]  # Linux always has the line
