"""The commands as their users call them: from scripts, pipes and terminals."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.e2e.tool import DEMO, Account, Tool
from tests.processes import GUARD

SMALL = """\
stack: {name}
region: us-east-1
{more}
vpcs:
  main: {{cidr_block: 10.1.0.0/16}}
subnets:
  a: {{cidr_block: 10.1.1.0/24, availability_zone: a}}
"""


def small(tool: Tool, name: str, more: str = "") -> str:
    """A spec of two resources that are made at once."""
    (tool.folder / f"{name}.yaml").write_text(SMALL.format(name=name, more=more))
    return f"{name}.yaml"


def at_terminal(tool: Tool, *arguments: str, answer: str, prompt: str) -> tuple[int, str]:
    """Run a command at a terminal and type an answer. Returns its exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    own = {
        "stdin": theirs,
        "stdout": theirs,
        "stderr": theirs,
        "start_new_session": True,
        "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # for Ctrl-C to be a signal
    }
    with tool.started(*arguments, **own) as process:
        os.close(theirs)
        seen = b""
        typed, deadline = False, time.monotonic() + GUARD
        while True:
            while not select.select([ours], [], [], 1)[0]:
                assert time.monotonic() < deadline, f"it hangs:\n{seen.decode()}"
                if typed and answer == "\x03":  # the prompt is shown just before its read begins
                    os.write(ours, b"\x03")
            try:
                seen += os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other side has gone
                break
            if not typed and prompt.encode() in seen:
                os.write(ours, answer.encode())
                typed = True
        os.close(ours)
        return process.wait(GUARD), seen.decode()


def test_exit_codes(sandbox: Tool, account: Account) -> None:
    """Of the command line as a script calls it; what is refused or wrong has changed nothing."""
    before, spec = account.census(), small(sandbox, "small")
    strange = small(sandbox, "strange", more='account_ids: ["999999999999"]')
    (sandbox.folder / "bad.yaml").write_text("stack: BAD\n")
    for command, code, said in (
        (("plan", "--detailed-exitcode", spec), 2, "2 to create"),
        (("apply", spec), 4, "no terminal to ask for confirmation, and nothing was changed"),
        (("plan", strange), 4, "account 123456789012, but the spec's account_ids allow only 999999999999"),
        (("apply", "--yes", "none.yaml"), 3, "can't be read: No such file or directory"),
        (("apply", "--yes", spec, "bad.yaml"), 3, "bad.yaml:1:8"),
        (("plan", "--out", "saved", spec, strange), 64, "--out"),
        (("apply", "--yes", "--plan", "missing", spec), 64, "missing"),
        (("destroy", "--stack", "small", "--yes"), 64, "--region"),
        (("plan", "--out", "/dev/full", spec), 1, "/dev/full can't be written: it isn't a regular file"),
    ):
        ended = sandbox.run(*command, expect=code)
        assert said in ended.stdout + ended.stderr
    assert account.census() == before
    sandbox.run("apply", "--yes", spec)
    sandbox.run("plan", "--detailed-exitcode", spec)
    sandbox.run("plan", "--out", "saved", small(sandbox, "small", more="tags: {team: a}"))
    told = sandbox.run("status", "saved", expect=64).stderr
    assert told.startswith("saved is a saved plan; to apply it: alb-reconcile apply "), told
    small(sandbox, "small", more="tags: {team: b}")
    stale = sandbox.run("apply", "--yes", "--plan", "saved", spec, expect=4).stderr
    assert "  only in the saved plan: update subnet.a (tags.team None → a)\n" in stale
    assert "  only in a new plan: update subnet.a (tags.team None → b)\n" in stale
    sandbox.run("destroy", "--yes", spec)
    assert account.census() == before


@pytest.mark.slow
def test_a_terminal_is_asked(sandbox: Tool, account: Account) -> None:
    before, spec = account.census(), small(sandbox, "small")
    for answer, end, said in (
        ("\x04", 4, "not confirmed; nothing was changed"),
        ("\x03", 130, "interrupted; nothing was changed"),
    ):
        code, seen = at_terminal(sandbox, "apply", spec, answer=answer, prompt="Type yes:")
        assert (code, said in seen) == (end, True)
    assert account.census() == before
    code, seen = at_terminal(sandbox, "apply", spec, answer="yes\n", prompt="Type yes:")
    assert (code, "Converged." in seen) == (0, True)


@pytest.mark.slow
def test_a_plan_that_cannot_be_shown(sandbox: Tool) -> None:
    """A full disk is a failure; a reader that leaves is none."""
    with (
        Path("/dev/full").open("w") as full,
        sandbox.started("plan", DEMO, stdout=full, stderr=subprocess.PIPE) as process,
    ):
        told = process.communicate(timeout=GUARD)[1]
    assert (process.returncode, told) == (1, "standard output can't be written: No space left on device\n")
    with sandbox.started("plan", DEMO, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        process.wait(GUARD)
    assert (process.returncode, told) == (0, "")
