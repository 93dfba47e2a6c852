"""Handles signals during a run over one stack; `sync` has its own handlers."""

import asyncio
import os
import signal
from contextlib import suppress

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain
from alb_reconcile.model.errors import ExitCode


def stop_on_signals(aws: Aws) -> None:
    """Handle signals: the first Ctrl-C (or SIGTERM, or SIGHUP) starts nothing new and drops waits; the second stops the run at once."""

    def stop() -> None:
        if aws.stopping.is_set():
            complain("\nstopped at once; calls in progress may still take effect")
            os._exit(int(ExitCode.INTERRUPTED))
        complain(
            "\nstopping: nothing new starts, and calls in progress finish first (press Ctrl-C again to stop at once)"
        )
        aws.stopping.set()

    def hang_up() -> None:
        if not aws.stopping.is_set():  # the kernel and the shell both signal that a terminal is gone
            stop()

    with suppress(NotImplementedError, RuntimeError):  # Windows, or not in the main thread
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(signal.SIGHUP, hang_up)
