"""Keeps issues as Markdown files in a folder, one file for each stack."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alb_reconcile.journal.files import only_writer, replace_file, safe_name, unwritable
from alb_reconcile.journal.issues.content import find_marker
from alb_reconcile.journal.issues.tracker import Issue
from alb_reconcile.model.files import read_file
from alb_reconcile.model.host import iso

_LARGEST: Final = 1024 * 1024
_FILE: Final = re.compile(r"# ([^\n]*)\n\nState: (open|closed)\n\n(.*)\n\n## History\n\n(.*)", re.DOTALL)
"""Title, state, body, history."""


class Folder:
    """A folder of issues, made when the first issue is opened. A closed issue's file stays, and is opened again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.title = folder, str(folder)

    async def __aenter__(self) -> Folder:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def known(self) -> list[Issue]:
        return list(self._read_all())

    async def others(self) -> list[Issue]:
        return []

    async def create(self, title: str, body: str) -> str:
        marker = find_marker(body)
        if marker is None:
            raise AssertionError("the body has no marker")
        parts = [marker.account or "unknown", marker.region, marker.stack, *([marker.place] if marker.place else [])]
        name = "_".join(map(safe_name, parts)) + ".md"
        self._write(name, title, "open", body, f"- {iso(time.time())}: opened")
        return name

    async def change(self, issue: Issue, *, title: str = "", body: str = "", is_open: bool, comment: str = "") -> None:
        old_title, _, old_body, history = self._read(self._folder / issue.name) or ("", "", issue.body, "")
        if comment:
            history = f"{history.rstrip()}\n- {iso(time.time())}: {comment}"
        self._write(issue.name, title or old_title, "open" if is_open else "closed", body or old_body, history)

    def _read_all(self) -> Iterator[Issue]:
        try:
            files = sorted(self._folder.glob("*.md"))
        except OSError as error:
            raise unwritable(self._folder, error) from None
        for file in files:
            if (parts := self._read(file)) and (marker := find_marker(parts[2])):
                yield Issue(file.name, marker, parts[2], parts[1] == "open")

    def _read(self, file: Path) -> tuple[str, str, str, str] | None:
        """The title, state, body and history of a file; None for a file that isn't one of our issues."""
        try:
            found = _FILE.fullmatch(read_file(file, _LARGEST).decode("utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unwritable(file, error) from None
        except ValueError:
            return None
        return (found[1], found[2], found[3], found[4]) if found else None

    def _write(self, name: str, title: str, state: str, body: str, history: str) -> None:
        text = f"# {title}\n\nState: {state}\n\n{body}\n\n## History\n\n{history.strip()}\n"
        with only_writer(self._folder / ".issues"):  # one lock for all files
            replace_file(self._folder / name, text.encode())
