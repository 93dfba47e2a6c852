"""The interface to a place that keeps issues, which GitHub and a folder implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.issues.content import Marker


class RefusedForAllError(RecordError):
    """None of the stacks' issues can be written now, so that there is no use in trying it for the next one."""


@dataclass(frozen=True)
class Issue:
    """An issue of ours that exists. `name` is its number, or its file."""

    name: str
    marker: Marker
    body: str
    is_open: bool


class Tracker(Protocol):
    """Everything in it raises RecordError. It is entered before it is asked."""

    title: str
    """What may be said of it."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def known(self) -> list[Issue]:
        """The open issues, and closed ones as far as they come for nothing."""

    async def others(self) -> list[Issue]:
        """Others that have to be looked through before one is opened."""

    async def create(self, title: str, body: str) -> str:
        """Open an issue. Returns its name."""

    async def change(self, issue: Issue, *, title: str = "", body: str = "", is_open: bool, comment: str = "") -> None:
        """Change what is given, open or close it, and then comment."""
