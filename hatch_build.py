"""Puts the commit that a package is built from into it, for `--version`."""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "alb_reconcile/commit.txt"


class CommitHook(BuildHookInterface[Any]):
    """A wheel or sdist of a checkout says its commit, with a + where files differ from it; one of an sdist, the sdist's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable" or (root / PLACE).is_file() or not (root / ".git").exists():
            return
        file = Path(self.directory) / "commit.txt"
        if commit := _commit(root):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{commit}\n", encoding="utf-8")
            build_data["force_include"][str(file)] = PLACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        (Path(self.directory) / "commit.txt").unlink(missing_ok=True)


def _commit(root: Path) -> str:
    """The commit of a checkout; nothing without Git."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],  # noqa: S607
            cwd=root, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()
