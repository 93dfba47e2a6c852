"""Files that commands change."""

import os
from pathlib import Path

from alb_reconcile.model.errors import ReconcileError


def replace_file(file: Path, text: str) -> None:
    """Whole or not at all: a spec is never left half written."""
    place = file.resolve()
    beside = place.with_name(f".{place.name}.new")
    try:
        with os.fdopen(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, place.stat().st_mode & 0o777), "w"
        ) as stream:
            stream.write(text)
        beside.replace(place)
    except OSError as error:
        raise ReconcileError(f"{file} can't be written: {error.strerror}; it was left as it was") from None
