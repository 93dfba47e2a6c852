"""Reads and writes files of records: their folder, safe names, one writer at a time, each file written whole or not at all."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.files import write_file
from alb_reconcile.model.host import user_state_folder
from alb_reconcile.model.machine import remedy
from alb_reconcile.model.text import digest

FOLDER_VARIABLE: Final = "ALB_RECONCILE_STATE_DIR"
_LOCK_TIMEOUT: Final = 5.0
"""Seconds to wait for another writer, which takes milliseconds."""


class RecordError(ReconcileError):
    """A record can't be written, sent or read; the text says why and what to do. Such an error never fails the run."""


def state_folder(chosen: str | None, environ: Mapping[str, str]) -> Path:
    """The folder where records are kept: the option's, ALB_RECONCILE_STATE_DIR, or the user's own. Raises RecordError."""
    named = chosen or environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    try:
        return user_state_folder(environ)
    except RuntimeError:  # a container's user may have no home
        raise RecordError(f"there is no home directory; set {FOLDER_VARIABLE} to a folder to write to") from None


def safe_name(text: str) -> str:
    """The text as part of a file name, one to one, without characters that mean something in a path, a pattern or a terminal.

    Long names end with a digest.
    """
    name = re.sub(
        r"[^a-z0-9-]", lambda found: "".join(f"%{byte:02x}" for byte in found[0].encode("utf-8", "surrogatepass")), text
    )  # fmt: skip
    return name if len(name) <= 60 else f"{name[:40]}%{digest(text)}"


@contextmanager
def only_writer(file: Path, *, make_folder: bool = True, timeout: float = _LOCK_TIMEOUT) -> Iterator[None]:
    """Be the only process that writes a file. Raises RecordError if another writer doesn't end, or the file can't be written."""
    from filelock import FileLock, Timeout

    try:
        if make_folder:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.parent.stat()  # the lock would make the folder, and for its user only
        lock = FileLock(file.with_name(file.name + ".lock"), timeout=timeout)
        lock.acquire()
    except Timeout:
        raise RecordError(
            f"{file} has been locked by another process for {timeout:.0f} s; look for one that hangs"
        ) from None
    except OSError as error:
        raise unwritable(file, error) from None
    try:
        yield
    finally:
        with suppress(OSError):  # the kernel releases the lock in any case
            lock.release()


def replace_file(file: Path, data: bytes | Iterable[bytes], mode: int = 0o600, draft: Path | None = None) -> None:
    """Write a file whole or not at all, as its only writer: readers see the old file or the new one. `data` may be parts, which are
    written as they come.

    Raises RecordError.
    """
    draft = draft or file.with_name(f".{file.name}.draft")  # one name, so that killed writers leave at most one draft
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.writelines([data] if isinstance(data, bytes) else data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise unwritable(file, error) from None


def save_file(name: str, data: bytes, *, keep_mode: bool = False) -> None:
    """Write a file that the user has named: whole or not at all, except to a shell's `>(…)`; readable by this user only, or by the
    users that could read it before. Raises RecordError."""
    file = Path(os.path.realpath(name))
    try:
        if Path(name).exists() and not file.is_file():
            return write_file(name, data)  # write_file refuses all else
        mode = file.stat().st_mode & 0o777 if keep_mode else 0o600
    except OSError as error:
        raise RecordError(f"{name} can't be written: {error.strerror}; {remedy(error, 'name another file')}") from None
    return replace_file(file, data, mode, file.with_name(f".{file.name}.{os.getpid()}"))


def unwritable(file: Path, error: OSError) -> RecordError:
    """The error that says why a file can't be written."""
    if isinstance(error, FileNotFoundError):
        return RecordError(
            f"{file} can't be written: there is no folder {file.parent}; create it, and let this user write there"
        )
    kept = "; its old content is still there" * os.path.isfile(file)  # noqa: PTH113 (False if access is denied, where Path.is_file raises)
    advice = remedy(error, "free up space, or give this user write access")
    return RecordError(f"{file} can't be written: {(error.strerror or str(error)).lower()}{kept}; {advice}")
