"""Each run is recorded, and what can't be recorded is a warning only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.at_length import only_at_length
from tests.e2e.tool import DEMO
from tests.processes import rest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Tool


def history(tool: Tool, spec: str = DEMO) -> list[dict[str, Any]]:
    """The runs, the newest first."""
    found: list[dict[str, Any]] = json.loads(tool.run("history", "--format", "json", spec).stdout)["runs"]
    return found


@only_at_length("tests/golden/test_golden_records.py::test_records")
def test_runs_are_recorded_however_they_end(proxied: tuple[Proxy, Tool], tmp_path: Path) -> None:
    (proxy, tool), metrics = proxied, tmp_path / "alb.prom"
    gate = proxy.hold("CreateVpc")
    with tool.forked("apply", "--yes", DEMO) as process:
        gate.wait()
        tool.run("destroy", "--yes", DEMO, expect=5)
        gate.open()
        rest_of(process)
    tool.run("apply", DEMO, "--metrics-file", str(metrics))
    tool.run("destroy", DEMO, expect=4)
    tool.run("destroy", "--yes", DEMO)
    runs = history(tool)
    told = {(run["command"], run["result"], run["exit_code"]) for run in runs}
    assert told == {
        ("apply", "corrected", 0),
        ("destroy", "held", 5),
        ("apply", "in_sync", 0),
        ("destroy", "refused", 4),
        ("destroy", "corrected", 0),
    }
    made = next(run for run in runs if (run["command"], run["result"]) == ("apply", "corrected"))
    assert made["counts"]["create"] == 16
    assert {step["how"] for step in made["steps"]} == {"done"}
    assert made["calls"]["create_vpc"] == 1
    writes = sum(number for name, number in made["calls"].items() if not name.startswith(("describe_", "get_")))
    assert len(made["requests"]) == writes
    assert all(len(item.split()) == 2 for item in made["requests"]), "each with AWS's id"
    assert (made["account"], made["place"], made["spec_file"]) == ("123456789012", "sandbox", DEMO)
    assert 'alb_reconcile_last_run_result{account="123456789012"' in metrics.read_text()


def test_what_cant_be_recorded_is_a_warning(sandbox: Tool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = sandbox.run("apply", "--yes", DEMO, "--state-dir", str(tmp_path / "file" / "state"))
    assert ended.stderr.count("this run isn't in the history") == 1
    assert "Converged." in ended.stdout


def test_a_wrong_setting_is_told_before_anything_is_changed(sandbox: Tool) -> None:
    ended = sandbox.run("apply", "--yes", DEMO, "--metrics-file", "metrics.txt", expect=64)
    assert ended.stderr.count("\n") == 1
    assert len(sandbox.plan()["steps"]) == 16
