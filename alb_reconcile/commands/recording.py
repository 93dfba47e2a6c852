"""The record of a run: what it planned and did, and how it ended, left where people look."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alb_reconcile.apply import Outcome
from alb_reconcile.errors import ExitCode
from alb_reconcile.plan.model import Plan
from alb_reconcile.record.logbook import Logbook, place_name, result_of
from alb_reconcile.record.settings import Settings, leave, read_settings
from alb_reconcile.render.console import complain

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from alb_reconcile.aws import Aws
    from alb_reconcile.converge import Target
    from alb_reconcile.record.model import Result


@dataclass
class Story:
    """A run as it goes: whoever runs writes down the plan, what came of it, and the exit code."""

    book: Logbook
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    code: ExitCode = ExitCode.OK


def settings_of(args: argparse.Namespace) -> Settings:
    """Where runs leave something, by a command's options and the environment. Raises UsageError, RecordError."""
    return read_settings(
        os.environ,
        state_dir=args.state_dir,
        metrics_file=args.metrics_file,
        webhook_url_file=args.webhook_url_file,
        webhook_secret_file=args.webhook_secret_file,
        webhook_allow=args.webhook_allow,
    )


@asynccontextmanager
async def recorded(aws: Aws, target: Target, command: str, args: argparse.Namespace) -> AsyncIterator[Story]:
    """Leave a record of the run within, however it ends. Raises UsageError, RecordError before it begins."""
    settings = settings_of(args)
    place = place_name(aws.endpoint, sandbox=args.sandbox)
    book = Logbook(
        command, target.stack, target.region, mask=settings.mask, spec_file=target.spec_file,
        wish=target.desired, place=place,
    )  # fmt: skip
    story = Story(book)
    result: Result = "failed"
    error: BaseException | None = None
    try:
        yield story
        result = _result(story)
    except BaseException as raised:  # however it ended, an interruption too: it is recorded, and goes on
        error, result = raised, result_of(raised)
        story.code = getattr(raised, "exit_code", ExitCode.FAILED)
        raise
    finally:
        record = book.close(
            result, story.code, account=aws.known_account, plan=story.plan, outcomes=story.outcomes,
            calls=aws.calls, requests=aws.requests, error=error,
        )  # fmt: skip
        await leave(record, settings, complain)


def _result(story: Story) -> Result:
    if story.code is ExitCode.OK:
        return "in order" if story.plan is None or story.plan.is_empty else "corrected"
    if story.code is ExitCode.REFUSED:
        return "refused"
    return "interrupted" if story.code is ExitCode.INTERRUPTED else "failed"
