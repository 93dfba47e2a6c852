"""Runs one command as a process, and turns each error into one clear message and an exit code."""

import argparse
import gc
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from alb_reconcile.aws.endpoint import without_passwords
from alb_reconcile.cli.options.fill import fill, options_of
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.cli.render.annotations import annotate
from alb_reconcile.cli.render.console import complain, finish, open_closed, reset
from alb_reconcile.cli.render.output import report
from alb_reconcile.model.advice import reach_with
from alb_reconcile.model.errors import ExitCode, ReconcileError
from alb_reconcile.model.machine import find_lack


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    reset()
    try:
        parsed = make_parser().parse_args(argv)
    except SystemExit as stop:  # argparse ends so, for --help as well as for mistakes
        return int(stop.code or 0)
    reach_with(_reach(parsed))
    try:
        return int(_call(parsed))
    except SystemExit as stop:  # a mistake in what `help` was asked for
        return int(stop.code or 0)
    except KeyboardInterrupt:
        complain("interrupted")
        return int(ExitCode.INTERRUPTED)
    except ReconcileError as error:
        told = error
    except Exception as error:
        if not (lack := find_lack(error)):
            raise
        told = ReconcileError(f"{lack}; what was done stays. Then run the command again")
    report(told, getattr(parsed, "format", ""))  # objects that the error held are free now
    annotate(told)
    return int(told.exit_code)


def _reach(parsed: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The options that say which AWS is asked."""
    if getattr(parsed, "sandbox", False):
        yield ("--sandbox",)
    for name in ("profile", "endpoint_url", "region"):
        if value := getattr(parsed, name, None):
            yield f"--{name.replace('_', '-')}", without_passwords(value)


def _call(parsed: argparse.Namespace) -> ExitCode:
    """Call the command that was named, with its own options. No function behind this one sees what argparse has read."""
    module, _, function = parsed.run.partition(".")
    command = getattr(importlib.import_module(f"alb_reconcile.cli.commands.{module}"), function)
    wanted = options_of(command)
    code: ExitCode = command() if wanted is None else command(fill(wanted, parsed))
    return code


def run() -> NoReturn:
    """Run `main` as a process, which ends without waiting for calls with results that aren't needed any more."""
    open_closed()
    gc.disable()
    later = threading.Timer(_START, _collect_garbage)
    later.daemon = True
    with suppress(RuntimeError):  # no more threads can be started; the command reports it if it needs one
        later.start()
    code = main()
    os._exit(finish(code))


_START: Final = 1.0
"""Seconds in which modules and AWS's models are read. All these objects stay; collecting garbage among them takes a seventh of the time."""


def _collect_garbage() -> None:
    gc.freeze()
    gc.enable()
