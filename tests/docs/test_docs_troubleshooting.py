"""The messages that the documentation explains are messages of the program."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.docs.page import blocks, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
PAGES = [page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").rglob("*.md"))]
PLACES = ("tests/golden/expected", "tests/spec/broken", "tests/plan/cases")
SAID = [file for place in PLACES for file in (ROOT / place).glob("*")]
MESSAGES = re.findall(r"^### `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


SHOWN = [line for page in PAGES for line in texts(page)]
assert len(MESSAGES) > 20
assert SHOWN


@cache
def said() -> str:
    """All that commands are known to print."""
    followed = [line for page in PAGES for block in blocks(page) for line in block.lines]
    return "\n".join([*followed, *(text for file in SAID if file.is_file() for text in printed(file))])


def printed(file: Path) -> Iterator[str]:
    """What a file says; a planner's case breaks long lines, so its strings are read."""
    text = file.read_text(encoding="utf-8")
    yield from strings(yaml.safe_load(text)) if file.parent.name == "cases" else (text,)


def strings(value: Any) -> Iterator[str]:
    """All in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@pytest.mark.parametrize("message", [*MESSAGES, *SHOWN])
def test_a_message_is_one_that_is_printed(message: str) -> None:
    """Its words stand in that order in one line of what commands are known to print."""
    parts = [re.escape(part.strip()) for part in message.split("…")]
    # `.*` at the beginning would try each end of a line
    assert re.search(".*".join(part for part in parts if part), said())
