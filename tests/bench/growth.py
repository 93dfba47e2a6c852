"""How reads grow with the stack: those of EC2 not at all, those of ELBv2 by about one a target group."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.calls import reads
from tests.bench.lab import Lab, Ran, module
from tests.bench.specs import service, write
from tests.bench.table import Row, Table

INSTANCES: Final = (2, 20, 100)
GROUPS: Final = (1, 10, 50)


def measure(lab: Lab, table: Table) -> None:
    """Plans that find nothing to do, of stacks of several sizes."""
    with tempfile.TemporaryDirectory() as folder, lab.delay(0):
        table.head("growth: reads of an unchanged plan by the number of instances")
        first: int | None = None
        for count in INSTANCES:
            run = _plan(lab, Path(folder), count, 1)
            ec2, elb = (len(reads(run.calls, service)) for service in ("ec2", "elbv2"))
            first = ec2 if first is None else first
            _add(table, f"with {count} instances", ec2, elb, first, 1)
        table.head("growth: reads of an unchanged plan by the number of target groups")
        for count in GROUPS:
            run = _plan(lab, Path(folder), 2, count)
            ec2, elb = (len(reads(run.calls, service)) for service in ("ec2", "elbv2"))
            _add(table, f"with {count} target groups", ec2, elb, first, count)


def _add(table: Table, what: str, ec2: int, elb: int, first: int | None, groups: int) -> None:
    table.add(Row(f"EC2 reads {what}", ec2, floor=first, limit=first, exact=True))
    table.add(Row(f"ELBv2 reads {what}", elb, limit=_allowed(groups)))


def _plan(lab: Lab, folder: Path, instances: int, groups: int) -> Ran:
    spec = str(write(service(instances, groups), folder / f"{instances}-{groups}.yaml"))
    lab.reset()
    lab.run_directly(module("unpaced", "apply", spec, "--yes", "--max-workers", "4"))
    return lab.run(module("unpaced", "plan", spec, "--detailed-exitcode"))


def _allowed(groups: int) -> int:
    """One load balancer with one listener and `groups` groups, all but one of them behind a rule.

    Balancers, groups, listeners and rules are one call a page (of at least 100), health is one a group, tags are
    one for 20 ARNs of what is known at the same time.
    """
    rules = groups - 1
    tags = math.ceil((1 + groups) / 20) + 1 + math.ceil(rules / 20)
    return 4 + groups + tags
