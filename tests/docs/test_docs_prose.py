"""Pages for readers are written in short sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "adr")]
LONGEST = 34
"""Words of a sentence: what is read in one go, with room for names."""


def sentences(text: str) -> list[str]:
    """The prose of a page, without code, tables and headings."""
    text = re.sub(r"^( *)```.*?^\1```$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(#|\||    |<!--|!\[).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    blocks = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d\.) ", text)
    return [sentence for block in blocks for sentence in re.split(r"(?<=[.!?:;])\s+", " ".join(block.split()))]


def cut_off(text: str) -> list[str]:
    """The first rows of tables without a head: a blank line above has cut them off, and readers see the bars."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?:\A|\n\n)(\|.*)\n(?!\| ?:?-)", f"{text}\n")


def opening(text: str) -> str:
    """What a reader sees below the title."""
    _, _, below = text.partition("\n# ") if not text.startswith("# ") else ("", "", text[2:])
    lines = [line for line in below.split("\n")[1:] if line.strip() and not line.startswith("<!--")]
    return lines[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_can_be_read(page: Path) -> None:
    """It says first what it is for, in short sentences, and no table has lost its head."""
    text = page.read_text(encoding="utf-8")
    assert re.match(r"[A-Z*\[]|`[^`]", opening(text))
    assert not [item for item in sentences(text) if len(item.split()) > LONGEST]
    assert not cut_off(text)
