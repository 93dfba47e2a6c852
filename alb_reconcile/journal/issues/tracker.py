"""The interface to a place that keeps issues, which GitHub and a folder implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from alb_reconcile.journal.files import RecordError
from alb_reconcile.journal.issues.content import Marker


class RefusedForAllError(RecordError):
    """No stack's issue can be written now, so that there is no use in trying the next one."""


@dataclass(frozen=True)
class Issue:
    """An existing issue of ours. `name` is its number, or its file."""

    name: str
    marker: Marker
    body: str
    is_open: bool


class Tracker(Protocol):
    """A place that keeps issues, entered as a context before it is used. All its methods raise RecordError."""

    title: str
    """The place's name, without secrets."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def known(self) -> list[Issue]:
        """The open issues, and those closed ones that are read together with them."""

    async def others(self) -> list[Issue]:
        """Further issues that have to be searched before a new one is opened."""

    async def create(self, title: str, body: str) -> str:
        """Open an issue. Returns its name."""

    async def change(self, issue: Issue, *, title: str = "", body: str = "", is_open: bool, comment: str = "") -> None:
        """Change what is given, open or close the issue, and then comment."""
