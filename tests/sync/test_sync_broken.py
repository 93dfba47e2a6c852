"""A spec that somebody broke: its stack's history, metrics, webhook and issue hear of it, and not only who reads the report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.journal.history import read_history
from alb_reconcile.sandbox.strict import StrictAws
from tests.harness import FAKE_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SPEC = "stack: {}\nregion: us-east-1\nvpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}\n"
BROKEN = SPEC.replace("cidr_block", "cdir_block")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two applied stacks."""
    for name, value in FAKE_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stacks").mkdir()
    for name in ("shop", "blog"):
        (tmp_path / "stacks" / f"{name}.yaml").write_text(SPEC.format(name))
    with StrictAws(clock=time.monotonic):
        assert main(["apply", "stacks", "--yes"]) == 0
        yield tmp_path


def sync() -> int:
    return main(["sync", "stacks", "--issue", "issues", "--metrics-file", "metrics.prom"])


def results(folder: Path, stack: str) -> list[str]:
    return [run.result for run in reversed(read_history(folder / "state", stack).runs)]


def test_all_who_are_told_of_runs_hear_of_it(folder: Path) -> None:
    assert sync() == 0
    spec = folder / "stacks" / "shop.yaml"
    spec.write_text(BROKEN.format("shop"))
    assert sync() == 1
    assert results(folder, "shop") == ["corrected", "in_sync", "failed"]
    assert results(folder, "blog") == ["corrected", "in_sync", "in_sync"]
    last = read_history(folder / "state", "shop").runs[0]
    assert (last.account, last.spec_file) == ("123456789012", "stacks/shop.yaml")
    assert "stacks/shop.yaml:3:" in last.error
    metrics = (folder / "metrics.prom").read_text(encoding="utf-8")
    assert 'last_run_result{account="123456789012",region="us-east-1",result="failed",stack="shop"} 1.0' in metrics
    (issue,) = (folder / "issues").glob("*.md")
    assert "cdir_block" in issue.read_text(encoding="utf-8")
    spec.write_text(SPEC.format("shop"))
    assert sync() == 0
    assert "State: closed" in issue.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variable", "says"), [("AWS_PROFILE", "profile (broken.ini)"), ("AWS_CONFIG_FILE", "Unable to parse config file")]
)
def test_settings_of_aws_that_cant_be_used_are_a_failed_run_of_each_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, says: str
) -> None:
    """A profile that somebody renamed: who is paged hears of it."""
    (folder / "broken.ini").write_text("[default\n")
    for spec in (folder / "stacks").iterdir():  # so that the region is the profile's
        spec.write_text(spec.read_text().replace("region: us-east-1\n", ""))
    with monkeypatch.context() as broken:
        broken.setenv(variable, "broken.ini")
        broken.delenv("AWS_REGION", raising=False)
        broken.delenv("AWS_DEFAULT_REGION", raising=False)
        assert sync() == 1
    for stack in ("shop", "blog"):
        (last,) = (run for run in read_history(folder / "state", stack).runs if run.result == "failed")
        assert says in last.error
    metrics = (folder / "metrics.prom").read_text(encoding="utf-8")
    assert 'region="us-east-1",result="failed",stack="shop"} 1.0' in metrics
    issues = [*(folder / "issues").glob("*.md")]
    assert len(issues) == 2
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert sync() == 0
    assert all("State: closed" in issue.read_text(encoding="utf-8") for issue in issues)


def test_whose_broken_specs_are_nobodys(folder: Path) -> None:
    """One that was never run, one whose stack another spec has now, and one whose stack was destroyed."""
    stacks = folder / "stacks"
    assert main(["destroy", str(stacks / "blog.yaml"), "--yes"]) == 0
    (stacks / "new.yaml").write_text(SPEC.format("shop"))
    for name in ("third", "shop", "blog"):
        (stacks / f"{name}.yaml").write_text(BROKEN.format(name))
    assert sync() == 1
    assert [results(folder, name)[-1:] for name in ("third", "shop", "blog")] == [[], ["in_sync"], ["corrected"]]
    assert not (folder / "issues").exists()


def test_an_empty_spec_is_named_by_the_stack_that_it_was_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sample in its place would take the stack away."""
    spec = folder / "stacks" / "shop.yaml"
    spec.write_text("# stack: shop\n")
    (folder / "stacks" / "new.yaml").write_text("# nothing yet\n")
    assert sync() == 1
    told = "is empty; it was the spec of the stack shop: take it from your repository; `alb-reconcile export --stack shop` writes it anew"
    out = capsys.readouterr().out
    assert f"stacks/shop.yaml:1:1: {told}\n" in out
    assert "stacks/new.yaml:1:1: is empty; `alb-reconcile init` writes" in out
    (issue,) = (folder / "issues").glob("*.md")
    assert told in issue.read_text(encoding="utf-8")
    assert told in read_history(folder / "state", "shop").runs[0].error
