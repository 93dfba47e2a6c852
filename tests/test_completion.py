"""Completion as a person gets it: each shell that is installed reads the script, is asked, and completes."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.skipif(not shutil.which("fish"), reason="fish isn't installed")
def test_fish_completes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = folder / "home"
    (home / ".config/fish/completions").mkdir(parents=True)
    (home / ".config/fish/completions/alb-reconcile.fish").write_text(script("fish", capsys), encoding="utf-8")
    asked = "; ".join(f"complete -C 'alb-reconcile {line}'; echo ==" for line in LINES)
    done = subprocess.run(
        ["fish", "-c", asked], capture_output=True, text=True, timeout=GUARD, check=False, cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)},
    )  # fmt: skip
    answers = [part.split("\n") for part in done.stdout.removesuffix("==\n").split("==\n")]
    found = [part[0].partition("\t")[0] for part in answers]  # what else is like it comes after that
    assert found == [whole.split()[-1] for whole in LINES.values()]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh isn't installed")
def test_zsh_completes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal of its own; what it is given after the tabulator is what a command would be given."""
    (folder / "functions").mkdir()
    (folder / "functions" / "_alb-reconcile").write_text(script("zsh", capsys), encoding="utf-8")
    with terminal(folder, "zsh", "-f", "-i") as end:
        said(end, "fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D\n")
        said(end, 'alb-reconcile() { print -r -- "<<$*>>" }\n')
        found = [said(end, f"alb-reconcile {line}\t", whole=True) for line in LINES]
    assert found == list(LINES.values())


@contextmanager
def terminal(folder: Path, *command: str) -> Iterator[int]:
    """A program in a terminal: where it is written to and read from."""
    process, end = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "vt100"})
    try:
        yield end
    finally:
        os.close(end)
        os.waitpid(process, 0)


def said(end: int, text: str, *, whole: bool = False) -> str:
    """What a command was given that is typed so, and completed."""
    ready = "\n" if whole else "echo re''ady\n"
    os.write(end, (text + ready).encode())
    wanted = re.compile(rb"<<(.*)>>\r\n" if whole else rb"(ready)\r\n")
    seen = b""
    while not (found := wanted.search(seen)):
        if not select.select([end], [], [], GUARD)[0]:
            pytest.fail(f"the shell hangs: {seen!r}")
        seen += os.read(end, 65536)
    return found[1].decode()
