"""This machine, as records name it."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime


def iso(moment: float) -> str:
    """Seconds since the epoch in ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_name() -> str:
    """Who runs this; a number where the user has no name, as in containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
