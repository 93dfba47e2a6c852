"""The three commands as their user meets them: what goldens (tests/golden/test_golden_tags.py) don't show."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.cli.main import main
from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, our_tags, runbook
from tests.harness import Spec, demo, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account, and a folder to keep locks and specs in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    _write("runbook", runbook())
    _write("demo", demo())
    with world() as found:
        yield found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A command's exit code, and what it prints."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def _write(name: str, spec: Spec) -> None:
    Path(f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


@pytest.mark.slow
def test_what_they_did_is_in_the_history_and_sync_knows(account: World, run: Run) -> None:
    ids = build_runbook(account, RUNBOOK_NAMES)
    code, out, err = run("adopt", "runbook.yaml")
    assert (code, "no terminal to ask for confirmation" in err) == (4, True)
    assert not our_tags(account)
    assert "After that, apply has nothing to do." in out
    assert run("adopt", "runbook.yaml", "--yes")[0] == 0
    assert re.search(r"Z  adopt    done +11 updated, ", run("history", "runbook.yaml")[1])
    (record,) = json.loads(run("history", "runbook.yaml", "--format", "json")[1])["runs"]
    vpc = {"key": f"update:vpc.main@{ids['vpc.main']}", "action": "update", "how": "done", "id": ids["vpc.main"]}
    assert {**vpc, "changes": ["tags"]} in record["steps"]
    assert record["requests"]
    assert run("move", "runbook.yaml", "vpc.main", "vpc.network", "--yes")[0] == 0
    assert "nothing is at vpc.main: there is nothing to forget" in run("forget", "runbook.yaml", "vpc.main")[1]
    code, out, _ = run("forget", "runbook.yaml", "--yes")
    assert (code, "First take runbook.yaml out of the folder that sync reads" in out) == (0, True)
    assert not our_tags(account)
    assert re.search(r"  forget   done .*\n.*  move     done +1 updated, ", run("history", "runbook.yaml")[1])
    account.converge(demo())
    assert run("forget", "demo.yaml", "--yes")[0] == 0
    code, out, _ = run("sync", "demo.yaml")
    assert (code, "as it was forgotten on this host " in out) == (2, True)
    assert "remove the spec from this folder; alb-reconcile adopt demo.yaml takes it back" in out


@pytest.mark.slow
def test_what_apply_would_replace_or_refuse_is_told_before(account: World, run: Run) -> None:
    """A group that is in use and keeps its name can't be replaced."""
    ids = build_runbook(account, RUNBOOK_NAMES)
    spec = runbook()
    spec["instances"]["web-a"]["instance_type"] = "t3.small"
    _write("runbook", spec)
    said = f"Warning: apply would REPLACE instance.web-a-1 ({ids['instance.web-a-1']}): instance_type"
    assert said in run("adopt", "runbook.yaml")[1]
    spec = runbook()
    spec["security_groups"]["main"]["description"] = "web"
    _write("runbook", spec)
    why = 'security_group.main: description is "security group for efs" and should be "web", which can\'t be changed in place; '
    code, out, _ = run("adopt", "runbook.yaml")
    assert (code, f"Warning: after that, apply would be refused: {why}" in out) == (4, True)
    assert run("adopt", "runbook.yaml", "--yes")[0] == 0
    code, _, err = run("plan", "runbook.yaml")
    assert (code, err.splitlines()[-1].startswith(why)) == (4, True)


@pytest.mark.parametrize("arguments", [("adopt",), ("forget",), ("move", "vpc.main", "vpc.network")])
def test_in_an_account_that_the_spec_doesnt_allow_nothing_is_written(
    account: World, run: Run, arguments: tuple[str, ...]
) -> None:
    account.converge(demo())
    account.client("ec2").create_vpc(CidrBlock="10.5.0.0/16")
    before = account.strict.inventory()
    spec = {**demo(), "account_ids": ["210987654321"]}
    spec["vpcs"]["other"] = {"cidr_block": "10.5.0.0/16"}
    for section in ("subnets", "internet_gateways", "route_tables", "security_groups", "target_groups"):
        for entry in spec[section].values():
            entry["vpc"] = "main"
    _write("elsewhere", spec)
    code, _, err = run(arguments[0], "elsewhere.yaml", *arguments[1:], "--yes")
    assert (code, "the spec's account_ids allow only 210987654321" in err) == (4, True)
    assert account.strict.inventory() == before
