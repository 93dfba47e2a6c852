"""The command `sync`: corrects drift unattended, once or at an interval."""

import asyncio
import os
import random
import signal
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

from alb_reconcile.api.proving import prover
from alb_reconcile.api.session import check_session
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.sync import sync_json, sync_text
from alb_reconcile.cli.session.connection import ConnectionOptions, connect
from alb_reconcile.cli.session.recording import RecordOptions, settings_of
from alb_reconcile.cli.session.specs import LoadingOptions, load_further_policy, load_in_region, refuse_unused
from alb_reconcile.journal.log import configure_logs, tell
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.spec.stack import check_region
from alb_reconcile.sync.rounds import SyncRounds
from alb_reconcile.sync.stack import Ways
from alb_reconcile.sync.targets import find_specs, load_targets

_JITTER = 0.1
"""A share of the interval: so that many hosts don't ask AWS at the same moment."""


@dataclass(frozen=True)
class SyncOptions:
    places: tuple[str, ...]
    apply_changes: bool
    every: int | None
    parallel: int
    quiet: bool
    timeout: int
    policy: str | None
    lock_timeout: int
    issue: str | None
    output: Output
    record: RecordOptions
    loading: LoadingOptions
    connection: ConnectionOptions


def sync(options: SyncOptions) -> ExitCode:
    """Correct what may be corrected of each stack, and report what is left."""
    settings = settings_of(options.record, options.issue)
    found = find_specs(options.places)  # a mistake in the command line, or in the policy, is reported at once
    refuse_unused(options.loading.variables, *found, options.policy)
    load_further_policy(options.policy, options.loading)
    check_region(options.loading.region)
    check_session(options.connection)
    configure_logs(
        complain,
        terminal=sys.stderr.isatty(),
        mask=settings.mask,
        verbose=bool(options.connection.verbose),
        quiet=options.quiet,
        errors=not options.quiet or options.every is not None,  # cron mails both outputs, and the report has the errors
    )
    # no user waits for it, and other users may use AWS; a mistake in the settings is a failed run of each stack, and recorded
    ask = partial(connect, options.connection, usual_burst=0.6, prepared=False)
    ways = Ways(options.apply_changes, options.timeout, prove=prover(sandbox=options.connection.sandbox))
    rounds = SyncRounds(ask, settings, ways, parallel=options.parallel, lock_timeout=options.lock_timeout)
    with settings.traces_end(complain), closing(rounds):
        return asyncio.run(_run(options, rounds))


async def _run(options: SyncOptions, rounds: SyncRounds) -> ExitCode:
    wake, ending = asyncio.Event(), asyncio.Event()
    _listen(rounds, wake, ending, for_ever=options.every is not None)
    load = partial(load_in_region, options=options.loading)
    further = partial(load_further_policy, options.policy, options.loading)
    text, json = partial(sync_text, quiet=options.quiet), partial(sync_json, indent=None if options.every else 2)
    while True:
        wake.clear()
        report = await rounds.run(load_targets(options.places, load, further))
        options.output.show(report, text, json)
        if options.every is None:
            return report.code
        if rounds.is_ending:
            return ExitCode.INTERRUPTED if report.code is ExitCode.INTERRUPTED else ExitCode.OK
        pause = options.every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (jitter is no secret)
        tell("next_round", in_seconds=round(pause))
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), pause)
        if ending.is_set():
            return ExitCode.OK


def _listen(rounds: SyncRounds, wake: asyncio.Event, ending: asyncio.Event, *, for_ever: bool) -> None:
    """Handle signals: SIGTERM and Ctrl-C end the rounds between steps, a second one at once; SIGHUP begins a round now."""

    def stop() -> None:
        if ending.is_set():
            os._exit(int(ExitCode.INTERRUPTED))
        tell("stopping", text="nothing new starts, and calls in progress finish first")
        ending.set()
        wake.set()
        rounds.stop()

    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError, RuntimeError):  # Windows, or not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if for_ever:
            loop.add_signal_handler(signal.SIGHUP, wake.set)
