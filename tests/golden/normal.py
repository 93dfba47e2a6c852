"""What differs from run to run, taken out of texts: ids by the order in which they appear, the rest by placeholders."""

from __future__ import annotations

import itertools
import json
import re
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS: Final = "vpc|subnet|igw|rtb|rtbassoc|sg|sgr|i|eni|vol|acl"
_NUMBERED: Final = re.compile(
    rf"\b(?P<kind>{_KINDS})-(?:[0-9a-f]{{17}}|[0-9a-f]{{8}})\b"
    r"|(?<=/)(?P<part>[0-9a-f]{16})\b"  # of an ARN
    r"|(?<=[a-z0-9]-)(?P<hash>[0-9a-f]{8})\b(?!-[0-9a-f]{4}-)"  # of a derived name; a UUID isn't one
)
_NAMED: Final = re.compile(rf"\b(?:{_KINDS})-\d+\b")
_LIST: Final = re.compile(rf"\b({_KINDS})-\d+(?:, \1-\d+)+\b")
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
    (r"127\.0\.0\.1 port \d+", "127.0.0.1 port <port>"),
    (r"-\d{10}(?=\.[a-z0-9-]+\.elb\.)", "-<number>"),
    (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)", "<time>"),
    (r"(?<=[( ]request )[0-9A-Za-z-]{8,}", "<request>"),
    (r'(?<="request_id": ")[^"]+', "<request>"),
    (r"(?<=process )\d+", "<pid>"),
    (r'(?<="pid": )\d+', "0"),
    (r'(?<="(?:run)": ")[0-9a-f-]+', "<run>"),
    (r'(?<="seconds": )\d+(?:\.\d+)?', "0.0"),
    (r"( stacks? in )\d+\.\d(?= s:)", r"\1<n>"),
    (r"(?<=, in )\d+(?= s[,.])", "<n>"),
    (r"(?<=last renewed )\d+(?= s ago)", "<n>"),
    (r'(?<="free_in": )\d+', "0"),
    # of the reads that are made at once, whichever fails first is told
    (r"\b[A-Z][A-Za-z]+(?=: (?:ExpiredToken|EndpointConnectionError): )", "<operation>"),
    (r'(?<=endpoint URL: "http://127.0.0.1:<port>/)[^"]+', ""),  # whichever call came first
    (r"\b\d+[hms](?: \d+[ms])?(?=, ann@)", "<n>"),
    (r"\bp(50|95|99) \d+(?:\.\d+)? ms", r"p\1 <n> ms"),
    (r'(?<="(?:p50|p95|p99)": )\d+(?:\.\d+)?', "0.0"),
    (r"(?m)^ +\d+\.\d\d s  (?=\w+ \w+$)", "    <n> s  "),
    (r"(?<= seconds=)\d+\.\d+", "<n>"),
    (r"(?m)^(\S+_(?:timestamp|duration)_seconds\{.*\}) \S+$", r"\1 <n>"),
    (r'(?m)^\S+_api_calls_total\{.*operation="(?:describe|get|list)_.*\n', ""),  # another kind reads more
    (r"(?m)^((?:\d+ \w+d(?:, )?)+ in |Waited )[\dhms ]+(?=[.,])", r"\1<n>"),
    (r"(first (?:healthy target|answer) after )[\dhms ]+(?=\.)", r"\1<n>"),
    (r"(?<=outside the policy's windows \()[^)]+", "<time>"),
    (r"(?<=failed after )\d+\.\d(?= s:)", "<n>"),
)
_PROGRESS: Final = re.compile(r"  (?:\x1b\[\d+m)?[✓✗·](?:\x1b\[0m)? \S+ .*")
_AT_ONCE: Final = re.compile(r"  \S+ started \(.*\)| +\d+\.\d\d s  \w+ \w+")
_WAITING: Final = re.compile(r"  (?:\S+ )?waits for (?!one)|  (?:\x1b\[\d+m)?✓(?:\x1b\[0m)? \S+ (?:active|healthy)\b")
_ELAPSED: Final = re.compile(r" \(\d+(?:\.\d)? s\)$")
_READ: Final = ("describe_", "get_", "list_")
HOST: Final = socket.gethostname()


def masked(text: str) -> str:
    """Without any of what differs, ids included: what lines are sorted by."""
    return _NUMBERED.sub("<id>", _replaced(text))


def _replaced(text: str) -> str:
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    if HOST not in ("sandbox", "localhost"):
        text = re.sub(rf"(?<=@){re.escape(HOST)}\b|(?<= on ){re.escape(HOST)}\b", "<host>", text)
        text = re.sub(rf'(?<="host": "){re.escape(HOST)}(?=")', "<host>", text)
    return text


def numbered(text: str) -> str:
    """A whole scenario, with its ids numbered by kind as they appear first. Lists that are sorted by id are by number."""
    seen: dict[str, str] = {}
    counts: dict[str, int] = {}

    def name(found: re.Match[str]) -> str:
        known = found[0]
        kind = found["kind"] or ("part" if found["part"] else "hash")
        if known not in seen:
            counts[kind] = counts.get(kind, 0) + 1
            seen[known] = f"{kind}-{counts[kind]}" if found["kind"] else f"<{kind} {counts[kind]}>"
        return seen[known]

    text = _LIST.sub(lambda found: ", ".join(sorted(found[0].split(", "))), _NUMBERED.sub(name, _replaced(text)))
    return "".join(
        line
        for _, lines in itertools.groupby(text.splitlines(keepends=True), lambda line: _NAMED.sub("<id>", line))
        for line in sorted(lines)
    )


def ordered(text: str, waits: set[str]) -> str:
    """Lines of steps that ran at once, sorted. What was waited for depends on this machine's pace, and goes to `waits`."""
    lines: list[str] = []
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        if _WAITING.match(bare):
            waits.add(masked(_ELAPSED.sub("", bare)))
        elif _PROGRESS.fullmatch(bare) or _AT_ONCE.fullmatch(bare):
            block.append(_ELAPSED.sub(" (<n> s)", bare) + "\n")
        else:
            lines += [*sorted(block, key=masked), line]
            block = []
    return "".join([*lines, *sorted(block, key=masked)])


def ordered_log(text: str) -> str:
    """Log lines as JSON, sorted among themselves; other lines stay where they are, before them."""
    lines = text.splitlines(keepends=True)
    log = [line for line in lines if line.startswith('{"time":')]
    return "".join([line for line in lines if line not in log] + sorted(log, key=masked))


def steady_json(text: str, render: Callable[[Any], str]) -> str:
    """JSON without what differs, written as it was: `render` has to give the very text for what is in it."""
    found = json.loads(text)
    assert render(found) == text, "the JSON is written in another form"
    return json.dumps(_steady(found), indent=2, ensure_ascii="\\u" in text) + "\n"


def _steady(item: Any) -> Any:
    if isinstance(item, list):
        return [_steady(each) for each in item]
    if not isinstance(item, dict):
        return item
    steady = {key: _steady(value) for key, value in item.items()}
    if isinstance(steady.get("times"), dict):
        steady["times"] = dict.fromkeys(steady["times"], 0.0)
    if isinstance(steady.get("calls"), dict):
        steady["calls"] = {name: count for name, count in sorted(steady["calls"].items()) if not name.startswith(_READ)}
    if isinstance(steady.get("requests"), list):
        steady["requests"] = sorted(re.sub(r" \S+$", " <request>", each) for each in steady["requests"])
    return steady


def steady_calls(text: str) -> str:
    """The line of `-v` that counts calls, of changes: what is read depends on which kinds there are, and how often on this machine's pace."""

    def line(found: re.Match[str]) -> str:
        calls = found[1].replace("\n    ", " ").split(", ")
        return ("<n> API calls: " + ", ".join(call for call in calls if not call.split()[1].startswith(_READ))).rstrip()

    return re.sub(r"(?m)^\d+ API calls: (.*(?:\n    (?:\d+ )?[a-z]+_[a-z_]+(?:, .*)?)*)$", line, text)
