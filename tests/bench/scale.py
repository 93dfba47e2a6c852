"""How a fleet grows, to 100,000 stacks: a cell's round as the product makes it, and a simulation of workers over many cells."""

from __future__ import annotations

import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alb_reconcile.fleet.document import FleetFile
from alb_reconcile.locking.durations import RENEW_INTERVAL
from tests.bench.cell_round import CONNECTIONS, LATENCY, PACE, Round, rounds
from tests.bench.fleet import allowed
from tests.bench.queued import POLL, VISIBILITY, Simulation, Went, least_workers
from tests.bench.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES: Final = (1, 10, 50, 200)
FLEETS: Final = (1_000, 10_000, 100_000)
A_CELL: Final = 10
"""Stacks of a cell, on the average."""
LARGE: Final = 200
"""Stacks in the largest cell where the large ones have been split over accounts."""
EVERY: Final = 900.0
"""Seconds of the schedule."""
INTERVALS: Final = 8
KILLS: Final = 0.5
"""Of each worker in an hour."""
NEAR: Final = 0.02
"""Seconds of a call to SQS or S3 in the worker's own region."""
PUTS: Final = 4
GETS: Final = 2
"""S3 requests of a cell: its lease (taken in two writes and a read, since the last one's is there; given back), its result."""
MESSAGES: Final = 4
"""SQS requests of a cell: sent, received, kept, deleted; and it is kept again every third of its visibility."""
ASSUMED: Final = 4
"""STS requests of a cell: AssumeRole, and who one is: for the cell's lease, in the account, and in its round."""
PROCESSOR: Final = 0.027
"""Seconds of processor time a stack, for all that a round takes (docs/fleet.md, 1,000 stacks in 100 cells)."""
FILE: Final = 0.3e-6
"""Seconds of processor time in which a worker finds a cell in fleet.yaml, for each cell in it; the section measures it anew."""
PRICES: Final = {"SQS": 0.40e-6, "S3 PUT": 5e-6, "S3 GET": 0.4e-6}
"""US dollars a request, us-east-1."""


@dataclass(frozen=True)
class _Curve:
    """Seconds of a round by the number of stacks: between the measured ones, and beyond them at the last ones' slope."""

    points: Sequence[Round]

    def __call__(self, stacks: int) -> float:
        later = next((at for at, point in enumerate(self.points) if point.stacks >= stacks), len(self.points) - 1)
        low, high = self.points[max(later - 1, 0)], self.points[max(later, 1)]
        return low.seconds + (high.seconds - low.seconds) * (stacks - low.stacks) / (high.stacks - low.stacks)

    def most(self, seconds: float) -> int:
        """How many stacks a round takes that long over."""
        low, high = self.points[-2:]
        return int(low.stacks + (seconds - low.seconds) * (high.stacks - low.stacks) / (high.seconds - low.seconds))


def equal(stacks: int) -> list[int]:
    """All cells alike."""
    return [A_CELL] * (stacks // A_CELL)


def zipf(stacks: int) -> list[int]:
    """As many cells, the second with half of the first one's, the third with a third."""
    cells = stacks // A_CELL
    whole = sum(1 / rank for rank in range(1, cells + 1))
    sizes = [max(1, round(stacks / whole / rank)) for rank in range(1, cells + 1)]
    sizes[0] += stacks - sum(sizes)
    return sizes


def split(stacks: int) -> list[int]:
    """The same, with what is larger than `LARGE` in several accounts."""
    found: list[int] = []
    for size in zipf(stacks):
        found += [LARGE] * (size // LARGE) + ([size % LARGE] if size % LARGE else [])
    return found


SPREADS: Final[dict[str, Callable[[int], list[int]]]] = {"equal": equal, "Zipf": zipf, "Zipf, split": split}


def measure(table: Table) -> None:
    """Print a cell's round, and fleets of a thousand to a hundred thousand stacks."""
    table.head(
        f"scale: a round of one cell, {PACE:.0%} of AWS's buckets, {LATENCY * 1000:.0f} ms a call, {CONNECTIONS} at once"
    )
    found = rounds(SIZES)
    for item in found:
        floor = allowed(item.tokens, PACE)
        row = Row(f"{item.stacks} undisturbed stacks: {item.calls} calls", item.seconds, "s")
        table.add(replace(row, floor=floor, limit=1.3, by_ratio=True) if floor > 0 else row)
        if item.throttled:
            raise RuntimeError(f"AWS throttled {item.throttled} calls of a round over {item.stacks} stacks")
    curve = _Curve(found)
    table.add(Row(f"stacks in one cell that a round of {EVERY:.0f} s looks at", curve.most(EVERY)))
    for cells in (100, 1_000, 10_000):
        table.add(Row(f"processor time to find a cell in a fleet.yaml of {cells:,} cells", _reading(cells), "s"))
    for stacks in FLEETS:
        table.head(
            f"scale: {stacks:,} stacks every {EVERY:.0f} s, each worker killed {KILLS:g} times an hour (simulated)"
        )
        for name, spread in SPREADS.items():
            _fleet(table, name, spread(stacks), curve)


def _fleet(table: Table, name: str, sizes: Sequence[int], curve: _Curve) -> None:
    cells = len(sizes)
    around = (PUTS + GETS + MESSAGES - 1) * NEAR + ASSUMED * LATENCY + FILE * cells
    seconds = [curve(size) + around for size in sizes]
    random.Random(19).shuffle(seconds)

    @cache
    def went(workers: int) -> Went:
        return Simulation(seconds, workers, every=EVERY, kills=KILLS, pause=NEAR).run(INTERVALS)

    fitting = [item for item in seconds if item < EVERY]
    floor = math.ceil(sum(min(item, EVERY) for item in seconds) / EVERY)
    needed = least_workers(floor, lambda workers: not went(workers).skipped + went(workers).behind)
    end = went(needed)
    table.add(Row(f"{name}: workers needed, {cells:,} cells", needed, floor=floor))
    table.add(Row(f"… the largest cell's round, {max(sizes):,} stacks", max(seconds), "s", floor=EVERY))
    gaps = statistics.quantiles(end.gaps, n=1000)
    _say(
        table,
        f"from one look at a cell to the next: median {gaps[499]:.0f} s, 99 % {gaps[989]:.0f} s, longest {max(end.gaps):.0f} s",
    )
    happened = ", ".join(f"{name} {number:,}" for name, number in sorted(end.counts.items())) or "nothing"
    _say(
        table,
        f"in {INTERVALS} rounds {end.runs:,} runs; {happened}; {cells - len(fitting)} cells too large for the schedule",
    )
    _say(table, _requests(cells, seconds, needed))
    cores = (sum(sizes) * PROCESSOR + cells * cells * FILE) / EVERY
    _say(
        table,
        f"processors {cores:.1f}; to put all on the queue {cells * NEAR:.0f} s; fleet status {cells * NEAR / 8:.0f} s",
    )


def _requests(cells: int, seconds: Sequence[float], workers: int) -> str:
    """Of a round, and what a month of them costs."""
    idle = max(workers - sum(seconds) / EVERY, 0.0)
    made = {
        "SQS": MESSAGES * cells + sum(item // (VISIBILITY / 3) for item in seconds) + idle * EVERY / POLL,
        "S3 PUT": PUTS * cells + sum(item // RENEW_INTERVAL for item in seconds),
        "S3 GET": GETS * cells,
    }
    month = sum(number * PRICES[name] for name, number in made.items()) * 30 * 86_400 / EVERY
    told = ", ".join(f"{number:,.0f} {name}" for name, number in made.items())
    return f"requests a round: {told}, {ASSUMED * cells:,} STS; ${month:,.0f} a month"


def _say(table: Table, text: str) -> None:
    table.note(f"  {text}")


def _reading(cells: int) -> float:
    """By a worker that has read it before, up to its last cell; the least of three."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "web.yaml").write_text("stack: web\n", encoding="utf-8")
        accounts = "".join(f'  - {{account_id: "{10**11 + number}"}}\n' for number in range(cells // 2))
        text = f"fleet: many\ndefaults:\n  role: reconciler\n  regions: [us-east-1, us-west-2]\n  stacks: [web.yaml]\naccounts:\n{accounts}"
        (folder / "fleet.yaml").write_text(text, encoding="utf-8")
        file = FleetFile(str(folder / "fleet.yaml"), {})
        *_, last = file.load().cells
        message, taken = last.to_message(), []
        for _ in range(3):
            began = time.process_time()
            read = file.load().cell_of(message)
            taken.append(time.process_time() - began)
            assert read == last
    return min(taken)


if __name__ == "__main__":
    measure(Table())
    sys.stderr.write(f"{time.process_time():.0f} s of processor time\n")
