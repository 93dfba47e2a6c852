"""An unchanged plan's processor time, beside what botocore alone takes to be imported and to make the clients for ec2, elbv2 and sts."""

from __future__ import annotations

import resource
import statistics
import sys
from typing import TYPE_CHECKING, Final

from tests.bench.lab import Lab, module, tool
from tests.bench.table import Row, Table, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS: Final = 11
_SPEC: Final = "specs/demo.yaml"
_COUNTED: Final = """
import sys
from alb_reconcile.cli.main import main
code = main(sys.argv[1:])
print(f"imported {len(sys.modules)}")
sys.exit(code)
"""


def measure(lab: Lab, table: Table) -> None:
    """Plan and floor in turns, past the proxy."""
    table.head(f"start: plan {_SPEC}, nothing has changed")
    lab.reset()
    lab.run_directly(tool("apply", _SPEC, "--yes"))
    plan = ("plan", _SPEC, "--detailed-exitcode")
    jobs = {"plan": tool(*plan), "floor": module("bare")}
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for command in jobs.values():  # the first run compiles modules
        _spent(lab, command)
    for _ in range(RUNS):
        for name, command in jobs.items():
            spent[name].append(_spent(lab, command))
    medians = {name: statistics.median(values) for name, values in spent.items()}
    table.add(Row("processor time, user and system", medians["plan"], "s", medians["floor"], limit=1.5, by_ratio=True))
    table.note(f"plan {spread(spent['plan'])}; floor {spread(spent['floor'])}")
    output = lab.run_directly([sys.executable, "-c", _COUNTED, *plan]).output
    table.add(Row("modules imported", int(output.rpartition("imported ")[2])))


def _spent(lab: Lab, command: Sequence[str]) -> float:
    """Seconds of processor time of a process and those that it waited for; the bench's servers aren't among them, as they go on."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lab.run_directly(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
