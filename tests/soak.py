"""`python -m tests.soak`: everything that is tried at length, from one seed, in parts that needn't be done twice.

The same seed tries the same again. What has passed is kept in `build/soak/record.jsonl` with a digest of all that the test rests on, so that a run that
was stopped goes on where it was, and another seed leaves out what asks for none. Of a tree with changes nothing is kept. A fresh clone begins with the
record in `docs/explanation/`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis.internal.conjecture.engine import ConjectureRunner

from tests.properties import seeds
from tests.soak_inputs import git, inputs, state

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
FOLDERS = ("tests/load", "tests/e2e", "tests/properties", "tests/fuzz")
AT_LENGTH = re.compile(r"\b(SOAK|at_length|only_at_length)\b")
"""By which a module of another folder says that the suite leaves something to `make soak`."""
BY_OTHERS = ("tests/spec/test_loader_properties.py",)
"""Of which another module says how much is tried."""
JOBS = 2
ONE_TRIAL = ("SEED", "CHANGES_SEED", "FUZZ_SEED")
"""By which a test is asked for one trial alone; `make` sets SEED for what it calls."""
PUBLISHED = ROOT / "docs" / "explanation" / "soak-record.jsonl"


def where() -> list[str]:
    """The folders that are run whole, and each other module that leaves something to this."""
    modules = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if path.name != "test_soak.py")
    found = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in modules}
    leaving = [
        name
        for name, text in found.items()
        if AT_LENGTH.search(text) and not name.startswith(tuple(f"{folder}/" for folder in FOLDERS))
    ]
    return [*FOLDERS, *BY_OTHERS, *leaving]


def record(state: str) -> Path:
    """Where results are kept, a line of JSON for each test; those of a changed tree until the next run."""
    return ROOT / "build" / "soak" / ("record.jsonl" if state else "changed.jsonl")


def keep(file: Path, now: dict[str, str]) -> None:
    """Of the results in a file only those that hold."""
    held = [item for item in lines(file) if item["inputs"] == now.get(item["test"].partition("::")[0])]
    _write(file, held)


def _write(file: Path, results: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(item) + "\n" for item in results), encoding="utf-8")


def lines(file: Path) -> list[dict[str, Any]]:
    """All results, oldest first."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def results(file: Path, seed: str) -> dict[str, dict[str, Any]]:
    """The last result of each test that holds for a seed: with that one, or with any if the test has never asked for one."""
    told = lines(file)
    seeded = {item["test"] for item in told if item["seeded"]}
    return {item["test"]: item for item in told if item["seed"] == seed or item["test"] not in seeded}


def forget(file: Path, seed: str) -> None:
    """Let everything be run that this seed would try."""
    mine = results(file, seed)
    kept = [item for item in lines(file) if item["test"] not in mine or (item["seeded"] and item["seed"] != seed)]
    _write(file, kept)


# -- what pytest calls (-p tests.soak)


_wrong_parts: defaultdict[str, list[str]] = defaultdict(list)
"""What was wrong in subtests, by their test."""


def _kept() -> tuple[Path, str]:
    """The file of this run, and its seed."""
    return Path(os.environ["SOAK_RECORD"]), os.environ["SOAK"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has passed."""
    done = {test for test, item in results(*_kept()).items() if item["outcome"] == "passed"}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
    items[:] = [item for item in items if item.nodeid not in done]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count what a test has tried, and see whether it drew anything: with Hypothesis, or from the run's seed."""
    seeds.tried.clear()
    seeds.asked.clear()
    run = ConjectureRunner.run

    def drawn(runner: ConjectureRunner) -> None:
        seeds.asked.add("Hypothesis")
        run(runner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConjectureRunner, "run", drawn)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Hand over what was seen."""
    try:
        return (yield)
    finally:
        item.user_properties += [("tried", seeds.tried.total()), ("seeded", bool(seeds.asked))]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the result down, in the process that has all of them."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    if isinstance(report, pytest.SubtestReport):  # a part of its test, whose own report comes last
        _wrong_parts[report.nodeid] += [report.longreprtext] if report.failed else []
        return
    if not (report.when == "call" or report.failed or report.skipped):
        return
    file, seed = _kept()
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"tried": 0, "seeded": True} | dict(report.user_properties)
    line = {
        "test": report.nodeid, "outcome": report.outcome, "seed": seed, "seeded": told["seeded"],
        "inputs": json.loads(os.environ.get("SOAK_INPUTS", "{}")).get(report.nodeid.partition("::")[0]), "seconds": round(report.duration, 1), "tried": told["tried"],
    }  # fmt: skip
    if report.failed:  # which pytest itself shows at the end, if it comes to that
        line["why"] = "\n\n".join([*_wrong_parts.pop(report.nodeid, []), report.longreprtext])
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


# -- the command


def summary(file: Path, seed: str) -> str:
    """A table by file of tests, of what holds for a seed; and what of it needs none."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for test, item in results(file, seed).items():
        rows[test.partition("::")[0]].append(item)
    told = [
        "| Tests | Passed | Failed | Tried | Minutes | Once for all seeds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, items in sorted(rows.items()):
        outcomes = [item["outcome"] for item in items]
        minutes = sum(item["seconds"] for item in items) / 60
        tried = sum(item["tried"] for item in items)
        once = sum(not item["seeded"] for item in items)
        share = "" if not once else "all" if once == len(items) else f"{once} of {len(items)}"
        told.append(
            f"| {name} | {outcomes.count('passed')} | {outcomes.count('failed')} | {tried or ''} | {minutes:.1f} | {share} |"
        )
    others = sum(item["seed"] != seed for items in rows.values() for item in items)
    if others:
        told += [
            "",
            f"{others} of them, which ask for no seed, were run with another one on this state of the code, and not again.",
        ]
    return "\n".join(told)


def again(file: Path, seed: str) -> str:
    """The commands that repeat what has failed with a seed."""
    failed = [test for test, item in results(file, seed).items() if item["outcome"] == "failed"]
    told = [f"python -m tests.soak --seed {seed} '{test}'" for test in failed]
    one = f"If it names a SEED, that trial alone: PYTHONHASHSEED=0 SOAK={seed} SEED=n pytest 'the test'"
    return "\n".join(["", "", "These repeat what has failed:", "", *told, "", one]) if told else ""


def main() -> int:
    """Run, and print what was tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", default="", help="of a run that is to go on, or to be repeated")
    parser.add_argument("--afresh", action="store_true", help="run what has passed, too")
    parser.add_argument("where", nargs="*", default=where(), help="folders, files or tests")
    args = parser.parse_args()
    seed = args.seed or str(random.SystemRandom().randrange(1, 10**6))
    at = state(ROOT)
    now = inputs(ROOT) if at else {}  # of a tree with changes a file may be gone
    file = record(at)
    if not at:
        file.unlink(missing_ok=True)
        print(f"seed {seed}; there are changes that aren't committed, so that nothing of this run is kept", flush=True)
    else:
        print(f"seed {seed}, state {at}; to go on: make soak SEED={seed}", flush=True)
        if not file.exists() and PUBLISHED.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PUBLISHED, file)
        keep(file, now)
    if args.afresh:
        forget(file, seed)
    began, before = time.monotonic(), file.stat().st_size if file.exists() else 0
    command = [sys.executable, "-m", "pytest", "-p", "tests.soak", f"--numprocesses={JOBS}", "--dist=worksteal", f"--hypothesis-seed={seed}"]  # fmt: skip
    places = [place for place in args.where if (ROOT / place.partition("::")[0]).exists()]
    # what happens at the same moment may be ordered by a set: a failure must come again
    environment = {name: value for name, value in os.environ.items() if name not in ONE_TRIAL} | {
        "SOAK": seed,
        "SOAK_RECORD": str(file),
        "SOAK_INPUTS": json.dumps(now),
        "PYTHONHASHSEED": "0",
    }
    try:
        ended = subprocess.run([*command, *places], cwd=ROOT, env=environment, check=False)
        if file.exists():
            minutes = (time.monotonic() - began) / 60
            words = f"{git(ROOT, 'describe', '--always', '--dirty')}, state {at or 'changed'}"
            print(
                f"\n{date.today()}, commit {words}, seed {seed}, {minutes:.0f} minutes\n\n{summary(file, seed)}{again(file, seed)}"
            )
    finally:
        if at and file.exists() and state(ROOT) != at:
            os.truncate(file, before)
            print("\nThe tree was changed meanwhile: nothing of this run is kept.")
    return 0 if ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED else ended.returncode  # all has passed


if __name__ == "__main__":
    sys.exit(main())
