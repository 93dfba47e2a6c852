"""A commit is checked as continuous integration checks it, and as CONTRIBUTING says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def commands(makefile: str, target: str) -> list[str]:
    """What a target runs."""
    (recipe,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]


def test_a_commit_is_checked_by_what_make_check_runs(repository: Path) -> None:
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == commands((repository / "Makefile").read_text(), "check")


def test_continuous_integration_runs_what_contributing_names(repository: Path) -> None:
    runs = re.findall(r"^make [\w-]+$", (repository / ".ci/run").read_text(), re.MULTILINE)
    assert runs == ["make check", "make test", "make test-slow"]
    told = (repository / "CONTRIBUTING.md").read_text()
    assert all(f"    {command} " in told for command in runs)
