"""The command line without AWS: how long help and validation take from the start of the process to its end."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.lab import environment, run, tool
from tests.bench.specs import entries, write
from tests.bench.table import Row, Table, spread

RUNS: Final = 7
_IMPORTED: Final = """
import sys
from alb_reconcile.cli.main import main
code = main(sys.argv[1:])
found = sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore"})
print(f"imported {len(found)}")
sys.exit(code)
"""


def measure(table: Table) -> None:
    """Help, the demo's spec, and a spec of 2,000 entries."""
    table.head("cli: wall time of a process")
    with tempfile.TemporaryDirectory() as folder:
        large = str(write(entries(2000), Path(folder) / "large.yaml"))
        jobs = {
            "--help": (("--help",), 0.2),
            "validate specs/demo.yaml": (("validate", "specs/demo.yaml"), 0.5),
            "validate a spec of 2,000 entries": (("validate", large), 1.0),
        }
        walls: dict[str, list[float]] = {name: [] for name in ("python", *jobs)}
        for _ in range(RUNS):
            walls["python"].append(run([sys.executable, "-c", "pass"], environment()).wall)
            for name, (args, _) in jobs.items():
                walls[name].append(run(tool(*args), environment()).wall)
        floor = statistics.median(walls["python"])
        for name, (_, limit) in jobs.items():
            table.add(Row(name, statistics.median(walls[name]), "s", floor, limit))
            table.note(spread(walls[name]))
        for name, (args, _) in list(jobs.items())[:2]:
            done = run([sys.executable, "-c", _IMPORTED, *args], environment())
            found = int(done.output.rpartition("imported ")[2])
            table.add(Row(f"boto3, botocore imported by {name}", found, limit=0))
    table.note("the floor is Python itself, starting and ending")
