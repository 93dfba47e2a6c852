"""`python -m tests.soak`: everything that is tried at length, from one seed, in parts that needn't be done twice.

The same seed tries the same again. What has passed is kept in `build/soak/SEED.jsonl`, so that a run that was stopped goes on where it was; a
test whose code has changed since is nobody's to know: `--afresh` begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.properties import seeds

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
WHERE = (
    "tests/load", "tests/e2e", "tests/properties", "tests/adoption/test_adopt_any_spec.py", "tests/export/test_export_any_spec.py",
    "tests/fuzz", "tests/spec/test_loader_properties.py",
)  # fmt: skip
JOBS = 2


def record(seed: str) -> Path:
    """Where the results of a seed are kept, a line of JSON for each test."""
    return ROOT / "build" / "soak" / f"{seed}.jsonl"


def passed(file: Path) -> set[str]:
    """The tests that needn't be run again."""
    if not file.exists():
        return set()
    told = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {item["test"] for item in told if item["outcome"] == "passed"}


# -- what pytest calls (-p tests.soak)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has passed."""
    done = passed(record(os.environ["SOAK"]))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
    items[:] = [item for item in items if item.nodeid not in done]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count what a test has tried."""
    seeds.tried.clear()
    try:
        yield
    finally:
        item.user_properties.append(("tried", seeds.tried.total()))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the result down, in the process that has all of them."""
    if os.environ.get("PYTEST_XDIST_WORKER") or not (report.when == "call" or report.failed or report.skipped):
        return
    file = record(os.environ["SOAK"])
    file.parent.mkdir(parents=True, exist_ok=True)
    tried = dict(report.user_properties).get("tried", 0)
    line = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 1), "tried": tried}
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


# -- the command


def summary(file: Path) -> str:
    """A table by file of tests, of each test's last result."""
    last: dict[str, dict[str, Any]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        last[item["test"]] = item
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for test, item in last.items():
        rows[test.partition("::")[0]].append(item)
    lines = ["| Tests | Passed | Failed | Tried | Minutes |", "| --- | --- | --- | --- | --- |"]
    for name, items in sorted(rows.items()):
        outcomes = [item["outcome"] for item in items]
        minutes = sum(item["seconds"] for item in items) / 60
        tried = sum(item["tried"] for item in items)
        lines.append(
            f"| {name} | {outcomes.count('passed')} | {outcomes.count('failed')} | {tried or ''} | {minutes:.1f} |"
        )
    return "\n".join(lines)


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)  # fmt: skip
    return asked.stdout.strip()


def main() -> int:
    """Run, and print what was tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", default="", help="of a run that is to go on, or to be repeated")
    parser.add_argument("--afresh", action="store_true", help="run what has passed, too")
    parser.add_argument("where", nargs="*", default=WHERE, help="folders, files or tests")
    args = parser.parse_args()
    seed = args.seed or str(random.SystemRandom().randrange(1, 10**6))
    if args.afresh:
        record(seed).unlink(missing_ok=True)
    print(f"seed {seed}; to go on: make soak SEED={seed}", flush=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-p", "tests.soak", f"--numprocesses={JOBS}", "--dist=worksteal", f"--hypothesis-seed={seed}"]  # fmt: skip
    where = [place for place in args.where if (ROOT / place.partition("::")[0]).exists()]
    ended = subprocess.run([*command, *where], cwd=ROOT, env=os.environ | {"SOAK": seed}, check=False)
    if record(seed).exists():
        minutes = (time.monotonic() - began) / 60
        print(f"\n{date.today()}, commit {_commit()}, seed {seed}, {minutes:.0f} minutes\n\n{summary(record(seed))}")
    return 0 if ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED else ended.returncode  # all has passed


if __name__ == "__main__":
    sys.exit(main())
