"""Opens, changes, comments and closes the stacks' issues by what runs find."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from alb_reconcile.aws.client import Aws
from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.issues.actors import Clue, find_actors, find_clues
from alb_reconcile.journal.issues.content import (
    Marker,
    body_of,
    closing_of,
    find_marker,
    listed,
    marker_of,
    steps_of,
    summary_of,
    title_of,
)
from alb_reconcile.journal.issues.folder import Folder
from alb_reconcile.journal.issues.github import read_github
from alb_reconcile.journal.issues.tracker import Issue, RefusedForAllError, Tracker
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.model.errors import UsageError
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.text import printable

_PATIENCE: Final = 30.0
"""Seconds for one stack's issue, with all its requests."""
_FRESH: Final = 60.0
"""Seconds for which a list of issues counts for all stacks; and for which no issue is tried after a refusal that concerns all."""
_A_MINUTE: Final = 30
"""The most issues that are written in a minute; GitHub takes 80 pieces of content, and an issue may be two."""


class Issues:
    """The issues of this process's stacks. One issue is written at a time, as GitHub asks for."""

    def __init__(self, tracker: Tracker, mask: Mask) -> None:
        self._tracker, self._mask = tracker, mask
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._found: list[Issue] = []
        self._listed = self._refused = float("-inf")
        self._written: deque[float] = deque()

    async def update(
        self, record: RunRecord, aws: Aws, steps: Sequence[Step] = (), live: Sequence[Observed] = ()
    ) -> None:
        """Make a stack's issue say what a run has found; `steps` and `live` are of the run's plan. What can't be written isn't kept for
        a later run.

        Raises RecordError, at most half a minute after its turn has come.
        """
        wanted = marker_of(record)
        if wanted is None:
            return
        async with self._turn():
            if time.monotonic() - self._refused < _FRESH:
                return  # the refusal was reported
            try:
                async with asyncio.timeout(_PATIENCE), self._tracker:
                    await self._update(record, wanted, aws, find_clues(steps, live))
            except RefusedForAllError as error:
                self._refused = time.monotonic()
                raise RecordError(f"the issues in {self._tracker.title} aren't up to date: {error}") from None
            except (RecordError, TimeoutError) as error:
                self._listed = float("-inf")
                what = f"it took more than {_PATIENCE:.0f} s" if isinstance(error, TimeoutError) else str(error)
                raise RecordError(
                    f"the issue of {record.stack} in {self._tracker.title} isn't up to date: {what}"
                ) from None

    def _turn(self) -> asyncio.Lock:
        """The lock of this event loop: a worker has one loop after the other, one for each cell."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = loop, asyncio.Lock()
        return self._lock[1]

    async def _update(self, record: RunRecord, wanted: Marker | str, aws: Aws, clues: Mapping[str, Clue]) -> None:
        if time.monotonic() - self._listed >= _FRESH:
            self._found, self._listed = await self._tracker.known(), time.monotonic()
        found, told = self._find(record), listed(record.remarks)
        if not isinstance(wanted, Marker):
            if found is not None and found.is_open and self._may_write():
                told = closing_of(record) + told + listed(record.answering(found.marker.unmade))
                await self._write(found, found.body, comment=told, is_open=False)
            return
        if found is not None and not record.account:
            wanted = msgspec.structs.replace(wanted, account=found.marker.account)
        before = found.marker if found is not None and found.is_open else None
        is_same = before is not None and before.content == wanted.content
        if before is not None:
            since = before.since if before.state == wanted.state else wanted.since
            unmade = tuple(sorted({*before.unmade, *wanted.unmade}))
            when = before.found if is_same else wanted.found
            wanted = msgspec.structs.replace(wanted, since=since, unmade=unmade, found=when)
            if is_same and not told and before.asked:
                return
        if not self._may_write(count=False):
            return
        actors = await find_actors(aws, steps_of(record), self._mask, clues, age=_seconds(wanted.found, record.ended))
        wanted = msgspec.structs.replace(wanted, asked=actors.is_final)
        body = body_of(record, wanted, actors)
        if is_same and not told and found is not None and body == found.body:
            return
        self._may_write()
        if found is None:
            found = self._find(record, await self._tracker.others())
        if found is None:
            name = await self._tracker.create(title_of(record, wanted), body)
            self._found.append(found := Issue(name, wanted, body, is_open=True))
            if not told:
                return
        is_news = told or not found.is_open or (found.marker.state, found.marker.steps) != (wanted.state, wanted.steps)
        comment = summary_of(record, wanted) + told if is_news else ""
        await self._write(found, body, title=title_of(record, wanted), comment=comment, is_open=True)

    def _find(self, record: RunRecord, among: list[Issue] | None = None) -> Issue | None:
        """The stack's issue: preferably of the run's account, then preferably an open one. None also if issues of several accounts match,
        and none is of the run's account."""
        found = [item for item in (self._found if among is None else among) if item.marker.is_about(record)]
        own = [item for item in found if item.marker.account == record.account]
        if not own and len({item.marker.account for item in found}) > 1:
            return None  # the issues are of several accounts, and the run's own isn't known
        return next(iter(sorted(own or found, key=lambda item: not item.is_open)), None)

    async def _write(self, issue: Issue, body: str, *, is_open: bool, title: str = "", comment: str = "") -> None:
        changed = body if body != issue.body else ""
        await self._tracker.change(issue, title=title, body=changed, is_open=is_open, comment=comment)
        others = [item for item in self._found if item.name != issue.name]
        self._found = [*others, Issue(issue.name, find_marker(body) or issue.marker, body, is_open)]

    def _may_write(self, *, count: bool = True) -> bool:
        """Whether another issue may be written now; an issue that is held back is written by a later run."""
        now = time.monotonic()
        while self._written and now - self._written[0] > 60:
            self._written.popleft()
        if len(self._written) >= _A_MINUTE:
            return False
        if count:
            self._written.append(now)
        return True


def read_issues(place: str, environ: Mapping[str, str], mask: Mask) -> Issues:
    """The issues at a place: github:OWNER/REPO, or a folder. Raises UsageError."""
    kind, colon, name = place.partition(":")
    if kind == "github" and colon:
        return Issues(read_github(name, environ), mask)
    if colon and re.fullmatch(r"[a-z]+", kind):
        raise UsageError(
            f"--issue takes github:OWNER/REPO or a folder, and not {printable(place)!r}; for a folder of that name write ./{printable(place)}"
        )
    return Issues(Folder(Path(place)), mask)


def _seconds(earlier: str, later: str) -> float:
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
