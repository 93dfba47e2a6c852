"""Names this machine's user, time and state folder for records."""

import getpass
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path


def iso(moment: float) -> str:
    """Seconds since the epoch in ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def user_name() -> str:
    """The name of the user that runs this process; a number where the user has no name, as in containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def user_state_folder(environ: Mapping[str, str]) -> Path:
    """The user's own state folder: alb-reconcile in XDG_STATE_HOME or ~/.local/state. Raises RuntimeError without a home folder."""
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "alb-reconcile"
