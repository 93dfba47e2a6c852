"""A stack of a hundred instances: create, plan, roll, destroy, each beside the floor for as many; and still larger ones."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.calls import chain, changes, reads
from tests.bench.fleet import allowed, by_bucket
from tests.bench.lab import DELAY, KEY_NAME, Lab, environment, module, run, tool
from tests.bench.runbook import LONG_DELAY, Runs
from tests.bench.specs import service, write
from tests.bench.table import Row, Table, spread

if TYPE_CHECKING:
    from tests.bench.calls import Call
    from tests.bench.lab import Ran

INSTANCES: Final = 100
SURGE: Final = 25
LARGER: Final = (500, 1000)
ROUNDS: Final = 1
_EACH: Final = str(INSTANCES // 2)
_CREATE: Final = module("floor", "create", KEY_NAME, _EACH)
_FIND: Final = module("floor", "find", _EACH)
_ROLL: Final = module("floor", "roll", KEY_NAME, str(SURGE), _EACH)
_DELETE: Final = module("floor", "delete", _EACH)


def measure(lab: Lab, table: Table) -> None:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        spec = write(_spec(INSTANCES, "1"), Path(folder) / "hundred.yaml")
        other = write(_spec(INSTANCES, "2"), Path(folder) / "rolled.yaml")
        _measure_larger(lab, table, spec, _measure_runs(lab, table, spec, other))
    _measure_throttled(table)


def _spec(instances: int, version: str) -> dict[str, Any]:
    """Nothing in it waits by the clock: what a roll waits for apart from calls is said beside them."""
    spec = service(instances, 1)
    spec["instances"]["web"]["user_data"] = f"#!/bin/sh\nexec web-api {version}\n"
    spec["instances"]["web"]["rollout"] = {"max_surge": SURGE, "settle": "0s", "min_ready": "0s"}
    spec["target_groups"]["group-0"]["attributes"] = {"deregistration_delay.timeout_seconds": 0}
    return spec


def _measure_runs(lab: Lab, table: Table, spec: Path, other: Path) -> int:
    """Create, plan, roll and destroy in turns. Returns create's mutating calls that aren't launches."""
    apply, plan = tool("apply", str(spec), "--yes"), tool("plan", str(spec), "--detailed-exitcode")
    roll = tool("apply", str(other), "--yes", "--allow", f"replace={INSTANCES}")
    destroy = tool("destroy", str(other), "--yes")
    create, same, rolled, gone = Runs(), Runs(), Runs(), Runs()
    lab.run_directly(module("floor", "create", KEY_NAME, "1"))  # moto makes its services when they are first asked
    for number in range(ROUNDS):
        lab.reset()
        create.pair(lab, apply, _CREATE, tool_first=bool(number % 2))
        same.pair(lab, plan, _FIND, tool_first=bool(number % 2))
        if number == 0:
            rolled.pair(lab, roll, _ROLL, tool_first=True)
        gone.pair(lab, destroy, _DELETE, tool_first=bool(number % 2))
    deep = Runs()
    with lab.delay(LONG_DELAY):
        lab.reset()
        for commands in ((apply, _CREATE), (plan, _FIND), (roll, _ROLL), (destroy, _DELETE)):
            deep.pair(lab, *commands, tool_first=True)
    most = 30 + INSTANCES // 20
    _report(table, f"create of {INSTANCES} instances in two subnets", create, deep, 0, writes=most, ratio=3.0)
    _report(table, f"unchanged plan of {INSTANCES} instances", same, deep, 1, writes=0)
    _report(table, f"roll of {INSTANCES} instances, max_surge {SURGE}", rolled, deep, 2)
    _say_waits(table, spec, rolled.tool[0])
    _report(table, f"destroy of {INSTANCES} instances", gone, deep, 3, writes=20, ratio=2.5, asks=True)
    return sum(call.operation != "RunInstances" for call in changes(create.tool[0].calls))


def _report(
    table: Table,
    what: str,
    runs: Runs,
    deep: Runs,
    place: int,
    *,
    writes: int | None = None,
    ratio: float | None = None,
    asks: bool = False,
) -> None:
    """`asks`: it first asks more than AWS's buckets hold, which the floor doesn't, and nothing else goes on meanwhile."""
    table.head(f"{what}, {DELAY * 1000:.0f} ms a call")
    sides = (runs.tool, runs.floor)
    made = [max(len(changes(run.calls)) for run in side) for side in sides]
    table.add(Row("mutating calls", made[0], floor=made[1], limit=writes))
    ends = "to last mutating call" if made[0] else "to end"
    looked = [max(len(reads(_counted(run))) for run in side) for side in sides]
    table.add(Row(f"reads, {ends}", looked[0], floor=looked[1]))
    depths = [len(chain(_counted(side[place]))) for side in (deep.tool, deep.floor)]
    table.add(Row(f"depth in round trips, {ends}", depths[0], floor=depths[1]))
    walls = [[run.wall_of_changes if made[0] else run.wall for run in side] for side in sides]
    medians = [statistics.median(side) for side in walls]
    what = f"wall time, process start {ends}"
    if asks:
        waited = max(0.0, *(allowed(by_bucket(_counted(run)), 1) for run in runs.tool))
        table.add(Row(what, medians[0], "s", medians[1]))
        table.add(Row("what AWS's buckets, if they are full, make its questions wait", waited, "s"))
        what, medians[0] = "wall time without that", medians[0] - waited
    table.add(Row(what, medians[0], "s", medians[1], limit=ratio, by_ratio=True))
    table.note(f"tool {spread(walls[0])}; floor {spread(walls[1])}")
    named = Counter(call.operation for call in _counted(runs.tool[-1]))
    table.note(", ".join(f"{name} × {count}" for name, count in named.most_common()))


def _counted(run: Ran) -> tuple[Call, ...]:
    """Without the verification that follows changes."""
    return run.until_changes if changes(run.calls) else run.calls


def _say_waits(table: Table, spec: Path, run: Ran) -> None:
    """What a roll waits for apart from calls: nothing by this spec, and by the defaults from what the plan says."""
    busy, until = 0.0, run.started
    for call in sorted(run.calls, key=lambda item: item.started):
        busy += max(0.0, call.ended - max(call.started, until))
        until = max(until, call.ended)
    table.add(Row("of the roll without any call under way, to its end", run.wall - busy, "s"))
    waves = math.ceil(INSTANCES / SURGE)
    table.note(
        f"on AWS {waves} times, one after another: until instances run, until they are healthy, min_ready (30 s by default), until "
        "the old ones have drained (300 s by default) or settle is over (30 s), and until they have ended"
    )


def _measure_larger(lab: Lab, table: Table, small: Path, others: int) -> None:
    """moto is too slow to make them: reads are replayed, launches are counted in the plan."""
    table.head(f"larger: replayed from the answers for {INSTANCES}, and planned from memory")
    lab.reset()
    lab.run_directly(module("unpaced", "apply", str(small), "--yes"))
    few: dict[str, int] = {}
    for count in (INSTANCES, *LARGER):
        large = str(write(_spec(count, "1"), small.with_name(f"{count}.yaml")))
        counted = json.loads(lab.run_directly(module("replayed", str(small), large)).output)
        few = few or counted
        for name in ("ec2", "elbv2"):
            what = f"reads of {name}, {count} instances unchanged"
            table.add(Row(what, counted[name], floor=few[name], limit=few[name], exact=True))
        for case in ("new", "same", "replace", "destroy"):
            planned = json.loads(run(module("planned", large, case), environment()).output)
            table.add(Row(f"planning {count} instances, {case}: processor time", planned["seconds"], "s", limit=1.0))
            table.add(Row("  peak memory of the process", planned["megabytes"], "MB", limit=200))
            if case in ("new", "replace"):
                launches, batches = planned["launches"], math.ceil(count / 200) - 1
                extra = others + batches if case == "new" else 0
                what = "  mutating calls to create it" if extra else "  launches to roll it"
                table.add(Row(what, launches + extra, limit=30 + count / 20 if extra else None))


def _measure_throttled(table: Table) -> None:
    """In a process of its own: the emulator replaces boto3's clients."""
    table.head(
        f"create of {INSTANCES} in the strict emulator, which throttles as AWS documents, at pace 1.0, on a virtual clock"
    )
    found = json.loads(run(module("throttled", str(INSTANCES)), environment()).output)
    table.add(Row("steps that weren't done", found["failed"], limit=0))
    table.add(Row("calls that were throttled", found["throttled"]))
    table.add(Row("what full buckets allow for its calls", found["allowed"], "s"))
    table.add(
        Row("time, to the last step's end, beside an AWS without buckets", found["seconds"], "s", found["unthrottled"],
            limit=1.5, by_ratio=True)
    )  # fmt: skip
    table.note(
        "the buckets are fuller than these calls need: what is waited for is AWS's own work, which the floor has as well"
    )
