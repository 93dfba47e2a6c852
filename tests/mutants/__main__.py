"""`make mutants`: breaks the product on purpose in small places, one at a time, and counts how often the tests notice.

The places are drawn from a seed. For each, the modules of tests that hold its code are run in a copy of the tree, until a test fails, for at most 90 s of
processor time. What no test has found by then survives.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Final

import pytest

from tests.mutants.sites import Mutant, find_mutants

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "mutants"
SEED: Final = 20261201
"""The published one."""
COUNT: Final = 60
SECONDS: Final = 90
GUARD: Final = 600
"""Seconds after which a run is ended that waits for something."""
JOBS: Final = 2

AREAS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "order": {
        "alb_reconcile/engine/plan/": ("tests/plan", "tests/sync", "tests/properties/test_gate.py", "tests/properties/test_rule_order.py"),
        "alb_reconcile/engine/gate.py": ("tests/properties/test_gate.py", "tests/plan", "tests/kinds"),
        "alb_reconcile/engine/safety.py": ("tests/plan", "tests/properties/test_gate.py", "tests/properties/test_gaps.py"),
        "alb_reconcile/engine/answers.py": ("tests/plan", "tests/doors", "tests/properties/test_gaps.py"),
        "alb_reconcile/engine/zones.py": ("tests/plan", "tests/doors", "tests/properties/test_gate.py"),
        "alb_reconcile/engine/world.py": ("tests/plan", "tests/doors", "tests/properties/test_gate.py"),
        "alb_reconcile/engine/doors.py": ("tests/doors", "tests/plan", "tests/verify"),
        "alb_reconcile/kinds/_health.py": ("tests/properties/test_gate.py", "tests/plan", "tests/kinds"),
        "alb_reconcile/kinds/_nodes.py": ("tests/kinds", "tests/plan"),
        "alb_reconcile/kinds/known_targets.py": ("tests/plan", "tests/kinds"),
    },
    "kinds": {
        "alb_reconcile/kinds/": ("tests/kinds", "tests/spec", "tests/plan"),
        "alb_reconcile/engine/discover.py": ("tests/kinds", "tests/adoption", "tests/plan"),
        "alb_reconcile/sync/": ("tests/sync",),
        "alb_reconcile/locking/": ("tests/locking",),
    },
}  # fmt: skip
"""What is mutated, and the tests that hold it, the nearest first; a file belongs to the first that its path begins with."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant: `killed` by a test, or not in time."""

    area: str
    mutant: str
    killed: bool
    by: str
    seconds: float


def draw(area: str, seed: int) -> list[Mutant]:
    """The mutants of an area, in the order of their files; the same for the same tree and seed."""
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "alb_reconcile").rglob("*.py"))
    own = [file for file in files if _area_of(file) == area]
    found = [mutant for file in own for mutant in find_mutants(file, (ROOT / file).read_text(encoding="utf-8"))]
    picked = random.Random(f"{area} {seed}").sample(range(len(found)), COUNT)
    return [found[number] for number in sorted(picked)]


def _area_of(file: str) -> str | None:
    """Where a file is named itself, that counts before its folder."""
    fits = [(len(prefix), area) for area, parts in AREAS.items() for prefix in parts if file.startswith(prefix)]
    return max(fits)[1] if fits else None


def tests_of(file: str) -> list[list[str]]:
    """The modules of tests that hold a file, in batches, the nearest first: those that are named like it, those that name it, and the rest of its folders."""
    owners = [
        (len(prefix), folders)
        for parts in AREAS.values()
        for prefix, folders in parts.items()
        if file.startswith(prefix)
    ]
    stem = Path(file).stem.strip("_")
    called = re.compile(rf"\b_?{stem}\b")
    batches: tuple[list[str], ...] = ([], [], [])
    for path in dict.fromkeys(path for folder in max(owners)[1] for path in _modules(ROOT / folder)):
        near = 0 if stem in path.stem else 1 if called.search(path.read_text(encoding="utf-8")) else 2
        batches[near].append(path.relative_to(ROOT).as_posix())
    return [batch for batch in batches if batch]


def _modules(path: Path) -> Iterable[Path]:
    return sorted(path.rglob("test_*.py")) if path.is_dir() else [path]


def copy_tree(place: Path) -> None:
    """What git has of the tree, as it is now."""
    shutil.rmtree(place, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True).stdout  # fmt: skip
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)


def run(place: Path, batches: list[list[str]]) -> tuple[bool, str]:
    """Run modules in a copy until a test fails. Returns whether one did, and which."""
    left = SECONDS
    for modules in batches:
        code, told, used = _pytest(place, modules, left)
        if code == pytest.ExitCode.USAGE_ERROR:
            raise SystemExit(told)
        if code > 0 and code != pytest.ExitCode.NO_TESTS_COLLECTED:
            failed = re.search(r"^(?:FAILED|ERROR) (\S+)", told, re.MULTILINE)
            return True, failed[1] if failed else told.strip().rpartition("\n")[2]
        left -= used
        if code < 0 or left <= 0:
            return False, f"none in {SECONDS} s"
    return False, "none"


def _pytest(place: Path, modules: list[str], seconds: int) -> tuple[int, str, int]:
    """Its exit code, what it has printed, and the seconds of processor time that it took; negative, if it was ended."""
    options = ("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-m", "not slow")
    with (place / "printed").open("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "pytest", *options, *modules], cwd=place, env={**os.environ, "PYTHONPATH": str(place)},
            stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
        )  # fmt: skip
        guard = threading.Timer(GUARD, process.kill)
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        guard.cancel()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        printed.seek(0)
        return os.waitstatus_to_exitcode(status), printed.read(), int(usage.ru_utime + usage.ru_stime)


def main() -> int:
    """Draw, run and tell. Returns 1 where fewer than nine of ten are killed in an area."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--area", choices=[*AREAS], help="only this one")
    parser.add_argument("--only", type=int, nargs="*", help="only those of these numbers in the list")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--list", action="store_true", help="only show what is drawn")
    wanted = parser.parse_args()
    drawn = [(area, mutant) for area in AREAS if wanted.area in (None, area) for mutant in draw(area, wanted.seed)]
    drawn = [item for number, item in enumerate(drawn) if wanted.only is None or number in wanted.only]
    if wanted.list:
        print(*(f"{number:3} {area} {mutant}" for number, (area, mutant) in enumerate(drawn)), sep="\n")
        return 0
    places: Queue[Path] = Queue()
    for number in range(wanted.jobs):
        copy_tree(BUILD / str(number))
        places.put(BUILD / str(number))

    def try_one(area: str, mutant: Mutant) -> Result:
        place = places.get()
        source = (place / mutant.file).read_text(encoding="utf-8")
        began = time.monotonic()
        try:
            (place / mutant.file).write_text(mutant.applied(source), encoding="utf-8")
            killed, by = run(place, tests_of(mutant.file))
        finally:
            (place / mutant.file).write_text(source, encoding="utf-8")
            places.put(place)
        result = Result(area, str(mutant), killed, by, round(time.monotonic() - began, 1))
        print(f"{'killed  ' if killed else 'SURVIVED'} {result.seconds:5.1f} s  {mutant}  [{by}]", flush=True)
        return result

    with ThreadPoolExecutor(wanted.jobs) as pool:
        results = list(pool.map(lambda item: try_one(*item), drawn))
    (BUILD / f"{wanted.seed}.json").write_text(
        json.dumps([asdict(item) for item in results], indent=1), encoding="utf-8"
    )
    score = {area: [item.killed for item in results if item.area == area] for area in AREAS}
    for area, kills in score.items():
        print(f"{area}: {sum(kills)} of {len(kills)} killed")
    return int(any(sum(kills) * 10 < len(kills) * 9 for kills in score.values()))


if __name__ == "__main__":
    raise SystemExit(main())
