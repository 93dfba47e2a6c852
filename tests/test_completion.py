"""Completion as a person gets it: each shell that is installed reads the script, is asked, and completes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alb_reconcile.cli.main import main

GUARD = 60
"""Seconds after which a shell that says nothing hangs."""
LINES = {
    "pl": "plan",
    "plan --det": "plan --detailed-exitcode",
    "plan --format j": "plan --format json",
    "plan dem": "plan demo.yaml",
    "plan demo.yaml oth": "plan demo.yaml other.yaml",
    "plan demo.yaml --det": "plan demo.yaml --detailed-exitcode",
    "diff demo.yaml oth": "diff demo.yaml other.yaml",
    "adopt demo.yaml --wri": "adopt demo.yaml --write",
    "move demo.yaml --form": "move demo.yaml --format",
    "apply --policy oth": "apply --policy other.yaml",
    "lock sh": "lock show",
    "completion z": "completion zsh",
    "help ver": "help verify",
    "init --template run": "init --template runbook",
    "explain target": "explain target_group",
    "schema stat": "schema status",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with two specs."""
    for name in ("demo.yaml", "other.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_reads_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    assert "detailed-exitcode" in text
    if place := shutil.which(shell):
        done = subprocess.run([place, "-n"], input=text, capture_output=True, text=True, timeout=GUARD, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = "\n".join(
        f'COMP_WORDS=(alb-reconcile {line}); COMP_CWORD={len(line.split())}; _shtab_alb_reconcile; echo "${{COMPREPLY[@]}}"'
        for line in LINES
    )
    done = subprocess.run(
        ["bash", "-c", f"{script('bash', capsys)}\n{asked}"],
        capture_output=True, text=True, timeout=GUARD, check=False, cwd=folder,
    )  # fmt: skip
    assert done.stdout.splitlines() == [whole.split()[-1] for whole in LINES.values()]


@pytest.mark.parametrize(
    ("words", "missing", "told"),
    [
        (["completion", "bash"], "shtab", "completion needs an extra: pip install '.[terminal]'"),
        (["verify", "specs/demo.yaml", "--websocket", "/ws"], "websockets", "--websocket needs an extra: pip install '.[websocket]'"),
    ],
)  # fmt: skip
def test_what_an_extra_brings_is_named_where_it_is_missing(
    words: list[str], missing: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before AWS is asked anything."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(words) == 64
    assert told in capsys.readouterr().err
