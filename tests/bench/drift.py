"""A thousand random drifts in the strict emulator, in as many processes as there are cores."""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.bench.lab import environment, module, run
from tests.bench.table import Row, Table

DRIFTS: Final = 1000
SEED_VARIABLE: Final = "BENCH_SEED"
"""To do once more what failed."""
_SHOWN: Final = 5


def measure(table: Table) -> None:
    """Each process has a part of them, and a seed that follows from the one that is printed."""
    seed = int(os.environ.get(SEED_VARIABLE) or random.randrange(10**6))
    table.head(f"drift: {DRIFTS} random drifts, each found by a plan and corrected by the next round of sync")
    table.note(f"{SEED_VARIABLE}={seed} does the same again")
    cores = os.cpu_count() or 1
    shares = [DRIFTS * (number + 1) // cores - DRIFTS * number // cores for number in range(cores)]
    started = time.monotonic()
    with ThreadPoolExecutor(cores) as pool:
        commands = [module("drifted", f"{seed}.{number}", str(share)) for number, share in enumerate(shares)]
        done = list(pool.map(lambda command: run(command, environment(), timeout=1800), commands))
    found = [json.loads(ran.output) for ran in done]
    total = {key: sum(item[key] for item in found) for key in ("found", "corrected", "deeds", "others", "seconds")}
    for what in ("found", "corrected"):
        table.add(Row(what, total[what], limit=DRIFTS, exact=True))
    table.add(Row("things done by hand in them", total["deeds"]))
    table.add(Row("draws that changed nothing that is managed", total["others"]))
    problems = [problem for item in found for problem in item["problems"]]
    table.add(Row("problems, of those too", len(problems), limit=0))
    table.add(Row("wall time", time.monotonic() - started, "s"))
    table.add(Row("processor time", total["seconds"], "s"))
    for problem in problems[:_SHOWN]:
        table.note(problem)
