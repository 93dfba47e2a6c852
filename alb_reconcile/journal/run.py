"""The record of a run: what it planned and did, and how it ended, left where people look."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alb_reconcile.engine.apply import Outcome
from alb_reconcile.journal.record import Record
from alb_reconcile.journal.recorder import Logbook, place_name, result_of
from alb_reconcile.journal.settings import Settings, leave
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.plan import Plan, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from alb_reconcile.aws.client import Aws
    from alb_reconcile.journal.record import Result
    from alb_reconcile.model.target import Target


@dataclass
class Story:
    """A run as it goes: whoever runs writes down the plan, what came of it, and the exit code.

    `withheld` has a reason by key for each step that waits for a person, `left` those of them that aren't in `plan`.
    `record` is there in the end.
    """

    book: Logbook
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    code: ExitCode = ExitCode.OK
    withheld: Mapping[str, str] = field(default_factory=dict)
    left: tuple[Step, ...] = ()
    causes: Mapping[str, str] = field(default_factory=dict)
    record: Record | None = None


@asynccontextmanager
async def recorded(
    aws: Aws,
    target: Target,
    command: str,
    settings: Settings,
    say: Callable[[str], None],
    *,
    sandbox: bool = False,
) -> AsyncIterator[Story]:
    """Leave a record of the run within, however it ends."""
    place = place_name(aws.endpoint, sandbox=sandbox)
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
        story.record = book.close(
            result, story.code, account=aws.known_account, plan=story.plan, outcomes=story.outcomes,
            withheld=story.withheld, withheld_steps=story.left, causes=story.causes, calls=aws.calls,
            requests=aws.requests, error=error,
        )  # fmt: skip
        await leave(story.record, settings, say)


def _result(story: Story) -> Result:
    if story.code is ExitCode.OK:
        return "corrected" if any(item.how == "done" for item in story.outcomes) else "in order"
    if story.code is ExitCode.CHANGES:
        return "left"
    if story.code is ExitCode.REFUSED:
        return "refused"
    return "interrupted" if story.code is ExitCode.INTERRUPTED else "failed"
