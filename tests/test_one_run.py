"""A run from the command line and one from Python are the same run: how it ends, and what is recorded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import alb_reconcile as api
from alb_reconcile.cli.main import main
from tests.harness import World, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SPEC = "stack: shop\nregion: us-east-1\ntags: {{team: {team}}}\nvpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}\n"
WAYS = pytest.mark.parametrize("way", ["command line", "python"])


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account on a virtual clock, which both ways ask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    Path("stack.yaml").write_text(SPEC.format(team="blue"), encoding="utf-8")

    async def to_thread(function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        return function(*args, **named)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    with world() as found:

        def with_stack(_options: object, target: object, run: Callable[..., Any], *args: Any) -> Any:
            return found._run(lambda aws: run(aws, target, *args))

        monkeypatch.setattr("alb_reconcile.cli.commands.reconcile.with_stack", with_stack)
        monkeypatch.setattr("alb_reconcile.api.runs.over", lambda _, run: found._run(run))
        yield found


def run(way: str, command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, dict[str, Any]]:
    """The exit code, what was said in the end, and what the history has of it."""
    if way == "python":
        code, said = 0, ""
        try:
            getattr(api, command)(api.load("stack.yaml"))
        except api.ReconcileError as error:
            code, said = int(error.exit_code), str(error)
    else:
        code = main([command, "--yes", "stack.yaml"])
        said = capsys.readouterr().err
    capsys.readouterr()
    assert main(["history", "--format", "json", "stack.yaml"]) == 0
    record = json.loads(capsys.readouterr().out)["runs"][0]
    assert (record["command"], record["exit_code"]) == (command, code)
    return code, said, record


@WAYS
def test_a_destroy_that_others_block_is_refused_before_anything(
    account: World, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    assert run(way, "apply", capsys)[0] == 0
    (vpc,) = (
        item["VpcId"] for item in account.client("ec2").describe_vpcs()["Vpcs"] if item["CidrBlock"] == "10.0.0.0/16"
    )
    account.client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")
    before = account.strict.inventory()
    code, said, record = run(way, "destroy", capsys)
    assert code == 4
    assert said.startswith("shop can't be destroyed, and nothing was changed:\n  ")
    assert account.strict.inventory() == before
    assert (record["result"], [step["how"] for step in record["steps"]]) == ("refused", ["planned"])


@WAYS
def test_a_run_of_which_something_remains_has_failed(
    account: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    """What it writes, something else takes back at once."""
    assert run(way, "apply", capsys)[0] == 0
    ask = account._call

    def lose(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "create_tags" and any(tag["Key"] == "team" for tag in params["Tags"]):
            return {}
        return ask(service, operation, params)

    monkeypatch.setattr(account, "_call", lose)
    Path("stack.yaml").write_text(SPEC.format(team="green"), encoding="utf-8")
    code, said, record = run(way, "apply", capsys)
    assert (code, "vpc.main" in said) == (1, True)
    assert (record["result"], [step["how"] for step in record["steps"]]) == ("failed", ["done"])
