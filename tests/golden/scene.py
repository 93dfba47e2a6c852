"""A scenario: commands as a user runs them, and all that they say, held against a file."""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.tool import Account, Tool
from tests.forked import run_forked
from tests.golden.normal import numbered, ordered, ordered_log, steady_calls, steady_json
from tests.processes import GUARD

if TYPE_CHECKING:
    pass

EXPECTED: Final = Path(__file__).parent / "expected"
WAITS: Final = EXPECTED / "waits.txt"
UPDATE: Final = bool(os.environ.get("UPDATE_GOLDENS"))
Ended = subprocess.CompletedProcess[str]


class Scene:
    """A folder with the specs, a sandbox if there is one, and the transcript of what was run."""

    def __init__(self, name: str, folder: Path, state: Path | None) -> None:
        self.name = name
        self.folder = folder
        own = {"LOGNAME": "ann", "COLUMNS": "100", "TERM": "xterm"}
        place = str(state or folder / "state")
        self.tool = Tool(folder, *(["--sandbox"] if state else []), **own, ALB_RECONCILE_SANDBOX_DIR=place)
        self.environment = self.tool.environment
        self._text: list[str] = []
        self._waits: set[str] = set()

    @property
    def port(self) -> int:
        """The sandbox's."""
        return int(self.tool.state()["port"])

    @property
    def account(self) -> Account:
        """AWS, for what somebody does by hand."""
        return Account(self.port)

    @property
    def state(self) -> Path:
        """Where runs are recorded."""
        return self.folder / "home" / ".local" / "state" / "alb-reconcile"

    def write(self, name: str, text: str) -> None:
        """Write a file, and show it."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)
        self._text.append(f"$ cat > {name} <<END\n{text}END\n\n")

    def note(self, text: str) -> None:
        """Say in the transcript what is done beside the commands."""
        self._text.append(f"# {text}\n\n")

    def show(self, title: str, text: str) -> None:
        """Put any other text into the transcript."""
        self._text.append(f"$ {title}\n{text.rstrip()}\n\n".replace(str(self.folder), "<folder>"))

    def show_json_lines(self, title: str, text: str) -> None:
        """Put JSON of one object a line into the transcript, each spread over lines."""
        lines = [
            steady_json(line, lambda data: json.dumps(data, separators=(",", ":"), ensure_ascii=line.isascii()))  # noqa: B023
            for line in text.splitlines()
        ]
        self.show(title, "".join(lines))

    def _told(self, arguments: tuple[str, ...]) -> list[str]:
        return self.tool.arguments(*arguments)[1:] if arguments else []

    def run(self, *arguments: str, **environment: str) -> Ended:
        """Run a command to its end, without a terminal, and keep what it says."""
        ended = run_forked(
            self._told(arguments), folder=self.folder, environment=self.environment | environment, timeout=GUARD
        )
        self.keep(arguments, ended, environment)
        return ended

    def keep(self, arguments: tuple[str, ...], ended: Ended, environment: dict[str, str] | None = None) -> None:
        """Keep what a command has said."""
        assert "Traceback" not in ended.stderr, ended.stderr
        settings = "".join(f"{name}={value} " for name, value in (environment or {}).items())
        parts = [f"$ {settings}alb-reconcile {shlex.join(self._told(arguments))}\n"]
        parts.append(self._steady(ended.stdout))
        if ended.stderr:
            parts.append(f"[stderr]\n{ordered_log(self._steady(ended.stderr))}")
        parts.append(f"[exit {ended.returncode}]\n\n")
        self._text.append("".join(parts).replace(str(self.folder), "<folder>"))

    def _steady(self, text: str) -> str:
        if text and not text.endswith("\n"):
            text += "[no line end]\n"
        if text.startswith(("{\n", "[\n")):
            with suppress(json.JSONDecodeError):  # several of them, one behind the other
                return steady_json(text, lambda data: _like(text, data))
        return ordered(steady_calls(text), self._waits)

    def check(self) -> None:
        """Hold the transcript against the file; with UPDATE_GOLDENS=1 write the file."""
        actual = numbered("".join(self._text)).rstrip() + "\n"
        file = EXPECTED / f"{self.name}.txt"
        _check_waits(self._waits)
        if UPDATE:
            file.write_text(actual, encoding="utf-8")
            return
        expected = file.read_text(encoding="utf-8") if file.exists() else ""
        if actual != expected:
            lines = difflib.unified_diff(
                expected.splitlines(), actual.splitlines(), f"expected/{file.name}", "actual", lineterm=""
            )
            pytest.fail("\n".join(lines), pytrace=False)


def _like(text: str, data: Any) -> str:
    """JSON in the form in which all of this program's is written: two spaces, in ASCII or not."""
    return json.dumps(data, indent=2, ensure_ascii=text.isascii()) + "\n"


def _check_waits(seen: set[str]) -> None:
    """Lines about waiting come or don't by this machine's pace; those that come have to be known ones."""
    with WAITS.open("a+" if UPDATE else "r", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX if UPDATE else fcntl.LOCK_SH)
        stream.seek(0)
        known = set(stream.read().splitlines())
        if UPDATE:
            stream.truncate(0)
            stream.write("".join(f"{line}\n" for line in sorted(known | seen)))
            return
    assert seen <= known, f"unknown lines about waiting: {sorted(seen - known)}"
