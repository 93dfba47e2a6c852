"""`--version` says the commit, wherever Git keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.options.version import checked_out

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MAIN = {"HEAD": "ref: refs/heads/main\n"}


@pytest.mark.parametrize(
    ("files", "folder", "told"),
    [
        ({".git": {**MAIN, "refs/heads/main": f"{COMMIT}\n"}}, "", COMMIT[:12]),
        ({".git": {**MAIN, "packed-refs": f"# pack-refs\n{COMMIT[::-1]} refs/heads/a\n{COMMIT} refs/heads/main\n"}}, "", COMMIT[:12]),
        ({".git": {"HEAD": f"{COMMIT}\n"}}, "", COMMIT[:12]),
        (
            {
                ".git": {**MAIN, "refs/heads/topic": f"{COMMIT}\n"},
                ".git/worktrees/topic": {"HEAD": "ref: refs/heads/topic\n", "commondir": "../..\n"},
                "topic": {".git": "gitdir: HERE/.git/worktrees/topic\n"},
            },
            "topic", COMMIT[:12],
        ),
        ({}, "", ""),
        ({".git": {"HEAD": "ref: refs/heads/new\n"}}, "", ""),
    ],
    ids=["a branch", "a packed branch", "no branch", "a worktree", "no repository", "no commit"],
)  # fmt: skip
def test_the_commit(tmp_path: Path, files: dict[str, dict[str, str]], folder: str, told: str) -> None:
    for place, texts in files.items():
        for name, text in texts.items():
            file = tmp_path / place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("HERE", str(tmp_path)))
    assert checked_out(tmp_path / folder) == told
