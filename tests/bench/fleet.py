"""`sync` over many stacks that nobody has touched: its calls and its time beside what AWS's buckets allow, and its memory."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alb_reconcile.aws.buckets import Bucket, buckets_of
from alb_reconcile.journal.history import Retention
from tests.bench.calls import changes
from tests.bench.lab import DELAY, ROOT, Lab, environment, module, tool
from tests.bench.memory import peak, resident
from tests.bench.specs import fleet
from tests.bench.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.bench.calls import Call

STACKS: Final = 50
HALF: Final = 0.5
"""A pace to compare with: what two programs have that share an account."""
Named = tuple[str, Bucket]
MOST_MEMORY: Final = 250
ROUNDS: Final = 200
WARM: Final = 20
"""Rounds after which all that is kept for good is there."""
FEW: Final = 6
"""Stacks of a round, where there are 200 rounds."""
MOST_GROWTH: Final = 4.0
"""MB in 180 rounds, 23 KB a round: less than what a round has in memory of one stack, of which a leak would keep at least
one; the heap goes on settling by 2 MB, and stands still after 700 rounds."""


def measure(lab: Lab, table: Table) -> None:
    """One round over 50 stacks at AWS's pace, then 200 over a few."""
    with tempfile.TemporaryDirectory() as folder:
        lab.reset()
        specs = str(fleet(STACKS, Path(folder) / "specs"))
        lab.run_directly(module("unpaced", "apply", "--yes", *map(str, sorted(Path(specs).iterdir()))))
        _measure_round(lab, table, specs, Path(folder) / "weight.json")
        lab.reset()
        few = str(fleet(FEW, Path(folder) / "few"))
        lab.run_directly(module("unpaced", "apply", "--yes", *map(str, sorted(Path(few).iterdir()))))
        _measure_rounds(lab, table, few)


def _measure_round(lab: Lab, table: Table, specs: str, weight: Path) -> None:
    table.head(f"sync: {STACKS} undisturbed stacks in one account and region, {DELAY * 1000:.0f} ms a call")
    done = lab.run(module("weighed", str(weight), "sync", specs))
    _expect(done.output, STACKS)
    single = lab.run(tool("plan", str(Path(specs) / "00.yaml"), "--detailed-exitcode"))
    made, alone = by_bucket(done.calls), by_bucket(single.calls)
    for named in sorted(made | alone):
        table.add(Row(f"calls, {named[0]} ({STACKS} single plans' beside)", made[named], floor=alone[named] * STACKS))
    table.add(Row("mutating calls", len(changes(done.calls)), limit=0))
    table.add(Row("wall time, process start to end", done.wall, "s", allowed(made, 1), limit=1.35, by_ratio=True))
    table.note("the floor is what AWS's full buckets allow for these calls")
    table.add(Row("what half of AWS's buckets allow for them (--pace 0.5)", allowed(made, HALF), "s"))
    table.add(Row(f"what AWS's buckets allow for {STACKS} single plans", allowed(_times(alone, STACKS), 1), "s"))
    spent = json.loads(weight.read_text(encoding="utf-8"))
    table.add(Row("processor time", spent["seconds"], "s"))
    table.add(Row("peak memory", spent["megabytes"], "MB", limit=MOST_MEMORY))


def _fill_histories(state: Path) -> None:
    """Let each stack have as long a history as is kept, of runs that did much: it is counted in each round, and written
    anew between the rounds that are compared."""
    for file in state.rglob("history/*.jsonl"):
        file.write_bytes(file.read_bytes().splitlines(keepends=True)[0] * (Retention().runs * 11 // 10 - ROUNDS // 2))


def _measure_rounds(lab: Lab, table: Table, specs: str) -> None:
    _fill_histories(Path(lab.state))
    table.head(
        f"sync: {ROUNDS} rounds over {FEW} undisturbed stacks with full histories in one process, unpaced, no delay"
    )
    with subprocess.Popen(
        module("unpaced", "sync", "--every", "1h", "--format", "json", specs), cwd=ROOT,
        env=environment(lab.moto, lab.state), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        try:
            sizes, seconds = _go_round(process)
            highest = peak(process.pid)
            process.send_signal(signal.SIGTERM)
            if code := process.wait(30):
                raise RuntimeError(f"sync --every ended with {code} on SIGTERM")
        finally:
            process.kill()
    table.add(Row("a round", seconds / ROUNDS, "s"))
    table.add(Row("peak memory", highest, "MB", limit=MOST_MEMORY))
    table.add(Row(f"memory after {WARM} rounds", sizes[WARM - 1], "MB"))
    table.add(Row(f"memory after {ROUNDS} rounds", sizes[-1], "MB", sizes[WARM - 1]))
    grown = sizes[-1] - sizes[WARM - 1]
    table.add(Row("growth between", grown * 1024, "KB", limit=MOST_GROWTH * 1024))
    table.note("MB after every 20 rounds: " + ", ".join(f"{size:.1f}" for size in sizes[WARM - 1 :: 20]))


def _go_round(process: subprocess.Popen[str]) -> tuple[list[float], float]:
    """The process's memory after each round, and the seconds that all took."""
    assert process.stdout is not None
    sizes: list[float] = []
    seconds = 0.0
    for line in process.stdout:
        report = json.loads(line)
        if report["summary"].get("in_sync") != FEW:
            raise RuntimeError(f"round {len(sizes) + 1}: {report['summary']}")
        seconds += report["seconds"]
        sizes.append(resident(process.pid))
        if len(sizes) == ROUNDS:
            return sizes, seconds
        process.send_signal(signal.SIGHUP)
    raise RuntimeError(f"sync --every ended after {len(sizes)} rounds")


def _expect(output: str, stacks: int) -> None:
    """Whether all were in order; that the exit code was 0 is known."""
    if not re.search(rf"^{stacks} stacks in .*: {stacks} in sync$", output, re.MULTILINE):
        raise RuntimeError(f"not all were in sync:\n{output[-2000:]}")


def by_bucket(calls: Iterable[Call]) -> Counter[Named]:
    """The tokens that calls took. All of the tool's reads of EC2 have filters."""
    made: Counter[Named] = Counter()
    for call in calls:
        for name, bucket, tokens in buckets_of(call.service, call.operation, lambda: {"Filters": ["some"]}):
            made[f"{call.service} {name}", bucket] += tokens
    return made


def _times(calls: Counter[Named], factor: int) -> Counter[Named]:
    return Counter({named: count * factor for named, count in calls.items()})


def allowed(calls: Mapping[Named, int], share: float) -> float:
    """Seconds in which full buckets let so many calls go, if `share` of their size and refill may be used."""
    return max((count - bucket.size * share) / (bucket.refill * share) for (_, bucket), count in calls.items())
