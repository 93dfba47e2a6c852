"""`--version` says the commit, wherever Git keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alb_reconcile.cli.options.version import checked_out

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkout(folder: Path, head: str, **files: str) -> Path:
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text(head)
    for name, text in files.items():
        (folder / ".git" / name.replace("__", "/")).parent.mkdir(parents=True, exist_ok=True)
        (folder / ".git" / name.replace("__", "/").replace("packed_refs", "packed-refs")).write_text(text)
    return folder


def test_of_a_branch(tmp_path: Path) -> None:
    assert checked_out(checkout(tmp_path, "ref: refs/heads/main\n", refs__heads__main=f"{COMMIT}\n")) == COMMIT[:12]


def test_of_a_packed_branch(tmp_path: Path) -> None:
    packed = f"# pack-refs\n{COMMIT[::-1]} refs/heads/other\n{COMMIT} refs/heads/main\n"
    assert checked_out(checkout(tmp_path, "ref: refs/heads/main\n", packed_refs=packed)) == COMMIT[:12]


def test_without_a_branch(tmp_path: Path) -> None:
    assert checked_out(checkout(tmp_path, f"{COMMIT}\n")) == COMMIT[:12]


def test_of_a_worktree(tmp_path: Path) -> None:
    checkout(tmp_path, "ref: refs/heads/main\n", refs__heads__topic=f"{COMMIT}\n")
    own = tmp_path / ".git" / "worktrees" / "topic"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/topic\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "topic").mkdir()
    (tmp_path / "topic" / ".git").write_text(f"gitdir: {own}\n")
    assert checked_out(tmp_path / "topic") == COMMIT[:12]


def test_where_there_is_none(tmp_path: Path) -> None:
    assert checked_out(tmp_path) == ""
    assert checked_out(checkout(tmp_path, "ref: refs/heads/new\n")) == ""
