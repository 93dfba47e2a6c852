"""Metrics: what Prometheus would read, and that nobody's series are lost."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.metrics import write_metrics
from alb_reconcile.journal.record import RESULTS
from tests.journal.records import REPLACE, UPDATE, corrected, failed, left, made

if TYPE_CHECKING:
    from pathlib import Path

OWNER = {"stack": "shop", "region": "eu-west-1", "account": "123456789012"}
ENDED = 1795489212.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alb-reconcile.prom"


def value(file: Path, name: str, **labels: str) -> float | None:
    """The one sample of that name with those labels among others; None if there is none."""
    wanted = {**OWNER, **labels}.items()
    found = [
        sample.value
        for family in text_string_to_metric_families(file.read_text("utf-8"))
        for sample in family.samples
        if sample.name == f"alb_reconcile_{name}" and wanted <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_a_first_run(file: Path) -> None:
    write_metrics(corrected(calls={"describe_vpcs": 3, "create_tags": 1}), file)
    assert value(file, "last_run_timestamp_seconds") == ENDED
    assert value(file, "last_success_timestamp_seconds") == ENDED
    assert value(file, "last_run_duration_seconds") == 12.5
    results = {result: value(file, "last_run_result", result=result) for result in RESULTS}
    assert results == {result: float(result == "corrected") for result in RESULTS}
    assert value(file, "runs_total", command="sync", result="corrected") == 1
    assert value(file, "steps_total", action="update", outcome="done") == 1
    assert value(file, "api_calls_total", operation="describe_vpcs") == 3
    assert value(file, "drift_found") == value(file, "drift_corrected_total") == 1
    assert value(file, "drift_left") == value(file, "spec_left") == 0


def test_counters_go_on_and_gauges_are_of_the_last_run(file: Path) -> None:
    write_metrics(corrected(), file)
    write_metrics(corrected(), file)
    write_metrics(left(REPLACE, UPDATE, ended="2026-11-24T03:05:00Z", seconds=2.0), file)
    assert value(file, "runs_total", result="corrected") == 2
    assert value(file, "runs_total", result="left") == 1
    assert value(file, "steps_total", action="update", outcome="done") == 3
    assert value(file, "steps_total", action="replace", outcome="withheld") == 1
    assert value(file, "api_calls_total", operation="describe_vpcs") == 6
    assert value(file, "last_run_duration_seconds") == 2
    assert (value(file, "drift_found"), value(file, "drift_left")) == (2, 1)
    assert value(file, "drift_corrected_total") == 3
    waiting = ("load_balancer.public is provisioning",)
    write_metrics(corrected(command="apply", ended="2026-11-24T03:06:00Z", not_ready=waiting), file)
    assert value(file, "last_success_timestamp_seconds") == ENDED
    assert value(file, "last_run_timestamp_seconds") == ENDED + 348


def test_a_file_that_was_lost(file: Path) -> None:
    """The last success is told from elsewhere, and not if the file knows it."""
    write_metrics(failed(), file, last_success=7.0)
    assert value(file, "last_success_timestamp_seconds") == 7
    write_metrics(failed(), file, last_success=5.0)
    assert value(file, "last_success_timestamp_seconds") == 7


def test_stacks_write_into_one_file_at_the_same_time(file: Path) -> None:
    others = [{"stack": "blog"}, {"region": "us-east-1"}, {"account": "210987654321"}, {}]

    def write(changes: dict[str, str]) -> None:
        for _ in range(5):
            write_metrics(made(**changes), file)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, others))
    assert [value(file, "runs_total", **other) for other in others] == [5] * 4


def test_a_stack_that_is_gone_leaves_nothing_to_alert_on(file: Path) -> None:
    write_metrics(made(stack="blog"), file)
    write_metrics(failed(command="destroy"), file)
    assert value(file, "last_run_result", result="failed") == 1
    write_metrics(corrected(command="destroy"), file)
    assert "shop" not in file.read_text()
    assert value(file, "last_run_timestamp_seconds", stack="blog") == ENDED


@settings(max_examples=20)
@given(st.text(min_size=1), st.text())
def test_hostile_names(tmp_path_factory: pytest.TempPathFactory, stack: str, operation: str) -> None:
    file = tmp_path_factory.mktemp("metrics") / "x.prom"
    for _ in range(2):
        write_metrics(made(stack=stack, calls={operation: 1}), file)
    assert value(file, "api_calls_total", stack=stack, operation=operation) == 2


@pytest.mark.parametrize(
    "text",
    ["node_load1 0.5\n", "}{\n", "\udcff", 'alb_reconcile_runs_total{a="b"} 1\n', "alb_reconcile_runs_total x\n"],
)
def test_somebody_elses_file_is_left_alone(file: Path, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    file.write_bytes(data)
    with pytest.raises(RecordError, match="was left unchanged; remove it"):
        write_metrics(made(), file)
    assert file.read_bytes() == data


def test_a_full_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_metrics(made(), file)
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RecordError, match="no space left on device; its old content is still there"):
        write_metrics(failed(), file)
    assert file.read_bytes() == before
    assert {item.name for item in file.parent.iterdir()} <= {file.name, file.name + ".lock"}


def test_the_example_alerts_ask_for_metrics_that_there_are(file: Path, repository: Path) -> None:
    write_metrics(left(REPLACE, UPDATE), file)
    write_metrics(made(), file)
    samples = {sample.name for family in text_string_to_metric_families(file.read_text()) for sample in family.samples}
    text = (repository / "examples" / "prometheus-alerts.yaml").read_text()
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 6
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        asked = set(re.findall(r"alb_reconcile_\w+", rule["expr"]))
        assert asked, rule["alert"]
        assert asked <= samples, rule["alert"]
        for result in re.findall(r'result="([^"]*)"', rule["expr"]):
            assert result in RESULTS


def test_a_run_that_never_reached_aws(file: Path) -> None:
    """It counts for the account in which the stack ran before; else it stands alone until the account is known."""
    unknown = failed(account="", counts={}, steps=())
    write_metrics(unknown, file)
    assert value(file, "last_run_result", result="failed", account="") == 1
    write_metrics(made(), file)
    assert value(file, "last_run_result", result="failed", account="") is None
    write_metrics(unknown, file)
    assert value(file, "last_run_result", result="failed") == 1
    assert 'account=""' not in file.read_text()


def test_metrics_of_a_later_version_stay(file: Path) -> None:
    later = '# HELP alb_reconcile_new_total New.\n# TYPE alb_reconcile_new_total counter\nalb_reconcile_new_total{stack="x"} 3.0\n'
    file.write_text(later)
    write_metrics(made(), file)
    assert later in file.read_text()
    assert value(file, "last_run_timestamp_seconds") == ENDED
