"""Reads from Git's own files which commit is checked out where a file is, and asks Git whether the file's folder was changed since."""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from alb_reconcile.model.files import read_start

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LONGEST: Final = 4 * 1024 * 1024
"""Bytes of a list of references that are read."""
_STATUS: Final = (
    "git", "--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no", ".",
)  # fmt: skip
_GETS: Final = frozenset(
    {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "HOME", "LANG", "PATH", "SUDO_UID", "SYSTEMROOT", "TMPDIR", "XDG_CONFIG_HOME"}
)  # fmt: skip
"""The variables that Git gets in addition to LC_*: the repository may name a filter that runs, which must get no secret."""
_PATIENCE: Final = 5.0
"""Seconds for `git status`."""
_DIRTY: Final = "-dirty"
_SAFE: Final = "safe.directory"


def commit_of(file: str) -> str:
    """The name of the checked-out commit, with -dirty behind it, as by `git describe --dirty`, where a tracked file in the file's
    folder was changed since; empty where there is no commit, or it can't be read."""
    if "://" in file:  # the file isn't on this machine
        return ""
    with suppress(OSError, ValueError):
        folder = Path(file).resolve().parent
        for place in (folder, *folder.parents):
            if (place / ".git").exists():
                found = head_of(place)
                return f"{found}{_DIRTY}" if found and _is_dirty(folder) else found
    return ""


def show_commit(commit: str) -> str:
    """A recorded commit as plans and histories show it: short, and with a remark if files were modified."""
    return f"{commit[:12]}{' (modified)' * commit.endswith(_DIRTY)}"


def head_of(work_tree: Path) -> str:
    """The commit that is checked out in a work tree; empty where there is none, or it can't be read."""
    with suppress(OSError, ValueError):
        return _head(_git_folder(work_tree / ".git"))
    return ""


def _is_dirty(folder: Path) -> bool:
    """Whether `git status` says that a tracked file was changed; False where Git can't be run."""
    environment = {name: value for name, value in os.environ.items() if name in _GETS or name.startswith("LC_")}
    environment |= _safe_directories(os.environ)
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(  # noqa: S603 (no shell, and nothing of the user's in it)
            _STATUS, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )  # fmt: skip
        return not done.returncode and bool(done.stdout)
    return False


def _safe_directories(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings in Git's environment variables that say which work trees may be read; other settings may be secrets."""
    numbers = [
        name[15:] for name, key in environ.items() if name.startswith("GIT_CONFIG_KEY_") and key.lower() == _SAFE
    ]
    found = {"GIT_CONFIG_COUNT": str(len(numbers))}
    for place, number in enumerate(numbers):
        found |= {
            f"GIT_CONFIG_KEY_{place}": _SAFE,
            f"GIT_CONFIG_VALUE_{place}": environ.get(f"GIT_CONFIG_VALUE_{number}", ""),
        }
    return found


def _git_folder(git: Path) -> Path:
    """The folder with Git's files; in an additional work tree `.git` is a file that names the folder."""
    return git if git.is_dir() else git.parent / _read(git).removeprefix("gitdir: ")


def _head(git: Path) -> str:
    head = _read(git / "HEAD")
    if not head.startswith("ref: refs/") or ".." in head:
        return head if _COMMIT.fullmatch(head) else ""
    name = head.removeprefix("ref: ")
    shared = git / _read(git / "commondir") if (git / "commondir").exists() else git
    for place in (git / name, shared / name):
        if place.is_file():
            found = _read(place)
            return found if _COMMIT.fullmatch(found) else ""
    for line in _read(shared / "packed-refs").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name and _COMMIT.fullmatch(commit):
            return commit
    return ""


def _read(file: Path) -> str:
    return read_start(str(file), _LONGEST).decode("utf-8").strip()
