"""The commands as their users call them: from scripts, pipes and terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from tests.at_length import only_at_length
from tests.e2e.tool import DEMO, REGION, Account, Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path

SMALL = """\
stack: {name}
region: us-east-1
{more}
vpcs:
  main: {{cidr_block: 10.{number}.0.0/16}}
subnets:
  a: {{cidr_block: 10.{number}.1.0/24, availability_zone: a}}
"""


def small(tool: Tool, name: str, number: int = 1, more: str = "") -> str:
    """A spec of two resources that are made at once."""
    (tool.folder / f"{name}.yaml").write_text(SMALL.format(name=name, number=number, more=more))
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


def test_the_plan_is_a_contract(sandbox: Tool) -> None:
    plan = sandbox.plan()
    assert list(plan) == [
        "version",
        "stack",
        "region",
        "account",
        "summary",
        "steps",
        "warnings",
        "estimated_seconds",
        "estimated_total_seconds",
    ]
    assert (plan["version"], plan["stack"], plan["region"]) == (2, "demo", REGION)
    assert plan["summary"] == {"create": 16, "update": 0, "replace": 0, "delete": 0}
    keys = {step["key"] for step in plan["steps"]}
    for step in plan["steps"]:
        assert list(step) == [
            "key",
            "act",
            "action",
            "address",
            "id",
            "reason",
            "changes",
            "needs",
            "waits",
            "effects",
            "also_deletes",
            "estimated_seconds",
        ]
        assert set(step["needs"]) <= keys
    assert sandbox.plan() == plan


@only_at_length("tests/golden/test_golden_runs.py::test_life")
def test_a_stack_lives(sandbox: Tool, account: Account) -> None:
    """Create, look, plan again, destroy without the spec: what is said, and with which exit codes."""
    empty = account.census()
    sandbox.run("plan", "--detailed-exitcode", DEMO, expect=2)
    ended = sandbox.run("apply", "--yes", DEMO, "-v")
    assert "vpc.main started (create)" in ended.stderr
    assert "API calls: " in ended.stderr.splitlines()[-1]
    assert "1 create_vpc" in ended.stderr
    assert "✓ vpc.main created vpc-" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("http://demo-public-")

    sandbox.run("plan", "--detailed-exitcode", DEMO)
    told = sandbox.run("plan", DEMO, "-vv")
    assert "No changes" in told.stdout
    assert "s  ec2 describe_vpcs" in told.stderr
    assert "No changes" in sandbox.run("apply", DEMO).stdout, "nothing to confirm, no terminal needed"

    assert sandbox.run("status", DEMO).stdout.count("healthy") == 2
    status = json.loads(sandbox.run("status", "--format", "json", DEMO).stdout)
    assert list(status) == [
        "version",
        "stack",
        "region",
        "account",
        "resources",
        "not_ready",
        "differs",
        "unknown",
        "urls",
        "warnings",
    ]
    assert {item["address"]: item["status"] for item in status["resources"]}["instance.web-1"] == "running"
    assert sandbox.run("stacks", "--region", REGION).stdout.startswith("demo  ")

    sandbox.run("destroy", "--stack", "demo", "--yes", expect=64)
    assert "nothing of demo is left" in sandbox.run(
        "destroy", "--stack", "demo", "--region", REGION, "--yes"
    ).stdout  # fmt: skip
    assert account.census() == empty
    assert sandbox.run("stacks", "--region", REGION).stdout == f"No stack has resources in {REGION}.\n"
    assert "the stack has no resources" in sandbox.run("destroy", DEMO).stdout


def test_without_a_terminal_nothing_is_changed(sandbox: Tool, account: Account) -> None:
    before = account.census()
    told = sandbox.run("apply", small(sandbox, "small"), expect=4).stderr
    assert "no terminal to ask for confirmation, and nothing was changed" in told
    assert account.census() == before


@only_at_length("tests/golden/test_golden_runs.py::test_a_terminal")
def test_a_terminal_is_asked(sandbox: Tool, account: Account) -> None:
    before, spec = account.census(), small(sandbox, "small")
    code, seen = at_terminal(sandbox, "apply", spec, answer="no\n", prompt="Type yes:")
    assert (code, "not confirmed; nothing was changed" in seen) == (4, True)
    code, seen = at_terminal(sandbox, "apply", spec, answer="\x04", prompt="Type yes:")
    assert (code, "not confirmed; nothing was changed" in seen) == (4, True)
    code, seen = at_terminal(sandbox, "apply", spec, answer="\x03", prompt="Type yes:")
    assert (code, "interrupted; nothing was changed" in seen) == (130, True)
    assert account.census() == before
    code, seen = at_terminal(sandbox, "apply", spec, answer="yes\n", prompt="Type yes:")
    assert (code, "Converged." in seen) == (0, True)
    assert account.census() != before
    prompt = "Type the stack's name (small):"
    code, seen = at_terminal(sandbox, "destroy", spec, answer="yes\n", prompt=prompt)
    assert (code, "not confirmed; nothing was changed" in seen) == (4, True)
    code, seen = at_terminal(sandbox, "destroy", spec, answer="small\n", prompt=prompt)
    assert code == 0
    assert account.census() == before


def test_a_plan_that_cannot_be_kept(sandbox: Tool) -> None:
    told = sandbox.run("plan", "--out", "/dev/full", DEMO, expect=1).stderr
    assert told == "/dev/full can't be written: it isn't a regular file; name another file\n"
    told = sandbox.run("plan", "--out", "/nonexistent/plan", DEMO, expect=1).stderr
    assert told.startswith("/nonexistent/plan can't be written: there is no folder /nonexistent; create it")


def test_a_plan_that_cannot_be_shown(sandbox: Tool) -> None:
    with (
        open("/dev/full", "w") as full,  # noqa: PTH123
        sandbox.started("plan", DEMO, stdout=full, stderr=subprocess.PIPE) as process,
    ):
        told = process.communicate(timeout=GUARD)[1]
    assert (process.returncode, told) == (1, "standard output can't be written: No space left on device\n")


def test_a_reader_that_leaves_is_no_failure(sandbox: Tool) -> None:
    with sandbox.started("plan", DEMO, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        process.wait(GUARD)
    assert (process.returncode, told) == (0, "")


def test_a_saved_plan_is_carried_out_or_refused_as_stale(sandbox: Tool, account: Account) -> None:
    spec = small(sandbox, "small")
    sandbox.run("plan", "--out", "saved", spec)
    vpc = account.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    sandbox.run("apply", "--yes", "--plan", "saved", spec)
    told = sandbox.run("apply", "--yes", "--plan", "saved", spec, expect=4).stderr
    assert "the plan in saved is stale" in told
    assert "\n  only in the saved plan: create vpc.main" in told
    assert "\n  only in a new plan: " not in told, "there is nothing to do now"
    assert "nothing was changed" in told
    sandbox.run("apply", "--yes", "--plan", "missing", spec, expect=64)
    account.ec2.delete_vpc(VpcId=vpc)


def test_a_stale_plan_names_the_steps_that_differ(sandbox: Tool) -> None:
    sandbox.run("apply", "--yes", small(sandbox, "differing"))
    spec = small(sandbox, "differing", more="tags: {team: a}")
    sandbox.run("plan", "--out", "saved", spec)
    small(sandbox, "differing", more="tags: {team: b}")
    told = sandbox.run("apply", "--yes", "--plan", "saved", spec, expect=4).stderr
    assert "  only in the saved plan: update subnet.a (tags.team None → a)\n" in told
    assert "  only in a new plan: update subnet.a (tags.team None → b)\n" in told


def test_a_saved_plan_is_no_spec(sandbox: Tool) -> None:
    sandbox.run("plan", "--out", "a.plan", small(sandbox, "saved"))
    for command in ("apply", "plan", "status"):
        told = sandbox.run(command, "a.plan", expect=64).stderr
        assert told.startswith("a.plan is a saved plan; to apply it: alb-reconcile apply "), told
        assert told.endswith("--plan a.plan SPEC\n")


def test_graph_takes_the_usual_spec(sandbox: Tool) -> None:
    name = small(sandbox, "stack")
    assert (
        sandbox.run("graph", "--format", "mermaid").stdout == sandbox.run("graph", "--format", "mermaid", name).stdout
    )
    (sandbox.folder / name).unlink()
    assert sandbox.run("graph", expect=64).stderr.startswith("name a SPEC: there is no stack.yaml here")


def test_another_account_is_refused(sandbox: Tool, account: Account) -> None:
    before = account.census()
    spec = small(sandbox, "small", more='account_ids: ["999999999999"]')
    for command in (("plan", spec), ("apply", "--yes", spec), ("status", spec), ("destroy", "--yes", spec)):
        told = sandbox.run(*command, expect=4).stderr
        assert "account 123456789012, but the spec's account_ids allow only 999999999999" in told
    assert account.census() == before


@only_at_length("tests/golden/test_golden_runs.py::test_several")
def test_several_specs_in_one_command(sandbox: Tool) -> None:
    one, two = small(sandbox, "one", 1), small(sandbox, "two", 2)
    sandbox.run("apply", "--yes", one, two)
    assert (
        sandbox.run("stacks", "--region", REGION).stdout
        == "one  2 resources, not counting listeners, rules and targets\ntwo  2 resources, not counting listeners, rules and targets\n"
    )
    told = sandbox.run("plan", one, two).stdout
    assert (told.count("No changes"), "one · us-east-1" in told, "two · us-east-1" in told) == (2, True, True)
    sandbox.run("plan", "--out", "saved", one, two, expect=64)
    (sandbox.folder / "bad.yaml").write_text("stack: BAD\n")
    sandbox.run("destroy", "--yes", one, "bad.yaml", expect=3)
    assert sandbox.run("stacks", "--region", REGION).stdout.startswith("one  2 resources, ")
    sandbox.run("destroy", "--yes", one, two)


@pytest.mark.parametrize("command", ["plan", "apply", "destroy", "status"])
def test_a_missing_spec_is_one_line(tmp_path: Path, command: str) -> None:
    told = Tool(tmp_path, "--sandbox").run(command, "none.yaml", expect=3).stderr
    assert told.count("\n") == 1
    assert "can't be read: No such file or directory" in told
