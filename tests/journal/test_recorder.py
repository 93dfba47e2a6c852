"""From a run to its record, and back to whoever asks what was run."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.cli.main import main
from alb_reconcile.journal.history import read_history, write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import Record, place_name
from alb_reconcile.journal.recorder import Recorder, result_of, save_record
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.errors import ExitCode, HeldError, InterruptedRun, PlanError, RefusedError
from alb_reconcile.model.tags import spec_digest_of
from tests.harness import demo, load, world
from tests.journal.receiver import receiving
from tests.journal.records import FAILED, UPDATE, corrected, failed, left, made

ROOT = Path(__file__).parent.parent.parent
SECRET = "a secret of some length"


class TestRecorder:
    """A record of a real run, in the emulated account."""

    def test_a_run(self) -> None:
        spec = demo()
        desired = load(spec).desired
        recorder = Recorder("apply", "demo", "us-east-1", mask=Mask(), spec_file="demo.yaml", desired=desired)
        with world() as aws:
            result = aws.apply(spec)
        for event in result.events:
            recorder(event)
        recorder.plan, recorder.outcomes = result.plan, result.outcomes
        record = recorder.close(account="123456789012", calls=result.calls, requests=["create_vpc 1"])
        assert (record.result, record.exit_code, record.counts) == ("corrected", 0, result.plan.count())
        assert [step.key for step in record.steps] == [step.key for step in result.plan.steps]
        assert {step.how for step in record.steps} == {"done"}
        vpc = next(step for step in record.steps if "vpc.main" in step.key)
        assert vpc.id.startswith("vpc-")
        assert any(step.seconds > 1 for step in record.steps)
        assert (record.calls["create_vpc"], record.requests) == (1, ("create_vpc 1",))
        assert record.spec_digest == spec_digest_of(desired)
        assert record.user
        assert Record.from_json(record.to_json()) == record

    def test_a_run_that_fails(self) -> None:
        """AWS's code and request id, what couldn't be done because of it, and no secret of what AWS said."""
        spec = demo()
        spec["instances"]["web"]["instance_type"] = "p5.48xlarge"
        recorder = Recorder("apply", "demo", "us-east-1", mask=Mask(["p5.48xlarge of a secret", "InvalidParameter"]))
        with world() as aws:
            result = aws.apply(spec)
        assert result.failures
        recorder.plan, recorder.outcomes, recorder.exit_code = result.plan, result.outcomes, ExitCode.FAILED
        record = recorder.close()
        assert (record.result, record.exit_code) == ("failed", 1)
        broken = record.having(how="failed")
        assert broken
        assert all(step.code and step.error and step.request_id for step in broken)
        skipped = record.having(how="skipped")
        assert skipped
        assert all(step.reason.startswith("it needs instance.web-") for step in skipped)

    def test_what_was_withheld_and_what_ended_it(self) -> None:
        spec = demo()
        with world() as aws:
            plan = aws.plan(spec)
        keys = [step.key for step in plan.steps]
        recorder = Recorder(
            "sync", "demo", "us-east-1", mask=Mask([SECRET]), place=place_name("http://u:p@localhost:5000/x")
        )
        recorder.plan, recorder.withheld = plan, {keys[0]: f"because of {SECRET}"}
        record = recorder.close(error=RefusedError(f"more than\nhalf, {SECRET}"))
        assert (record.result, record.exit_code) == ("refused", 4)
        assert [(step.key, step.reason) for step in record.withheld] == [(keys[0], "because of ***")]
        assert len(record.having(how="planned")) == len(keys) - 1
        assert (record.error, record.code) == ("more than\\nhalf, ***", "RefusedError")
        assert record.place == "localhost:5000"

    def test_what_was_to_be_changed(self) -> None:
        """Property by property, on one line each, and nothing of user data."""
        spec = demo()
        with world() as aws:
            aws.apply(spec)
            spec["target_groups"]["web"]["health_check"].update(path="/token=hunter2hunter2", interval_seconds=30)
            spec["instances"]["web"]["user_data"] = "hunter2hunter2"
            spec["security_groups"]["web"]["ingress"][0]["port"] = 8080
            spec["instances"]["web"]["metadata_options"] = {"http_tokens": "optional"}
            plan = aws.plan(spec, allow={"close": 1})
        recorder = Recorder("apply", "demo", "us-east-1", mask=Mask())
        recorder.plan = plan
        record = recorder.close()
        changes = {step.key.partition("@")[0]: step.changes for step in record.steps}
        assert set(changes["replace:target_group.web"]) == {
            "health_check.interval_seconds: 10 → 30", "health_check.path: /health → /token=***",
        }  # fmt: skip
        assert changes["update:security_group_rules.web"] == (
            "+ ingress tcp 8080 from security_group.load-balancer",
        ), "as the plan says it"
        (metadata, user_data) = sorted(changes["replace:instance.web-1"])
        assert metadata == "metadata_options.http_tokens: required → optional", "which is no secret"
        assert re.fullmatch(r"user_data: sha256:\w{16} → sha256:\w{16}", user_data)
        assert "hunter2" not in record.to_json()
        assert Record.from_json(record.to_json()) == record

    @pytest.mark.parametrize(
        ("error", "result"),
        [
            (HeldError("x"), "held"), (RefusedError("x"), "refused"), (InterruptedRun("x"), "interrupted"),
            (KeyboardInterrupt(), "interrupted"), (PlanError("x"), "refused"), (OSError(), "failed"),
            (ExitCode.OK, "in_sync"), (ExitCode.CHANGES, "left"), (ExitCode.FAILED, "failed"),
            (ExitCode.REFUSED, "refused"), (ExitCode.INTERRUPTED, "interrupted"),
        ],
        ids=repr,
    )  # fmt: skip
    def test_results_of_errors_and_exit_codes(self, error: BaseException | ExitCode, result: str) -> None:
        if isinstance(error, BaseException):
            assert result_of(error) == result
            return
        recorder = Recorder("sync", "x", "y", mask=Mask())
        recorder.exit_code = error
        record = recorder.close()
        assert (record.result, record.exit_code) == (result, error)

    def test_the_digest_is_of_what_is_wanted(self) -> None:
        spec = demo()
        before = spec_digest_of(load(spec).desired)
        assert spec_digest_of(load(dict(reversed(spec.items()))).desired) == before
        spec["vpcs"]["main"]["enable_dns_hostnames"] = False
        assert spec_digest_of(load(spec).desired) != before

    def test_a_clock_that_jumps(self) -> None:
        moments = iter([1_795_489_200.0, 1_000_000_000.0])
        record = Recorder("sync", "x", "y", mask=Mask(), now=lambda: next(moments)).close()
        assert record.result == "in_sync"
        assert (record.started, record.ended) == ("2026-11-24T03:00:00Z", "2001-09-09T01:46:40Z")
        assert 0 <= record.seconds < 60


class TestSaving:
    """History, metrics and webhook, each for itself, and never the run's failure."""

    def save(self, record: Record, environ: dict[str, str]) -> list[str]:
        warnings: list[str] = []
        asyncio.run(save_record(record, read_settings(environ), warnings.append))
        return warnings

    def environ(self, tmp_path: Path, url: str = "") -> dict[str, str]:
        return {
            "ALB_RECONCILE_STATE_DIR": str(tmp_path / "state"),
            "ALB_RECONCILE_METRICS_FILE": str(tmp_path / "x.prom"),
            "ALB_RECONCILE_WEBHOOK_URL": url,
            "ALB_RECONCILE_WEBHOOK_SECRET": SECRET,
            "ALB_RECONCILE_WEBHOOK_ALLOW": "private,http",
        }

    def test_all_of_it(self, tmp_path: Path) -> None:
        with receiving() as receiver:
            assert self.save(failed(), self.environ(tmp_path, receiver.url)) == []
        assert len(receiver.requests) == 1
        assert read_history(tmp_path / "state", "shop").runs == (failed(),)
        assert 'result="failed"' in (tmp_path / "x.prom").read_text()

    def test_lost_metrics_find_the_last_success_in_the_history(self, tmp_path: Path) -> None:
        self.save(made(), self.environ(tmp_path))
        (tmp_path / "x.prom").unlink()
        self.save(failed(), self.environ(tmp_path))
        assert "alb_reconcile_last_success_timestamp_seconds{" in (tmp_path / "x.prom").read_text()

    def test_each_for_itself(self, tmp_path: Path) -> None:
        """Three things in the way are three warnings; one alone keeps nothing from the others."""
        (tmp_path / "state").write_text("")
        (tmp_path / "x.prom").mkdir()
        with receiving(status=500) as receiver:
            warnings = self.save(failed(), self.environ(tmp_path, receiver.url))
        told = [line.partition(":")[0] for line in warnings]
        assert told[:2] == ["this run isn't in the history", "this run isn't in the metrics"]
        assert len(warnings) == 3
        assert all("\n" not in line and SECRET not in line for line in warnings)
        (tmp_path / "state").unlink()
        with receiving() as receiver:
            assert len(self.save(failed(), self.environ(tmp_path, receiver.url))) == 1
        assert len(receiver.requests) == 1
        assert read_history(tmp_path / "state", "shop").runs == (failed(),)


class TestHistory:
    """`alb-reconcile history`."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "shop.yaml").write_text("stack: shop\nregion: eu-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n")

    def write(self, tmp_path: Path, *records: Record) -> None:
        for record in records:
            write_history(record, tmp_path / "state")

    def test_text(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        throttled = {
            "run_instances": Throttled(1, "2026-11-24T03:05:30Z"),
            "describe_rules": Throttled(3, "2026-11-24T03:05:40Z"),
        }
        self.write(
            tmp_path,
            corrected(started="2026-11-24T03:05:00Z", seconds=75, throttled=throttled),
            failed(started="2026-11-24T03:10:00Z", command="apply", steps=(FAILED, UPDATE), seconds=3725),
            left(started="2026-11-24T03:15:00Z"),
            made(started="2026-11-24T03:20:00Z", result="failed", error="no usable AWS credentials", account=""),
        )
        assert main(["history", "shop.yaml"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "shop · eu-west-1 · account unknown",
            "  2026-11-24 03:20:00Z  sync     failed       12s, cron@ops-1",
            "      no usable AWS credentials",
            "",
            "shop · eu-west-1 · account 123456789012",
            "  2026-11-24 03:15:00Z  sync     left         1 left, 12s, cron@ops-1",
            "      · replace instance.web-1 not corrected (drift): replacements are for a person",
            "  2026-11-24 03:10:00Z  apply    failed       1 updated, 1 failed, 1h 2m, cron@ops-1",
            "      ✗ update target_group.web (drift): it was denied",
            "      ✓ update target_group.web (drift); health_check.path: /x → /",
            "  2026-11-24 03:05:00Z  sync     corrected    1 updated, 1m 15s, cron@ops-1",
            "      AWS throttled describe_rules 3 ×, last at 2026-11-24T03:05:40Z; run_instances 1 ×, last at 2026-11-24T03:05:30Z",
            "      ✓ update target_group.web (drift); health_check.path: /x → /",
        ]

    def test_the_sandboxes_runs_are_apart(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.write(tmp_path, made(user="local", place="sandbox"), made(user="else", place="localhost:5000"))
        assert main(["history", "shop.yaml"]) == 0
        assert capsys.readouterr().out.endswith('". Those in the sandbox are shown with --sandbox.\n')
        self.write(tmp_path, made(user="aws"))

        def shown(*options: str) -> list[str]:
            assert main(["history", "shop.yaml", *options]) == 0
            out = capsys.readouterr().out
            return [name for name in ("aws@", "local@", "else@") if name in out]

        assert (shown(), shown("--sandbox")) == (["aws@"], ["local@"])
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://key:secret@localhost:5000")
        assert shown() == ["else@"]

    @pytest.mark.parametrize(
        ("words", "code", "text"),
        [
            (["shop.yaml", "--stack", "shop"], 64, "history needs SPEC (default stack.yaml), or --stack NAME"),
            (["shop.yaml", "--limit", "0"], 64, "isn't a number from 1 to"),
            (["shop.yaml", "--state-dir", "shop.yaml"], 1, "can't be read: not a directory"),
        ],
    )
    def test_mistakes(self, words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["history", *words]) == code
        assert text in capsys.readouterr().err

    def test_nothing_of_it_reaches_the_terminal_unescaped(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Not even of a history that somebody else has written."""
        evil = "\x1b[2J\u202e\r\n\u2028x"
        step = dict.fromkeys(("key", "error", "reason", "cause"), evil)
        record = {
            **failed().to_data(),
            **dict.fromkeys(("command", "result", "host", "user", "account", "error", "place"), evil),
            "steps": [{**step, "action": evil, "how": "failed"}, {**step, "action": evil, "how": "withheld"}],
        }
        self.write(tmp_path, made())
        (file,) = (tmp_path / "state" / "history").glob("*.jsonl")
        file.write_text(json.dumps({**record, "place": ""}) + "\n")
        assert main(["history", "shop.yaml"]) == 0
        out = capsys.readouterr().out
        assert "\\x1b[2J\\u202e\\r\\n\\u2028x" in out
        assert all(line.isprintable() for line in out.split("\n"))
