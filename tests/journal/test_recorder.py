"""From a run to its record, and back to whoever asks what was run."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.journal.history import read_history, write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import RunRecord, place_name
from alb_reconcile.journal.recorder import Recorder, result_of, save_record
from alb_reconcile.journal.settings import read_settings
from alb_reconcile.model.errors import ExitCode, HeldError, InterruptedRun, PlanError, RefusedError
from alb_reconcile.model.tags import spec_digest_of
from tests.harness import demo, load, world
from tests.journal.receiver import receiving
from tests.journal.records import failed, made

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
        assert RunRecord.from_json(record.to_json()) == record

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
        assert RunRecord.from_json(record.to_json()) == record

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


class TestSaving:
    """History, metrics and webhook, each for itself, and never the run's failure."""

    def save(self, record: RunRecord, environ: dict[str, str]) -> list[str]:
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

    def write(self, tmp_path: Path, *records: RunRecord) -> None:
        for record in records:
            write_history(record, tmp_path / "state")

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
