"""`sync`: correct drift unattended, once or for ever."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from alb_reconcile.cli.commands.connection import refuse_contradictions
from alb_reconcile.cli.commands.recording import settings_of
from alb_reconcile.cli.commands.session import load_further_policy
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.style import Style
from alb_reconcile.cli.render.sync import sync_json, sync_text
from alb_reconcile.journal.log import configure_logs, tell
from alb_reconcile.model.errors import ExitCode, SpecError, UsageError
from alb_reconcile.spec.stack import check_region
from alb_reconcile.sync.fleet import Broken, Fleet, find_specs, load_fleet
from alb_reconcile.sync.rounds import Report, Rounds

if TYPE_CHECKING:
    import argparse

_JITTER = 0.1
"""Of the interval: so that many hosts don't ask AWS at the same moment."""


def sync(args: argparse.Namespace) -> ExitCode:
    """Correct what may be corrected of each stack, and tell what is left."""
    settings = settings_of(args)
    find_specs(args.places)  # a mistake in the command line, or in the policy, is told at once
    load_further_policy(args)
    check_region(args.region)
    refuse_contradictions(args)
    configure_logs(
        complain,
        terminal=sys.stderr.isatty(),
        mask=settings.mask,
        verbose=bool(args.verbose),
        quiet=args.quiet,
    )
    rounds = Rounds(args, settings)
    try:
        return asyncio.run(_run(args, rounds))
    finally:
        rounds.close()


async def _run(args: argparse.Namespace, rounds: Rounds) -> ExitCode:
    now, ending = asyncio.Event(), asyncio.Event()
    _listen(args, rounds, now, ending)
    while True:
        now.clear()
        report = await rounds.run(_load(args))
        _show(args, report)
        if not args.every:
            return report.code
        if rounds.is_ending:
            return ExitCode.INTERRUPTED if report.code is ExitCode.INTERRUPTED else ExitCode.OK
        pause = args.every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (jitter is no secret)
        tell("next round", in_seconds=round(pause))
        await _first(pause, now, ending)
        if ending.is_set():
            return ExitCode.OK


def _load(args: argparse.Namespace) -> Fleet:
    """What there is now: of what was there, or right, in the first round some may be gone, or broken."""
    files: dict[str, None] = {}
    lost: list[Broken] = []
    for place in args.places:
        try:
            files |= dict.fromkeys(find_specs([place]))
        except UsageError as error:
            lost.append(Broken(place, str(error)))
    try:
        fleet = load_fleet(args, find_specs(list(files)) if files else ())
    except SpecError as error:  # the policy
        return Fleet((), (*lost, Broken(args.policy, str(error))))
    return replace(fleet, broken=(*lost, *fleet.broken))


def _show(args: argparse.Namespace, report: Report) -> None:
    if args.format == "json":
        emit(
            sync_json(
                report.records, report.broken, report.notes, report.seconds, indent=None if args.every else 2
            )
        )
        return
    style = Style.detect(no_color=args.no_color)
    text = sync_text(report.records, report.broken, report.notes, report.seconds, style, quiet=args.quiet)
    if text:
        emit(text)


async def _first(seconds: float, *events: asyncio.Event) -> None:
    """Wait for the first of some events, so many seconds at most."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


def _listen(args: argparse.Namespace, rounds: Rounds, now: asyncio.Event, ending: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C end it between steps, a second one at once; SIGHUP begins a round now."""

    def stop() -> None:
        if ending.is_set():
            os._exit(int(ExitCode.INTERRUPTED))
        tell("ending: nothing new is started, calls under way end first")
        ending.set()
        rounds.stop()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # Windows, or not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if args.every:
            loop.add_signal_handler(signal.SIGHUP, now.set)
