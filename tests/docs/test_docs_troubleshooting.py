"""The messages that the documentation explains are messages of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
SAID = [*(ROOT / "tests/golden/expected").glob("*.txt"), *(ROOT / "tests/spec/broken").glob("*"),
        *(ROOT / "docs/how-to").glob("*.md")]  # fmt: skip
MESSAGES = re.findall(r"^### `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_that_is_printed(message: str) -> None:
    """Its words stand in that order in one line of what commands are known to print."""
    wanted = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")))
    assert any(wanted.search(file.read_text(encoding="utf-8")) for file in SAID if file.is_file())


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 20
