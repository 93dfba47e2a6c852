"""Declares the options of `fleet worker`, `fleet beat` and `fleet enqueue`, which use a queue."""

import argparse
from collections.abc import Callable

from alb_reconcile.cli.options.groups import add_issue, add_lock, add_policy, add_record
from alb_reconcile.cli.options.values import duration, number


def add_fleet_queue(
    worker: argparse.ArgumentParser,
    beat: argparse.ArgumentParser,
    enqueue: argparse.ArgumentParser,
    add_choice: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Declare the actions' options. `add_choice` adds those that choose cells."""
    for command in (worker, beat, enqueue):
        command.add_argument("file", nargs="?", default="fleet.yaml", metavar="FLEET", help="default fleet.yaml")
        command.add_argument(
            "--queue", metavar="URL",
            help="the URL of a queue of Amazon SQS, or redis://HOST:6379/0; else ALB_RECONCILE_FLEET_QUEUE",
        )  # fmt: skip
    add_policy(worker)
    text = "how many stacks of a cell at once (default 4)"
    worker.add_argument("--parallel", type=number(1, 64), default=4, metavar="N", help=text)
    text = "how long to wait for a stack's targets to be healthy"
    worker.add_argument("--timeout", type=duration(), default=900, metavar="15m", help=text)
    add_issue(worker)
    add_record(worker)
    add_lock(worker)
    add_choice(enqueue)
    enqueue.add_argument("--due", action="store_true", help="only the cells whose schedule says so")
    text = "where runs are recorded; else ALB_RECONCILE_STATE_DIR"
    enqueue.add_argument("--state-dir", metavar="DIR", help=text)
