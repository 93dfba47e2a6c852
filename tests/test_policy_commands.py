"""`policy:`, `--policy` and `--allow` as a user meets them: what `plan`, `apply` and `destroy` say and return."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.model.policy import Policy
from tests.harness import world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import World

pytestmark = pytest.mark.slow

SPEC = "stack: shop\nregion: us-east-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account, and a folder with a spec of one VPC and files for policies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    (tmp_path / "stack.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "none.yaml").write_text("never_delete: [vpc]\nmax_touched: 0%\n", encoding="utf-8")
    (tmp_path / "closed.yaml").write_text(closed(), encoding="utf-8")
    with world() as found:
        yield found


def closed() -> str:
    """A policy whose window is on the day after tomorrow only."""
    day = datetime.now(UTC) + timedelta(days=2)
    return f"windows: [{{days: [{day:%a}]}}]\n".lower()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """The command line in this process: what it prints on standard output and on standard error."""

    def ended(*words: str, code: int = 0) -> tuple[str, str]:
        assert main(words) == code
        printed = capsys.readouterr()
        return printed.out, printed.err

    return ended


def vpcs(account: World) -> list[str]:
    """The ranges of the stack's VPCs."""
    found = account.client("ec2").describe_vpcs(Filters=[{"Name": "tag-key", "Values": ["alb-reconcile:stack"]}])
    return [str(item["CidrBlock"]) for item in found["Vpcs"]]


def test_outside_of_the_windows_a_plan_is_made_and_an_apply_is_refused(account: World, run: Any) -> None:
    out, err = run("plan", "stack.yaml", "--policy", "closed.yaml")
    assert "Plan: 1 to create" in out
    assert err.startswith("Note: it is outside the policy's windows (")
    assert "changes are refused until " in err
    assert run("plan", "stack.yaml", "--policy", "closed.yaml", "--allow", "any-time")[1] == ""
    _, err = run("apply", "--yes", "stack.yaml", "--policy", "closed.yaml", code=4)
    assert err.rstrip().endswith("00:00 UTC; allow it once with --allow any-time")
    assert vpcs(account) == []
    run("apply", "--yes", "stack.yaml", "--policy", "closed.yaml", "--allow", "any-time")
    assert vpcs(account) == ["10.0.0.0/16"]
    assert run("plan", "stack.yaml", "--policy", "closed.yaml")[1] == ""  # there is nothing to refuse
    run("apply", "stack.yaml", "--policy", "closed.yaml")
    for words in (("stack.yaml",), ("--stack", "shop", "--region", "us-east-1")):
        assert "any-time" in run("destroy", "--yes", *words, "--policy", "closed.yaml", code=4)[1]
    assert vpcs(account) == ["10.0.0.0/16"]


def test_a_destroy_obeys_what_is_never_deleted_and_nothing_that_is_counted(account: World, run: Any) -> None:
    run("apply", "--yes", "stack.yaml")
    _, err = run("destroy", "--yes", "stack.yaml", "--policy", "none.yaml", code=4)
    assert err.startswith("vpc.main (vpc-")
    assert err.rstrip().endswith(
        "would be deleted, and never_delete names vpc; allow it once with --allow never-delete=1"
    )
    assert vpcs(account) == ["10.0.0.0/16"]
    run("destroy", "--yes", "stack.yaml", "--policy", "none.yaml", "--allow", "never-delete=1")
    assert vpcs(account) == []


def test_the_specs_own_policy_and_that_of_the_file_hold_both(account: World, run: Any, tmp_path: Path) -> None:
    run("apply", "--yes", "stack.yaml")
    (tmp_path / "stack.yaml").write_text(
        SPEC.replace("/16}", "/16, enable_dns_hostnames: true}") + "policy: {max_touched: 50%}\n"
    )
    _, err = run("apply", "--yes", "stack.yaml", code=4)
    assert "max_touched is 50%, and the plan changes, replaces or deletes 1 of the stack's 1 resources" in err
    assert "max_touched is 0%" in run("plan", "stack.yaml", "--policy", "none.yaml", code=4)[1]
    run("apply", "--yes", "stack.yaml", "--policy", "none.yaml", "--allow", "touch=1")


def test_a_window_that_closes_while_the_question_is_open(
    account: World, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([True, False])
    monkeypatch.setattr(Policy, "is_open", lambda *_: next(times, False))
    assert "any-time" in run("apply", "--yes", "stack.yaml", code=4)[1]
    assert vpcs(account) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("policy: {max_deletions: 1}", "1:1: policy: isn't needed: this file is the policy; put its keys at the top"),
        ("{}", "1:1: says nothing; give one of max_deletions"),
        (None, "1:1: can't be read: No such file or directory; name a file with the keys"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_before_aws_is_asked(
    run: Any, tmp_path: Path, text: str | None, told: str
) -> None:
    (tmp_path / "stack.yaml").write_text(SPEC, encoding="utf-8")
    file = tmp_path / "policy.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    for command in (("plan",), ("apply", "--yes"), ("destroy", "--yes")):
        _, err = run(*command, str(tmp_path / "stack.yaml"), "--policy", str(file), code=3)
        assert err.startswith(f"{file}:{told}")
        assert err.count("\n") == 1
