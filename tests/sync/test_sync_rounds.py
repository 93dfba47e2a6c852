"""Many stacks: which specs there are, and that what goes wrong with one of them, or with its record, is told and no more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.sync import sync_text
from alb_reconcile.journal.record import RunRecord, StepRecord
from alb_reconcile.model.errors import ExitCode, UsageError
from alb_reconcile.model.policy import Policy
from alb_reconcile.spec.stack import load_stack
from alb_reconcile.sync.rounds import SyncReport
from alb_reconcile.sync.targets import find_specs, load_targets

if TYPE_CHECKING:
    from pathlib import Path

SPEC = "stack: {}\nregion: us-east-1\nvpcs: {{main: {{cidr_block: 10.0.0.0/16}}}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of specs, one stack each."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stack.yaml").write_text(SPEC.format(f"stack-{name}"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestSpecs:
    """Files, folders and patterns."""

    def test_each_is_found_once_in_the_order_of_the_places(self, folder: Path) -> None:
        (folder / "one" / ".hidden.yaml").write_text("")
        (folder / "one" / "deeper").mkdir()
        (folder / "one" / "deeper" / "more.yaml").write_text("")
        assert find_specs(["two", "*/stack.yaml", "one"]) == ["two/stack.yaml", "one/stack.yaml"]
        assert find_specs(["one/**/*.yaml"]) == ["one/deeper/more.yaml", "one/stack.yaml"]

    @pytest.mark.parametrize(
        ("place", "told"), [("loop.yaml", ""), ("x" * 5000, ""), ("one/nothing/*.yaml", "no file matches")]
    )
    def test_what_cant_be_looked_into_is_told(self, folder: Path, place: str, told: str) -> None:
        """A circle of links and a file that isn't there are broken specs like others."""
        (folder / "loop.yaml").symlink_to("loop.yaml")
        found = load_targets(["one", place], load_stack, Policy)
        assert [target.stack for target in found.stacks] == ["stack-one"]
        assert [told in item.text for item in found.broken] == [True]

    def test_a_folder_without_specs_is_a_mistake(self, folder: Path) -> None:
        (folder / "empty").mkdir()
        with pytest.raises(UsageError, match=r"no \*\.yaml or \*\.yml"):
            find_specs(["empty"])

    def test_two_specs_of_one_stack_are_both_left_alone(self, folder: Path) -> None:
        (folder / "two" / "stack.yaml").write_text(SPEC.format("stack-one"))
        found = load_targets(["one", "two"], load_stack, Policy)
        assert found.stacks == ()
        assert ["one/stack.yaml" in item.text for item in found.broken] == [True, True]


def _record(result: str) -> RunRecord:
    moment = "2026-11-24T03:00:00Z"
    return RunRecord("r", "sync", "demo", "us-east-1", moment, moment, result)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (("in_sync", "corrected"), ExitCode.OK),
        (("in_sync", "held"), ExitCode.OK),
        (("held", "held"), ExitCode.HELD),
        (("left", "held", "in_sync"), ExitCode.CHANGES),
        (("left", "failed"), ExitCode.FAILED),
        (("refused", "in_sync"), ExitCode.FAILED),
        (("failed", "interrupted"), ExitCode.INTERRUPTED),
        ((), ExitCode.OK),
    ],
)
def test_the_gravest_result_makes_the_exit_code(results: tuple[str, ...], code: ExitCode) -> None:
    assert SyncReport([_record(result) for result in results]).code is code


@pytest.mark.parametrize(
    ("cause", "how", "changes", "is_told"),
    [
        ("drift", "withheld", ("health_check.path: /x → /",), True),
        ("spec", "withheld", ("health_check.path: /x → /",), False),
        ("drift", "done", ("health_check.path: /x → /",), False),
        ("drift", "withheld", (), False),  # something is missing, or too much: no value to keep
    ],
)
def test_drift_that_is_left_says_once_what_to_do(cause: str, how: str, changes: tuple[str, ...], is_told: bool) -> None:
    steps = tuple(StepRecord(f"update:target_group.{n}", "update", cause, how, changes=changes) for n in "ab")
    records = [replace(_record("left"), steps=steps, run=run) for run in ("1", "2")]
    for quiet in (False, True):
        *_, line, _ = sync_text(SyncReport(records), Style(colored=False), quiet=quiet).splitlines()
        assert ("alb-reconcile plan SPEC" in line and "alb-reconcile adopt SPEC --write" in line) == is_told
        assert sync_text(SyncReport(records), Style(colored=False), quiet=quiet).count("--write") == is_told


def test_a_stack_that_is_held_is_named_where_something_is_told_anyway() -> None:
    fine, held = (replace(_record(word), stack=word, run=word) for word in ("in_sync", "held"))
    assert sync_text(SyncReport([fine, held]), Style(colored=False), quiet=True) == ""
    told = sync_text(SyncReport([fine, held, _record("failed")]), Style(colored=False), quiet=True).splitlines()
    assert told[:-1] == ["held  held", "demo  failed"]


class TestFailures:
    """On the command line, without AWS."""

    @pytest.fixture(autouse=True)
    def _nobody_there(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("STATE", "LOCK"):
            monkeypatch.setenv(f"ALB_RECONCILE_{name}_DIR", str(folder / name))
        aws = {
            "ACCESS_KEY_ID": "x",
            "SECRET_ACCESS_KEY": "x",
            "ENDPOINT_URL": "http://127.0.0.1:9",
            "MAX_ATTEMPTS": "1",
        }
        for name, value in aws.items():
            monkeypatch.setenv(f"AWS_{name}", value)

    def test_a_failure_is_told_once_to_cron(self, capsys: pytest.CaptureFixture[str]) -> None:
        """cron mails standard output and standard error."""
        assert main(["sync", "-q", "one", "--profile", "nope"]) == 1
        told = capsys.readouterr()
        assert told.out.count("nope") == 1
        assert told.err == ""

    def test_a_run_that_cant_be_recorded_is_told(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It isn't taken for nothing to do."""

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError("no such thing")

        monkeypatch.setattr("alb_reconcile.journal.recorder.Recorder", refuse)
        assert main(["sync", "one", "--format", "json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert told["broken"][0]["spec_file"] == "one/stack.yaml"
        assert "no such thing" in told["broken"][0]["error"]

    def test_a_policy_that_is_broken_is_told_at_once(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "policy.yaml").write_text("max_deletion: 1\n")
        assert main(["sync", "one", "--policy", "policy.yaml"]) == 3
        assert "did you mean max_deletions?" in capsys.readouterr().err
