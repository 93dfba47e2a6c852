"""The runbook's stack: create it, find that nothing has changed, destroy it; each beside the floor, in turns."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.bench.calls import chain, changes, reads, timeline, waves
from tests.bench.lab import DELAY, KEY_NAME, Lab, Ran, module, tool
from tests.bench.table import Row, Table, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

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
    """The same work by the tool and by the floor."""

    tool: list[Ran] = field(default_factory=list)
    floor: list[Ran] = field(default_factory=list)

    def pair(
        self, lab: Lab, tool_command: list[str], floor_command: list[str], *, tool_first: bool, empty: bool = False
    ) -> None:
        """One run of each; each in an account that is `empty`, where that is asked for."""
        jobs = [(self.tool, tool_command), (self.floor, floor_command)]
        for runs, command in jobs if tool_first else reversed(jobs):
            if empty:
                lab.reset()
            runs.append(lab.run(command))


def measure(lab: Lab, table: Table, wanted: Collection[str], *, verbose: bool) -> None:
    """All rounds, then the tables of what was asked for."""
    lab.reset()
    for command in (
        _CREATE,
        _APPLY,
        _FIND,
        _PLAN,
        _DESTROY,
        _DELETE,
    ):  # moto makes its services when they are first asked
        lab.run(command)
    create, plan, destroy = Runs(), Runs(), Runs()
    for number in range(ROUNDS):
        first = bool(number % 2)
        create.pair(lab, _APPLY, _CREATE, tool_first=first, empty=True)
        lab.run(_APPLY if first else _CREATE)  # which the other one's reset has removed
        for turn in range(PAIRS if "plan" in wanted else 0):
            plan.pair(lab, _PLAN, _FIND, tool_first=bool(turn % 2))
        destroy.pair(lab, _DESTROY, _DELETE, tool_first=bool(number % 2))
    deep = Runs()
    with lab.delay(LONG_DELAY):
        lab.reset()
        deep.pair(lab, _APPLY, _CREATE, tool_first=True)
        deep.pair(lab, _PLAN, _FIND, tool_first=True)
        if "destroy" in wanted:
            deep.pair(lab, _DESTROY, _DELETE, tool_first=True)
    if "create" in wanted:
        _report_create(table, create, deep)
    if "plan" in wanted:
        _report_plan(table, plan, deep)
    if "destroy" in wanted:
        _report_destroy(table, destroy, deep)
    if verbose:
        for name, runs in (("create", create), ("plan", plan), ("destroy", destroy)):
            if name in wanted:
                _show(table, name, runs.tool[-1])


def _worst(runs: Iterable[Ran], count: Callable[[Ran], int]) -> int:
    return max(map(count, runs))


def _report_create(table: Table, runs: Runs, deep: Runs) -> None:
    table.head(f"create: apply specs/runbook.yaml in an empty account, {DELAY * 1000:.0f} ms a call")
    written = [_worst(side, lambda run: len(changes(run.calls))) for side in (runs.tool, runs.floor)]
    table.add(Row("mutating calls", written[0], floor=written[1], limit=written[1] + 1))
    walls = [[run.wall_of_changes for run in side] for side in (runs.tool, runs.floor)]
    table.add(
        Row(
            "wall time, process start to last mutating call", statistics.median(walls[0]), "s",
            statistics.median(walls[1]), limit=1.5, by_ratio=True,
        )
    )  # fmt: skip
    depths = [len(chain(side[0].until_changes)) for side in (deep.tool, deep.floor)]
    table.add(Row("depth in round trips, to the last mutating call", depths[0], floor=depths[1], limit=8))
    looked = [_worst(side, lambda run: len(reads(run.until_changes))) for side in (runs.tool, runs.floor)]
    table.add(Row("reads, to the last mutating call", looked[0], floor=looked[1]))
    rest = statistics.median(run.ended - max(call.ended for call in changes(run.calls)) for run in runs.tool)
    table.add(Row("verification after it, to the process's end", rest, "s"))
    table.add(Row("reads of the verification", _worst(runs.tool, lambda run: len(reads(run.after_changes)))))
    table.note(f"tool {spread(walls[0])}; floor {spread(walls[1])}")


def _report_plan(table: Table, runs: Runs, deep: Runs) -> None:
    table.head(f"plan: specs/runbook.yaml, nothing has changed, {DELAY * 1000:.0f} ms a call")
    looked = [_worst(side, lambda run: len(reads(run.calls))) for side in (runs.tool, runs.floor)]
    table.add(Row("reads", looked[0], floor=looked[1], limit=14))
    table.add(Row("mutating calls", _worst(runs.tool, lambda run: len(changes(run.calls))), limit=0))
    depths = [len(chain(side[1].calls)) for side in (deep.tool, deep.floor)]
    table.add(Row("depth in round trips", depths[0], floor=depths[1], limit=3))
    walls = [[run.wall for run in side] for side in (runs.tool, runs.floor)]
    table.add(
        Row("wall time, process start to end", statistics.median(walls[0]), "s", statistics.median(walls[1]), limit=1.3, by_ratio=True)
    )  # fmt: skip
    for what, cut in (
        ("  of it before the first call", lambda run: min(call.started for call in run.calls) - run.started),
        ("  of it after the last answer", lambda run: run.ended - max(call.ended for call in run.calls)),
    ):
        parts = [statistics.median(map(cut, side)) for side in (runs.tool, runs.floor)]
        table.add(Row(what, parts[0], "s", parts[1]))
    table.note(f"tool {spread(walls[0])}; floor {spread(walls[1])}")


def _report_destroy(table: Table, runs: Runs, deep: Runs) -> None:
    table.head(f"destroy: specs/runbook.yaml, {DELAY * 1000:.0f} ms a call")
    written = [_worst(side, lambda run: len(changes(run.calls))) for side in (runs.tool, runs.floor)]
    table.add(Row("mutating calls", written[0], floor=written[1], limit=written[1] + 3))
    walls = [[run.wall_of_changes for run in side] for side in (runs.tool, runs.floor)]
    table.add(
        Row("wall time, process start to last mutating call", statistics.median(walls[0]), "s", statistics.median(walls[1]))
    )  # fmt: skip
    depths = [len(chain(side[2].until_changes)) for side in (deep.tool, deep.floor)]
    table.add(Row("depth in round trips, to the last mutating call", depths[0], floor=depths[1]))
    looked = [_worst(side, lambda run: len(reads(run.until_changes))) for side in (runs.tool, runs.floor)]
    table.add(Row("reads, to the last mutating call", looked[0], floor=looked[1]))
    table.note(f"tool {spread(walls[0])}; floor {spread(walls[1])}")


def _show(table: Table, name: str, run: Ran) -> None:
    table.note(f"{name}, by round trip:")
    for number, line in enumerate(waves(run.calls), 1):
        table.note(f"  {number:2}  {line}")
    table.note(f"{name}, each call (ms after the process's start):")
    for line in timeline(run.calls, run.started):
        table.note(f"  {line}")
