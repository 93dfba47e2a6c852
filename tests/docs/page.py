"""A page of the documentation as what it tells its reader to do: files to write, changes to make, commands to run.

In a page's order:

- a fence with a title (```` ```yaml title="shop.yaml" ````) is a file to write, or, as a ``diff``, a change of one;
- a comment ``<!-- run: COMMAND -->`` is a command that isn't shown; ``export NAME=VALUE`` in it is for those that follow;
- a fence with the word ``console`` has commands behind ``$`` and what they print. `…` on a line of its own stands for any
  lines; a command without output may print anything. `[exit 4]` at the end is the exit code, else 0;
- URLs and ids of VPCs in a command are those that were printed last.

A page that begins with ``<!-- scene: running -->`` is read beside the stack of docs/start/five-minutes.md, and leaves it as it was. It
speaks of an account, so its commands get their `--sandbox` from here.

Commands and outputs that aren't followed stand behind ``<!-- not run: REASON -->``.

With UPDATE_GOLDENS=1 the outputs in the page are rewritten: `…` stays where it is, with as many lines before and behind it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.forked import run_forked
from tests.golden.normal import numbered, ordered
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FENCE: Final = re.compile(r"^( *)```([a-z]*) *(.*)$")
TITLE: Final = re.compile(r'title="([^"]+)"')
HIDDEN: Final = re.compile(r"^<!-- run: (.*) -->$")
EXPORT: Final = re.compile(r"export (\w+)=(.*)")
SCENE: Final = "<!-- scene: running -->"
HERE: Final = "<!-- here: the pages beside a running stack -->\n"
"""Where in a page that makes a stack the others are read that need one."""
PRINTED: Final = (re.compile(r"http://localhost:\d+/"), re.compile(r"\bvpc-[0-9a-f]{17}\b"))
"""What a command takes from what was printed before it."""
WITH_SANDBOX: Final = re.compile(r"^(alb-reconcile (?!validate|init|fmt|diff|explain|schema|sandbox)[^|>#]*[^|>#\s])")
SHELL: Final = re.compile(r"[|&;<>$`]|^\w+=")
ANY: Final = "…"


@dataclass
class Command:
    """A line behind `$`, and what the page says that it prints."""

    line: str
    expected: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A fence that is there to be followed. `start` and `end` are the lines of what is in it."""

    word: str
    title: str
    start: int
    end: int
    lines: list[str]
    indent: str


def blocks(text: str) -> list[Block]:
    """All that a reader is told to do."""
    found, opened = [], None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if opened is None and (hidden := HIDDEN.match(line)):
            found.append(Block("run", "", number, number + 1, [f"$ {hidden[1]}"], ""))
        fence = FENCE.match(line)
        if not fence:
            continue
        if opened is None:
            opened = (number, fence)
            continue
        start, first = opened
        opened = None
        title = TITLE.search(first[3])
        if first[2] == "console" or title:
            inside = [item.removeprefix(first[1]) for item in lines[start + 1 : number]]
            found.append(Block(first[2], title[1] if title else "", start + 1, number, inside, first[1]))
    assert opened is None, "a fence isn't closed"
    return found


def commands(lines: list[str]) -> list[Command]:
    """The commands of a console, with their outputs."""
    found: list[Command] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif found and found[-1].line.endswith("\\"):
            found[-1].line += "\n" + line
        else:
            assert found, f"{line!r} stands before any command"
            found[-1].expected.append(line)
    return found


def patched(text: str, lines: list[str]) -> str:
    """A file's text after the change that a diff shows. Raises AssertionError unless it fits in one place."""
    old = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    new = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    assert text.count(old) == 1, f"this change fits in {text.count(old)} places:\n{old}"
    return text.replace(old, new)


class Reader:
    """Somebody who does what a page says, in a folder with the specs."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._printed: dict[re.Pattern[str], str] = {}
        self._behind: list[subprocess.Popen[str]] = []

    def follow(self, text: str) -> tuple[str, list[str]]:
        """Do what a page says. Returns the page with what was really printed, and where it says something else."""
        differences: list[str] = []
        lines = text.split("\n")
        beside = SCENE in lines
        replaced: list[tuple[Block, list[str]]] = []
        try:
            for block in blocks(text):
                if block.word == "run":
                    self._console(block, differences, beside=beside)
                elif block.word == "console":
                    replaced.append((block, self._console(block, differences, beside=beside)))
                elif block.word == "diff":
                    file = self.folder / block.title
                    file.write_text(patched(file.read_text(encoding="utf-8"), block.lines), encoding="utf-8")
                else:
                    file = self.folder / block.title
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        finally:
            for process in self._behind:
                process.kill()
                process.communicate()
        for block, new in reversed(replaced):
            lines[block.start : block.end] = [f"{block.indent}{line}".rstrip() for line in new]
        return "\n".join(lines), differences

    def _console(self, block: Block, differences: list[str], *, beside: bool) -> list[str]:
        shown: list[str] = []
        for command in commands(block.lines):
            line = command.line
            for pattern, last in self._printed.items():
                line = pattern.sub(last, line)
            actual = self._run(WITH_SANDBOX.sub(r"\1 --sandbox", line) if beside else line)
            if beside:  # as for an account, and at a terminal, which doesn't show log lines as JSON
                actual = [
                    re.sub(r" (?:--|· )sandbox\b", "", text) for text in actual if not text.startswith('{"time": ')
                ]
            for pattern in PRINTED:
                if printed := pattern.findall("\n".join(actual)):
                    self._printed[pattern] = printed[-1]
            shown += [*f"$ {line}".split("\n"), *like(command.expected, actual)]
            if command.expected and not fits(command.expected, actual):
                differences.append(
                    f"line {block.start + 1}: $ {command.line}\n  the page says:\n"
                    + _indented(command.expected) + "\n  it prints:\n" + _indented(actual)
                )  # fmt: skip
            code = next(iter(re.findall(r"^\[exit (\d+)\]$", "\n".join(actual), re.MULTILINE)), "0")
            wanted = next(iter(re.findall(r"^\[exit (\d+)\]$", "\n".join(command.expected), re.MULTILINE)), "0")
            if code != wanted:
                differences.append(
                    f"line {block.start + 1}: $ {command.line}\n  ended with {code}:\n{_indented(actual)}"
                )
        return shown

    def _run(self, line: str) -> list[str]:
        """What a command prints, and its exit code where that isn't 0."""
        if setting := EXPORT.match(line):
            self.environment[setting[1]] = setting[2].replace("$PWD", str(self.folder))
            return []
        if line == "wait":
            texts = [process.communicate(timeout=GUARD)[0] for process in self._behind]
            self._behind.clear()
            return _lines("".join(texts))
        first, pipe, rest = line.partition(" | ")
        words = shlex.split(first, comments=True) if not SHELL.search(first) else []
        if words[:1] == ["alb-reconcile"]:
            ended = run_forked(words[1:], folder=self.folder, environment=self.environment, timeout=GUARD)
            parts = (ended.stdout, ended.stderr) if ended.returncode else (ended.stderr, ended.stdout)
            return self._shell(rest, ended.stdout) if pipe else _with_code("".join(parts), ended.returncode)
        if line.endswith(" &"):
            process = subprocess.Popen(
                ["bash", "-c", line.removesuffix(" &")], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            self._behind.append(process)
            return []
        return self._shell(line)

    def _shell(self, line: str, given: str = "") -> list[str]:
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, input=given,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=GUARD, check=False,
        )  # fmt: skip
        return _with_code(done.stdout, done.returncode)


def _with_code(text: str, code: int) -> list[str]:
    return _lines(text) + ([f"[exit {code}]"] if code else [])


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n") if text.strip("\n") else []


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def like(expected: list[str], actual: list[str]) -> list[str]:
    """The output as a page shows it: with `…` where the page has it, and nothing where it has nothing."""
    if not expected or expected[:1] == ["?"]:
        return actual if expected else []
    if ANY not in expected:
        return actual
    before, behind = expected.index(ANY), len(expected) - 1 - expected[::-1].index(ANY)
    tail = len(expected) - 1 - behind
    if before + tail >= len(actual):
        return actual
    return [*actual[:before], ANY, *actual[len(actual) - tail :]]


def fits(expected: list[str], actual: list[str]) -> bool:
    """Whether a page shows what was printed, but for what differs from run to run."""
    wanted, found = (steady(lines) for lines in (expected, like(expected, actual)))
    return wanted == found


_VARYING: Final = (
    (re.compile(r"http://localhost:\d+/"), "http://localhost:<port>/"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"\d+ × "), "<n> × "),
    (re.compile(r" +\d+ answers +[\d.]+% of "), " <n> answers <n>% of "),
    (re.compile(r"\d+ of 30 times"), "<n> of 30 times"),
    (re.compile(r"\d+ requests"), "<n> requests"),
    (re.compile(r"\d+ of \d+ targets are healthy"), "<n> of <n> targets are healthy"),
    (re.compile(r"(?<=[a-z] )sha256:[0-9a-f]{16}"), "sha256:<digest>"),
    (re.compile(r"\b[0-9a-f]{16}\b(?= ×)"), "<digest>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"(?:\d+[hms] ?)+, \S+@\S+"), "<time>, <user>"),
    (re.compile(r"\bby \w+@[\w.-]+"), "by <user>"),
    (re.compile(r"((?:in|after|Waited) )(?:\d+[hms] ?)+"), r"\1<time>"),
    (re.compile(r"process \d+"), "process <n>"),
    (re.compile(r"  [✓!]$", re.MULTILINE), ""),
    (re.compile(r"Testing CA #\w+, \d+ days"), "Testing CA #<id>, <n> days"),
    (re.compile(r"line 1: +\d+ Killed +"), "line 1: <n> Killed "),
    (re.compile(r"waited \d+ s for"), "waited <n> s for"),
    (re.compile(r"(?m)^ +\d+ (?=200 )"), "<n> "),
    (re.compile(r"-\d{10}(?=\.)"), "-<number>"),
)


def steady(lines: list[str]) -> str:
    """Without ids, times and counts that differ from run to run, and without lines about waiting."""
    text = "".join(f"{line}\n" for line in lines)
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return numbered(ordered(text, set()))


_FOLLOWED_WORDS: Final = frozenset({"console", "diff", "yaml", "python", "json", "ini", "text"})
"""Of fences: those that are run, those that say nothing about what a command prints, and `text`, whose lines are looked for."""
_EXCUSED: Final = re.compile(r"^ *<!-- not run: .+ -->$")
_NOT_CODE: Final = re.compile(r"^(?:!!!|\?\?\?| *[-*] | *\d+\. )")


def unfollowed(text: str) -> list[str]:
    """The first line of each block that shows a command or an output, isn't followed, and has no reason before it."""
    found: list[str] = []
    inside, before, blank = False, "", True
    for number, line in enumerate(text.split("\n"), 1):
        fence = FENCE.match(line)
        starts = fence or (line.startswith("    ") and blank and not before.startswith("    "))
        if starts and not inside and not _EXCUSED.match(before):
            followed = fence and (fence[2] in _FOLLOWED_WORDS or TITLE.search(fence[3]))
            if not followed and not _NOT_CODE.match(before):
                found.append(f"line {number}: {line.strip()}")
        inside ^= bool(fence)
        blank = not line.strip()
        before = before if blank else line
    return found


def texts(text: str) -> list[str]:
    """The lines that a page shows as text: what commands are known to print."""
    shown = re.findall(r"^(<!-- not run: [^\n]+ -->\n)?```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for excuse, block in shown if not excuse for line in block.splitlines() if line.strip()]
