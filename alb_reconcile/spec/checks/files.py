"""Files that a spec names."""

from contextlib import suppress
from pathlib import Path as FilePath

from alb_reconcile.model.files import read_file
from alb_reconcile.model.nodes import shorten


def file_mistake(folder: FilePath, name: str, most: int, advice: str) -> str | None:
    """Why a file of `most` bytes that a spec names can't be used; None if it can."""
    shown = shorten(name) if "-----BEGIN" not in name else "of that name"  # somebody wrote a key, not its file
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
