"""Records `adopt`, `forget` and `move` in the history only: metrics and webhooks are about runs that change resources."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from alb_reconcile.adoption.tagging import Tagging
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain
from alb_reconcile.journal.files import RecordError, state_folder
from alb_reconcile.journal.history import write_history
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import StepRecord, place_name
from alb_reconcile.journal.recorder import Recorder
from alb_reconcile.model.desired_stack import DesiredStack

_CHANGES: Final = ("tags",)


@contextmanager
def recorded_tagging(
    aws: Aws, target: DesiredStack, command: str, items: Sequence[Tagging], done: Sequence[Tagging], *, sandbox: bool
) -> Iterator[None]:
    """Record the block, however it ends: which of `items` got other tags, by those that are `done` by then."""
    recorder = Recorder(
        command, target.stack, target.region, mask=Mask.of(os.environ), spec_file=target.spec_file,
        desired=target.desired, place=place_name(aws.endpoint, sandbox=sandbox),
    )  # fmt: skip
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:  # an interruption, too, is recorded, and raised again
        error = raised
        raise
    finally:
        record = recorder.close(account=aws.known_account, calls=aws.calls, requests=aws.requests, error=error)
        written = {item.id for item in done}
        steps = tuple(
            StepRecord(
                f"update:{item.address}@{item.id}", "update", how="done" if item.id in written else "interrupted",
                id=item.id, changes=_CHANGES,
            )
            for item in items
        )  # fmt: skip
        record = replace(
            record, steps=steps, result=record.result if error else "corrected", counts={"update": len(items)}
        )
        try:
            write_history(record, state_folder(None, os.environ))
        except RecordError as raised:
            complain(f"this run isn't in the history: {raised}")
