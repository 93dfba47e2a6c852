"""Asks the user to confirm a change."""

import asyncio
import sys
import threading
from contextlib import suppress
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.model.errors import InterruptedRun, RefusedError


async def confirm(aws: Aws, question: str, wanted: str, *, yes: bool) -> None:
    """Ask before a change, unless `yes` was given beforehand.

    Raises RefusedError, and InterruptedRun if the run was stopped meanwhile or its lease was lost.
    """
    _refuse_if_stopped(aws)
    if yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            "there is no terminal to ask for confirmation, and nothing was changed; add --yes to go ahead"
        )
    emit("")
    answer = _read_answer(question)
    stopped = asyncio.ensure_future(aws.stopping.wait())
    waits: list[asyncio.Future[Any]] = [answer, stopped]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not answer.done():
        complain("")  # ends the question's line
    _refuse_if_stopped(aws)
    if answer.result().strip() != wanted:
        raise RefusedError("not confirmed; nothing was changed")
    if aws.guard is not None:  # the answer may have taken hours
        await aws.guard.permit(0.0)


def _read_answer(question: str) -> asyncio.Future[str]:
    """The user's answer, empty if none can be read. The thread that waits for it may die with the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(text: str) -> None:
        if not answer.done():
            answer.set_result(text)

    def read() -> None:
        try:
            text = input(question)
        except (EOFError, OSError, RuntimeError, ValueError):  # closed, hung up, lost, or not text
            text = ""
        with suppress(RuntimeError):  # the loop has ended: no caller waits any more
            loop.call_soon_threadsafe(settle, text)

    threading.Thread(target=read, name="answer", daemon=True).start()
    return answer


def _refuse_if_stopped(aws: Aws) -> None:
    if aws.stopping.is_set():
        raise aws.halted or InterruptedRun("interrupted; nothing was changed")
