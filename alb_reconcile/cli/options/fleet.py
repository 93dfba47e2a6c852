"""Declares the options of the `fleet` commands, which work on many accounts."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from alb_reconcile.cli.options.fleet_queue import add_fleet_queue
from alb_reconcile.cli.options.forgiving import Parser
from alb_reconcile.cli.options.groups import add_allow, add_issue, add_lock, add_policy, add_record
from alb_reconcile.cli.options.values import duration, given, number

Add = Callable[..., argparse.ArgumentParser]


def add_fleet(fleet: Any, add: Add, common: Callable[[], Parser]) -> None:
    """Declare the actions of `fleet`. `add` makes one action; `common` makes the options that all actions have that ask AWS."""
    parents = [common()]
    text = "check the fleet's file and all its specs without asking the accounts"
    validate = add(fleet, "validate", "fleet.validate", text, parents=parents)
    plan = add(fleet, "plan", "fleet.plan", "show what differs in all accounts; changes nothing", parents=parents)
    sync = add(fleet, "sync", "fleet.sync", "correct drift in all accounts, unattended", parents=parents)
    apply = add(
        fleet,
        "apply",
        "fleet.apply",
        "make all stacks match their specs, in waves that stop when too many fail",
        parents=parents,
    )
    text = "go on with the apply that stopped, from its wave on"
    resume = add(fleet, "resume", "fleet.resume", text, parents=parents)
    status = add(fleet, "status", "fleet.status", "show the last result of each account and region", parents=parents)
    report = add(
        fleet, "report", "fleet.report", "sum up the last results: by result, by owner, by age", parents=parents
    )
    text = "correct drift in the cells that a queue hands out, one at a time, until SIGTERM"
    worker = add(fleet, "worker", "fleet_queue.worker", text, parents=parents)
    beat = add(fleet, "beat", "fleet_queue.beat", "put each cell on a queue when its schedule says so", parents=parents)
    enqueue = add(fleet, "enqueue", "fleet_queue.enqueue", "put cells on a queue once", parents=parents)
    add_fleet_queue(worker, beat, enqueue, _add_choice)
    status.add_argument("--queue", metavar="URL", help="show what waits in this queue, too, and what was given up")
    for command in (validate, plan, sync, apply, resume, status, report):
        command.add_argument("file", nargs="?", default="fleet.yaml", metavar="FLEET", help="default fleet.yaml")
        further = {report: ("html",), status: ("prometheus",)}.get(command, ())
        command.add_argument("--format", choices=("text", "json", *further), default="text")
    for command in (validate, plan, sync, apply, status, report):
        _add_choice(command)
    for command in (validate, plan, sync, apply, resume):
        add_policy(command)
    for command in (plan, sync, apply, resume):
        command.add_argument(
            "--parallel",
            type=number(1, 64),
            default=4,
            metavar="N",
            help="how many stacks of a cell at once (default 4)",
        )
    for command in (sync, apply, resume):
        add_record(command)
    add_issue(sync)
    sync.add_argument(
        "--due", action="store_true", help="only the cells whose schedule says so, for a cron line a minute"
    )
    for command in (plan, sync):
        command.add_argument("-q", "--quiet", action="store_true", help="report only what isn't in sync, for cron")
    for command in (sync, apply, resume):
        text = "how long to wait for a stack's targets to be healthy"
        command.add_argument("--timeout", type=duration(), default=900, metavar="15m", help=text)
        add_lock(command)
    for command in (apply, resume):
        command.add_argument("-y", "--yes", action="store_true", help="go ahead; nobody is asked")
        add_allow(command)
    for command in (validate, plan, status, report):
        command.add_argument("--state-dir", metavar="DIR", help="where runs are recorded; else ALB_RECONCILE_STATE_DIR")


def _add_choice(command: argparse.ArgumentParser) -> None:
    choices: Sequence[tuple[str, str, str]] = (
        ("account", "ID|NAME", "only this account; may be given several times"),
        ("wave", "NAME", "only this wave; may be given several times"),
    )
    for name, shown, text in choices:
        command.add_argument(
            f"--{name}", dest=f"{name}s", action="append", type=given, default=[], metavar=shown, help=text
        )
