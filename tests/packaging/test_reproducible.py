"""Wheel and sdist of a commit are the same bytes each time, in any folder, at any time and under any umask and time zone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
COMMIT = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in (("NAME", "a"), ("EMAIL", "a@example.com"), ("DATE", "2026-12-01T00:00:00Z"))}  # fmt: skip


def run(folder: Path, *command: str, umask: int = 0o022, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("SOURCE_DATE_EPOCH", "PYTHONHASHSEED")}
    done = subprocess.run(
        command, cwd=folder, env=kept | COMMIT | environment, umask=umask, check=True, capture_output=True, text=True
    )
    return done.stdout


def copy(files: list[str], folder: Path, *, mode: int, moment: int) -> None:
    """A checkout of these files, made in this order, of one commit that has the same name each time."""
    for name in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        target.chmod(mode | (ROOT / name).stat().st_mode & 0o100)
        os.utime(target, (moment, moment))
    for words in (("init", "--quiet"), ("add", "--all", "--force"), ("commit", "--quiet", "--message", "all of it")):
        run(folder, "git", "-c", "commit.gpgSign=false", *words)


def build(folder: Path, made: Path, umask: int, **environment: str) -> dict[str, bytes]:
    """The packages by name. hatchling and what it needs are those of this environment."""
    run(folder, sys.executable, "-m", "hatchling", "build", "--directory", str(made), umask=umask, **environment)
    return {file.name: file.read_bytes() for file in made.iterdir()}


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="Git says which files there are")
def test_packages_built_twice_are_the_same_bytes(tmp_path: Path) -> None:
    files = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").rstrip("\0").split("\0")
    files = [name for name in files if (ROOT / name).is_file()]
    here, there = tmp_path / "here", tmp_path / "elsewhere" / "ü"
    copy(sorted(files), here, mode=0o644, moment=1_700_000_000)
    copy(sorted(files, reverse=True), there, mode=0o600, moment=1_800_000_000)
    first = build(here, tmp_path / "1", 0o022, TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1")
    again = build(there, tmp_path / "2", 0o077, TZ="Asia/Tokyo", LC_ALL="C.UTF-8", PYTHONHASHSEED="2")
    assert {name: hashlib.sha256(data).hexdigest() for name, data in first.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in again.items()
    }
    wheel, sdist = sorted(first, key=lambda name: not name.endswith(".whl"))
    commit = run(here, "git", "rev-parse", "--short=12", "HEAD")
    assert members(tmp_path / "1" / wheel)["alb_reconcile/commit.txt"].decode() == commit
    with tarfile.open(tmp_path / "1" / sdist) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    build(unpacked, tmp_path / "3", 0o022)
    assert members(tmp_path / "3" / wheel) == members(tmp_path / "1" / wheel), (
        "the sdist's wheel has what the checkout's has"
    )


def members(wheel: Path) -> dict[str, bytes]:
    """What is in a wheel, whatever its order: the commit's file is the last one in a checkout's."""
    with zipfile.ZipFile(wheel) as opened:
        found = {name: opened.read(name) for name in opened.namelist()}
    return {
        name: b"".join(sorted(data.splitlines())) if name.endswith("/RECORD") else data for name, data in found.items()
    }
