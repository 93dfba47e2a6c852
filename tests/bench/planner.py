"""Planning a stack of 2,000 resources from memory: processor time of make_plan, which is all that it takes, and memory of the process."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.lab import environment, module, run
from tests.bench.specs import entries, service, write
from tests.bench.table import Row, Table, spread

RUNS: Final = 3
CASES: Final = {
    "new": "all is new",
    "same": "nothing has changed",
    "drift": "everything has drifted",
    "replace": "all instances are replaced",
    "destroy": "all is to go",
}


def measure(table: Table) -> None:
    """Each case in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for title, spec in (
            ("2,000 entries, each written out", entries(2000)),
            ("a group of 995 instances, all of them targets", service(995, 1)),
        ):
            _measure(table, title, str(write(spec, Path(folder) / "large.yaml")))


def _measure(table: Table, title: str, spec: str) -> None:
    table.head(f"planner: make_plan from memory, {title}")
    for case, text in CASES.items():
        runs = [json.loads(run(module("planned", spec, case), environment()).output) for _ in range(RUNS)]
        times = [item["seconds"] for item in runs]
        table.add(Row(f"{text}: processor time", statistics.median(times), "s", limit=1.0))
        table.add(
            Row(
                f"{text}: peak memory of the process",
                max(item["megabytes"] for item in runs),
                "MB",
                limit=200,
            )
        )
        table.note(f"{runs[0]['resources']} resources, {runs[0]['steps']} steps; {spread(times)}")
