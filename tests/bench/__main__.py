"""`python -m tests.bench [SECTION ...] [-v]`: measure, print a table, and end with 1 if a limit is missed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib.metadata import version

from tests.bench import command_line, fleet, growth, hundred, planner, runbook, start_up
from tests.bench.lab import lab
from tests.bench.table import Table

_RUNBOOK = ("create", "plan", "destroy")
_ALONE = {"cli": command_line, "planner": planner}
"""Those that need no account of the bench's."""
_IN_ACCOUNT = {"start": start_up, "growth": growth, "hundred": hundred, "sync": fleet}
_SECTIONS = ("cli", *_RUNBOOK, *_IN_ACCOUNT, "planner")


def main() -> int:
    """Run the sections that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(_SECTIONS))
    parser.add_argument("-v", "--verbose", action="store_true", help="list the calls of create, plan and destroy")
    args = parser.parse_args()
    if unknown := set(args.sections).difference(_SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(_SECTIONS)}")
    wanted = args.sections or list(_SECTIONS)
    started = time.monotonic()
    table = Table()
    packages = ", ".join(f"{name} {version(name)}" for name in ("alb-reconcile", "boto3", "botocore", "moto"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for name, alone in _ALONE.items():
        if name in wanted:
            alone.measure(table)
    if not _ALONE.keys() >= set(wanted):
        with lab() as account:
            if set(wanted).intersection(_RUNBOOK):
                runbook.measure(account, table, wanted, verbose=args.verbose)
            for name, section in _IN_ACCOUNT.items():
                if name in wanted:
                    section.measure(account, table)
    missed = table.missed
    print(
        f"\n{len(table.rows)} numbers, {len(missed)} limits missed, {time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f}"
    )
    for row in missed:
        print(f"MISSED: {row.what}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:  # what was to be measured didn't work
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
