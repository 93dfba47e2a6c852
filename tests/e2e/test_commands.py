"""The commands as their users call them: from scripts, pipes and terminals."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

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


def test_an_aws_that_accepts_and_never_answers(tmp_path: Path) -> None:
    """One clear line, and an end. The patience is shortened."""
    tool = Tool(tmp_path, AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
    program = (
        "import alb_reconcile.aws.connection as connection; connection.SILENCE = 1.5; "
        "from alb_reconcile.cli.main import run; run()"
    )
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"http://127.0.0.1:{hole.getsockname()[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", program, "plan", DEMO, "--endpoint-url", url], cwd=tool.folder, env=tool.environment,
            capture_output=True, encoding="utf-8", timeout=GUARD, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "AWS didn't answer within" in ended.stderr
    assert ended.stderr.count("\n") == 1
