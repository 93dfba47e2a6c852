"""`make mutants`: breaks the product on purpose in small places, one at a time, and counts how often the tests notice.

The places are drawn from a seed. All quick tests of `FOLDERS` are run once, to see which lines each executes. Then, for each place, those that execute it are run
in a copy of the tree, until one fails, for at most 90 s of processor time. It has to pass without the change. What no test has found by then survives.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Final

import coverage

from tests.mutants import notes
from tests.mutants.sites import Mutant, find_mutants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "mutants"
SEED: Final = 20261201
"""The published one."""
COUNT: Final = 60
SECONDS: Final = 90
SOME: Final = 10
GUARD: Final = 600
"""Seconds after which a run is ended that waits for something."""
JOBS: Final = 2
FOLDERS: Final = ("adoption", "doors", "export", "kinds", "locking", "plan", "properties", "sync")
QUICK: Final = ("-m", "not slow")
"""What `make test` runs."""
AREAS: Final[Mapping[str, tuple[str, ...]]] = {
    "order": (
        *(f"alb_reconcile/engine/{name}" for name in ("plan/", "gate.py", "safety.py", "answers.py", "zones.py", "world.py", "doors.py")),
        *(f"alb_reconcile/kinds/{name}" for name in ("_health.py", "load_balancer/nodes.py", "known_targets.py")),
    ),
    "kinds": ("alb_reconcile/kinds/", "alb_reconcile/engine/discover.py", "alb_reconcile/sync/", "alb_reconcile/locking/"),
}  # fmt: skip
"""What is mutated: planner, gate, simulation and waits; kinds, discovery, `sync` and locking. A file belongs to the first that its path begins with."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant: `killed` by a test, or not in time."""

    area: str
    mutant: str
    killed: bool
    by: str
    seconds: float


def draw(area: str, seed: int) -> list[Mutant]:
    """The mutants of an area, in the order of their files. Which ones depends on what they are, so that a line that goes changes one of them."""
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "alb_reconcile").rglob("*.py"))
    own = [file for file in files if next((name for name in AREAS if file.startswith(AREAS[name])), "") == area]
    found = [mutant for file in own for mutant in find_mutants(file, (ROOT / file).read_text(encoding="utf-8"))]
    seen = Counter[tuple[str, str, str]]()

    def rank(mutant: Mutant) -> bytes:
        seen[what := (mutant.file, mutant.before, mutant.after)] += 1
        return sha256(repr((seed, *what, seen[what])).encode()).digest()

    drawn = {mutant: rank(mutant) for mutant in found}
    picked = set(sorted(found, key=drawn.__getitem__)[:COUNT])
    return [mutant for mutant in found if mutant in picked]


class Tests:
    """Which tests execute a line, out of one run of all that are quick."""

    def __init__(self, place: Path) -> None:
        self._place, self._data = place, coverage.CoverageData(str(place / ".coverage"))
        if not (place / notes.FILE).exists():
            folders = [f"tests/{name}" for name in FOLDERS]
            rooms = sorted({Path(prefix).parts[1] for prefixes in AREAS.values() for prefix in prefixes})
            sources = "\n    ".join(f"alb_reconcile/{room}" for room in rooms)
            (place / "coverage.rc").write_text(f"[run]\nparallel = true\nsource =\n    {sources}\n", encoding="utf-8")
            options = [
                "--cov",
                "--cov-config=coverage.rc",
                "--cov-context=test",
                "--cov-report=",
                "--numprocesses=2",
                "--dist=worksteal",
            ]
            command = [*_PYTEST, *options, *QUICK, *folders]
            subprocess.run(command, cwd=place, env=_environment(place), check=False)  # a test that fails is left out
        self._data.read()
        self._seconds: dict[str, float] = json.loads((place / notes.FILE).read_text(encoding="utf-8"))["passed"]
        self._of: dict[str, list[str]] = defaultdict(list)
        for test in self._seconds:
            self._of[_module(test)].append(test)

    def of(self, mutant: Mutant) -> list[list[str]]:
        """In batches: some of modules that are named like the file, some of the four nearest others, and then all the rest, one after the other of each
        module; the shortest first. Near is what lies in a folder of that name, where a large part of the tests executes it, and they are short."""
        lines = self._data.contexts_by_lineno(str(self._place / mutant.file))
        found = set[str]()
        for context in {name for line in range(mutant.line, mutant.last + 1) for name in lines.get(line, ())}:
            test, _, part = context.rpartition("|")
            if part == "setup":  # others with the same parameters have what it made
                found.update(
                    other for other in self._of[_module(test)] if other.partition("[")[2] == test.partition("[")[2]
                )
            else:
                found.add(test)
        tests = sorted(found & self._seconds.keys(), key=self._seconds.__getitem__)
        stem, folders, of = (
            Path(mutant.file).stem.strip("_"),
            Path(mutant.file).parts[:-1],
            defaultdict[str, list[str]](list),
        )
        for test in tests:
            of[_module(test)].append(test)

        def distance(module: str) -> tuple[bool, float, float]:
            part = round(len(of[module]) / len(self._of[module]), 1)
            return (
                not set(folders) & set(Path(module).parts),
                -part,
                sum(self._seconds[test] for test in of[module]) / len(of[module]),
            )

        near = [module for module in of if stem in module]
        far = sorted(set(of) - set(near), key=distance)
        first = [[test for module in part for test in of[module][:SOME]] for part in (near, far[:4])]
        turns = [
            (distance(module)[0], turn, self._seconds[test], test)
            for module in (*near, *far)
            for turn, test in enumerate(of[module])
        ]
        rest = [test for *_, test in sorted(turns) if test not in first[0] and test not in first[1]]
        return [batch for batch in (*first, rest) if batch]


def _module(test: str) -> str:
    return test.partition("::")[0]


def copy_tree(place: Path) -> None:
    """What git has of the tree, as it is now."""
    shutil.rmtree(place, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True).stdout  # fmt: skip
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)


_OPTIONS: Final = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p"]
_PYTEST: Final = (sys.executable, "-B", "-m", "pytest", *_OPTIONS, notes.__name__)


def _environment(place: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(place), "PYTHONHASHSEED": "0", **more}


def run(place: Path, batches: list[list[str]]) -> tuple[tuple[str, ...], str]:
    """Run tests in a copy until one fails. Returns what makes it fail as arguments of pytest, none where nothing does, and what to say of it."""
    left = SECONDS
    for tests in batches:
        code, used = _run_some(place, tests, left)
        if code > 0:
            noted = place / notes.FILE
            failed = json.loads(noted.read_text(encoding="utf-8"))["failed"] if noted.exists() else []
            return (
                (tuple(failed), failed[0])
                if failed
                else (("--collect-only", *tests), "a module that can't be collected")
            )
        left -= used
        if code < 0 or left <= 0:
            return (), f"none in {SECONDS} s"
    return (), f"none of {sum(map(len, batches))}"


def _run_some(place: Path, tests: Sequence[str], seconds: int = SECONDS) -> tuple[int, int]:
    """The exit code, negative if it was ended, and the seconds of processor time that it took."""
    (place / notes.FILE).unlink(missing_ok=True)
    (place / "tests.txt").write_text("\n".join(tests), encoding="utf-8")
    with (place / "printed").open("w", encoding="utf-8") as printed:
        process = subprocess.Popen(
            [*_PYTEST, "-x", "@tests.txt"], cwd=place, env=_environment(place, **{notes.LIMITED: "1"}), stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
        )  # fmt: skip
        guard = threading.Timer(GUARD, process.kill)
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        guard.cancel()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status), int(usage.ru_utime + usage.ru_stime)


def main() -> int:
    """Draw, run and tell. Returns 1 where fewer than nine of ten are killed in an area."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--area", choices=[*AREAS], help="only this one")
    parser.add_argument("--only", type=int, nargs="*", help="only those of these numbers in the list")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--again", action="store_true", help="with what is known already of which test executes what")
    parser.add_argument("--list", action="store_true", help="only show what is drawn")
    wanted = parser.parse_args()
    drawn = [(area, mutant) for area in AREAS if wanted.area in (None, area) for mutant in draw(area, wanted.seed)]
    drawn = [item for number, item in enumerate(drawn) if wanted.only is None or number in wanted.only]
    if wanted.list:
        print(*(f"{number:3} {area} {mutant}" for number, (area, mutant) in enumerate(drawn)), sep="\n")
        return 0
    if not wanted.again:
        copy_tree(BUILD / "whole")
    found = Tests(BUILD / "whole")
    tests = {mutant: found.of(mutant) for _, mutant in drawn}
    places: Queue[Path] = Queue()
    for number in range(wanted.jobs):
        shutil.rmtree(BUILD / str(number), ignore_errors=True)
        shutil.copytree(BUILD / "whole", BUILD / str(number))
        places.put(BUILD / str(number))

    def try_one(area: str, mutant: Mutant) -> Result:
        place = places.get()
        source = (place / mutant.file).read_text(encoding="utf-8")
        began = time.monotonic()
        try:
            (place / mutant.file).write_text(mutant.applied(source), encoding="utf-8")
            failed, by = run(place, tests[mutant])
            (place / mutant.file).write_text(source, encoding="utf-8")
            if failed and _run_some(place, failed)[0]:
                failed, by = (), f"{by} fails without the change, too"
        finally:
            (place / mutant.file).write_text(source, encoding="utf-8")
            places.put(place)
        killed = bool(failed)
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
