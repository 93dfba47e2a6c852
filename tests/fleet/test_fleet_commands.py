"""`alb-reconcile fleet` as it is typed: what it prints, its JSON by its schema, its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.main import main
from tests.outputs import check

if TYPE_CHECKING:
    from tests.fleet.conftest import Team

SMALL = "stack: {}\nvpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}\n"


@pytest.fixture
def team(team: Team, monkeypatch: pytest.MonkeyPatch) -> Team:
    """Three cells, whose stacks are small."""
    team.rewrite("regions: [us-east-1, eu-central-1]", "regions: [us-east-1]")
    team.rewrite("bake: 10m", "failure_tolerance: 0")
    for name in ("api", "web"):
        team.write(f"stacks/{name}.yaml", SMALL.format(name))
    monkeypatch.chdir(team.folder)
    monkeypatch.setattr("alb_reconcile.cli.commands.fleet.Credentials", lambda *_: team.accounts)
    return team


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `fleet`. Returns its exit code, its output or document, and what people are told."""

    def run(*arguments: str) -> tuple[int, Any, str]:
        code = main(["fleet", *arguments])
        told = capsys.readouterr()
        check(["fleet", *arguments], told.out)
        return code, json.loads(told.out) if "json" in arguments else told.out, told.err

    return run


def test_a_day(team: Team, ask: Any) -> None:
    code, out, _ = ask("plan")
    assert (code, out.splitlines()[-1].partition(" in ")[0]) == (2, "3 cells")
    code, _, told = ask("apply")
    assert code == 4
    assert "shops: 3 cells in 3 accounts would be changed, and nothing was; look at fleet plan, then add --yes" in told
    team.accounts.gone.add("222222222222")
    team.accounts.gone.add("333333333333")
    code, found, told = ask("apply", "--yes", "--format", "json")
    assert (code, found["status"], found["summary"]["cells"]) == (1, "stopped", {"succeeded": 1, "failed": 2})
    assert found["reason"] == "stopped in wave rest: 2 of 2 cells failed, and failure_tolerance is 1"
    code, out, _ = ask("status")
    assert code == 1
    assert "last apply: stopped" in out
    team.accounts.gone.clear()
    code, out, _ = ask("report")
    assert out.endswith("Last apply: stopped in wave rest: 2 of 2 cells failed, and failure_tolerance is 1\n")
    code, out, _ = ask("resume", "--yes", "-v")
    assert code == 0
    assert "2 cells in" in out
    assert ask("resume", "--yes")[0] == 4  # nothing is left to resume
    code, found, _ = ask("status", "--format", "json", "--wave", "canary", "--account", "first")
    assert [cell["account"] for cell in found["cells"]] == ["111111111111"]
    assert ask("sync", "-q") == (0, "", "")
    code, out, _ = ask("sync", "--due")
    assert (code, out) == (0, "0 cells in 0.0 s: none is due\n")


def test_validation_says_each_mistake_once_and_where(team: Team, ask: Any) -> None:
    """Two of twelve specs are broken: one in all cells that have it, one by what only some cells' variables make of it."""
    for number in range(10):
        team.write(f"stacks/{number}.yaml", SMALL.format(f"service-{number}"))
    assert ask("validate") == (0, "3 cells in 3 accounts: 36 stacks valid\n", "")
    team.write("stacks/7.yaml", "stack: seven\nvpc: {}\n")
    team.write("stacks/8.yaml", "stack: eight\nvpcs: {main: {cidr_block: '${RANGE:-10.0.0.0/16}'}}\n")
    team.rewrite("name: second", "name: second, variables: {RANGE: 10.0.0.0}")
    team.rewrite("name: third", "name: third, variables: {RANGE: 10.0.0.0}")
    code, out, _ = ask("validate")
    assert code == 3
    first, second, last = out.splitlines()
    assert first.startswith('stacks/7.yaml:2:1: vpc: unknown key "vpc"')
    assert first.endswith("?")
    assert second.startswith("stacks/8.yaml:2:27: vpcs.main.cidr_block: ")
    assert second.endswith(" (in second/us-east-1, third/us-east-1)")
    assert last == "3 cells in 3 accounts: 31 stacks valid, 5 not; 2 mistakes"
    assert team.accounts.calls == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plan", "--account", "nobody"), '--account: fleet.yaml has no account "nobody"; give its id or its name'),
        (("plan", "--wave", "third"), '--wave: fleet.yaml has no wave "third"; known: canary, rest'),
        (("plan", "--policy", "none.yaml"), "none.yaml:1:1: can't be read"),
        (("resume", "--yes"), "no apply of shops is recorded in"),
        (("apply", "--yes", "--sandbox", "--profile", "x"), "--sandbox can't be combined with --profile"),
    ],
)
def test_mistakes(team: Team, ask: Any, arguments: tuple[str, ...], told: str) -> None:
    code, out, said = ask(*arguments)
    assert code in (3, 4, 64)
    assert (out, told in said) == ("", True)
    assert team.accounts.calls == []
