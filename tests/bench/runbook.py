"""The runbook's stack: create it, find that nothing has changed, destroy it; each beside the floor, in turns."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.bench.calls import chain, changes, reads
from tests.bench.lab import DELAY, KEY_NAME, Lab, Ran, module, tool
from tests.bench.table import Row, Table, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tests.bench.calls import Call

ROUNDS: Final = 3
PAIRS: Final = 3
"""Plans a round."""
LONG_DELAY: Final = 0.5
"""For the depth: beside so long a delay it doesn't matter when exactly the processor gets around to a call."""
_VARIABLES: Final = ("--set", f"EC2_SSH_KEY_NAME={KEY_NAME}")
_APPLY: Final = tool("apply", "specs/runbook.yaml", "--yes", *_VARIABLES)
_PLAN: Final = tool("plan", "specs/runbook.yaml", "--detailed-exitcode", *_VARIABLES)
_DESTROY: Final = tool("destroy", "specs/runbook.yaml", "--yes", *_VARIABLES)
_CREATE: Final = module("floor", "create", KEY_NAME, "1")
_FIND: Final = module("floor", "find", "1")
_DELETE: Final = module("floor", "delete", "1")


@dataclass
class Runs:
    """The same work by the tool and by the floor; last, with `LONG_DELAY`."""

    tool: list[Ran] = field(default_factory=list)
    floor: list[Ran] = field(default_factory=list)
    deep: list[Ran] = field(default_factory=list)

    def pair(
        self, lab: Lab, tool_command: list[str], floor_command: list[str], *, tool_first: bool, empty: bool = False
    ) -> None:
        """One run of each; each in an account that is `empty`, where that is asked for."""
        jobs = [(self.tool, tool_command), (self.floor, floor_command)]
        for runs, command in jobs if tool_first else reversed(jobs):
            if empty:
                lab.reset()
            runs.append(lab.run(command))

    def look_deep(self, lab: Lab, tool_command: list[str], floor_command: list[str]) -> None:
        """One run of each, for the depth."""
        self.deep = [lab.run(tool_command), lab.run(floor_command)]


def measure(lab: Lab, table: Table, wanted: Collection[str], *, verbose: bool) -> None:
    """All rounds, then the tables of what was asked for."""
    lab.reset()
    pairs = {"create": (_APPLY, _CREATE), "plan": (_PLAN, _FIND), "destroy": (_DESTROY, _DELETE)}
    for commands in pairs.values():  # moto makes its services when they are first asked
        for command in reversed(commands):
            lab.run(command)
    runs = {name: Runs() for name in pairs}
    for number in range(ROUNDS):
        first = bool(number % 2)
        runs["create"].pair(lab, _APPLY, _CREATE, tool_first=first, empty=True)
        lab.run(_APPLY if first else _CREATE)  # which the other one's reset has removed
        for turn in range(PAIRS if "plan" in wanted else 0):
            runs["plan"].pair(lab, _PLAN, _FIND, tool_first=bool(turn % 2))
        runs["destroy"].pair(lab, _DESTROY, _DELETE, tool_first=bool(number % 2))
    with lab.delay(LONG_DELAY):
        lab.reset()
        for name, commands in pairs.items():
            runs[name].look_deep(lab, *commands)
    if "create" in wanted:
        made = runs["create"]
        report(table, "create: apply specs/runbook.yaml in an empty account", made, more=1, ratio=1.5, depth=8)
        rest = statistics.median(run.ended - max(call.ended for call in changes(run.calls)) for run in made.tool)
        table.add(Row("verification after it, to the process's end", rest, "s"))
        table.add(Row("reads of the verification", max(len(reads(run.after_changes)) for run in made.tool)))
    if "plan" in wanted:
        what = "plan: specs/runbook.yaml, nothing has changed"
        report(table, what, runs["plan"], more=0, ratio=1.3, depth=3, most_reads=14)
        for part, cut in (
            ("  of it before the first call", lambda run: min(call.started for call in run.calls) - run.started),
            ("  of it after the last answer", lambda run: run.ended - max(call.ended for call in run.calls)),
        ):
            parts = [statistics.median(map(cut, side)) for side in (runs["plan"].tool, runs["plan"].floor)]
            table.add(Row(part, parts[0], "s", parts[1]))
    if "destroy" in wanted:
        report(table, "destroy: specs/runbook.yaml", runs["destroy"], more=3)
    for name in (name for name in pairs if verbose and name in wanted):
        table.note(f"{name}: the calls, and after how many ms they began and ended")
        run = runs[name].tool[-1]
        for call in sorted(run.calls, key=lambda item: item.started):
            began, ended = ((moment - run.started) * 1000 for moment in (call.started, call.ended))
            table.note(f"  {began:7.0f} {ended:7.0f}  {call.service}:{call.operation} {call.status}")


def counted(run: Ran) -> tuple[Call, ...]:
    """A run's calls without the verification that follows changes."""
    return run.until_changes if changes(run.calls) else run.calls


def report(
    table: Table,
    what: str,
    runs: Runs,
    *,
    more: int | None = None,
    most: int | None = None,
    ratio: float | None = None,
    depth: int | None = None,
    most_reads: int | None = None,
    waited: Callable[[Ran], float] | None = None,
) -> None:
    """The rows of one piece of work. Limits: `more` changing calls than the floor, or at `most` so many; the `ratio` of wall
    times, without what the tool has `waited` for AWS's buckets; the `depth`; and how many reads."""
    table.head(f"{what}, {DELAY * 1000:.0f} ms a call")
    sides = (runs.tool, runs.floor)
    made = [max(len(changes(run.calls)) for run in side) for side in sides]
    table.add(Row("mutating calls", made[0], floor=made[1], limit=most if more is None else made[1] + more))
    ends = "to the last mutating call" if made[0] else "to the end"
    looked = [max(len(reads(counted(run))) for run in side) for side in sides]
    table.add(Row(f"reads, {ends}", looked[0], floor=looked[1], limit=most_reads))
    depths = [len(chain(counted(run))) for run in runs.deep]
    table.add(Row(f"depth in round trips, {ends}", depths[0], floor=depths[1], limit=depth))
    walls = [[run.wall_of_changes if made[0] else run.wall for run in side] for side in sides]
    medians = [statistics.median(side) for side in walls]
    time = f"wall time, process start {ends}"
    if waited is not None:
        seconds = max(0.0, *map(waited, runs.tool))
        table.add(Row(time, medians[0], "s", medians[1]))
        table.add(Row("what AWS's buckets, if they are full, make its questions wait", seconds, "s"))
        time, medians[0] = "wall time without that", medians[0] - seconds
    table.add(Row(time, medians[0], "s", medians[1], limit=ratio, by_ratio=True))
    table.note(f"tool {spread(walls[0])}; floor {spread(walls[1])}")
    named = Counter(call.operation for call in counted(runs.tool[-1]))
    table.note(", ".join(f"{name} × {count}" for name, count in named.most_common()))
