"""A stack of a hundred instances: create, plan, roll, destroy, each beside the floor for as many."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.fleet import allowed, by_bucket
from tests.bench.lab import KEY_NAME, Lab, module, tool
from tests.bench.runbook import LONG_DELAY, Runs, counted, report
from tests.bench.specs import service, write

if TYPE_CHECKING:
    from tests.bench.table import Table

INSTANCES: Final = 100
SURGE: Final = 25
_EACH: Final = str(INSTANCES // 2)
_CREATE: Final = module("floor", "create", KEY_NAME, _EACH)
_FIND: Final = module("floor", "find", _EACH)
_ROLL: Final = module("floor", "roll", KEY_NAME, str(SURGE), _EACH)
_DELETE: Final = module("floor", "delete", _EACH)


def measure(lab: Lab, table: Table) -> None:
    """Each once, and once more for the depth."""
    with tempfile.TemporaryDirectory() as folder:
        spec = str(write(_spec("1"), Path(folder) / "hundred.yaml"))
        other = str(write(_spec("2"), Path(folder) / "rolled.yaml"))
        jobs = (
            (Runs(), tool("apply", spec, "--yes"), _CREATE),
            (Runs(), tool("plan", spec, "--detailed-exitcode"), _FIND),
            (Runs(), tool("apply", other, "--yes", "--allow", f"replace={INSTANCES}"), _ROLL),
            (Runs(), tool("destroy", other, "--yes"), _DELETE),
        )
        lab.run_directly(module("floor", "create", KEY_NAME, "1"))  # moto makes its services when they are first asked
        lab.reset()
        for runs, *commands in jobs:
            runs.pair(lab, *commands, tool_first=runs is jobs[2][0])
        with lab.delay(LONG_DELAY):
            lab.reset()
            for runs, *commands in jobs:
                runs.look_deep(lab, *commands)
    create, same, rolled, gone = (runs for runs, *_ in jobs)
    most = 30 + INSTANCES // 20
    report(table, f"create of {INSTANCES} instances in two subnets", create, most=most, ratio=3.0)
    report(table, f"unchanged plan of {INSTANCES} instances", same, most=0)
    report(table, f"roll of {INSTANCES} instances, max_surge {SURGE}", rolled)
    table.note("a roll waits until it is a minute old before it deregisters the first instances")
    # it first asks more than AWS's buckets hold, which the floor doesn't, and nothing else goes on meanwhile
    what = f"destroy of {INSTANCES} instances"
    report(table, what, gone, most=20, ratio=2.5, waited=lambda run: allowed(by_bucket(counted(run)), 1))


def _spec(version: str) -> dict[str, Any]:
    """Nothing in it waits by the clock."""
    spec = service(INSTANCES, 1)
    spec["instances"]["web"]["user_data"] = f"#!/bin/sh\nexec web-api {version}\n"
    spec["instances"]["web"]["rollout"] = {"max_surge": SURGE, "settle": "0s", "min_ready": "0s"}
    spec["target_groups"]["group-0"]["attributes"] = {"deregistration_delay.timeout_seconds": 0}
    return spec
