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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_sentence_is_long(page: Path) -> None:
    assert not [item for item in sentences(page.read_text(encoding="utf-8")) if len(item.split()) > LONGEST]


def cut_off(text: str) -> list[str]:
    """The first rows of tables without a head: a blank line above has cut them off, and readers see the bars."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?:\A|\n\n)(\|.*)\n(?!\| ?:?-)", f"{text}\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_table_is_cut(page: Path) -> None:
    assert not cut_off(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_says_first_what_it_is_for(page: Path) -> None:
    assert re.match(r"[A-Z*\[]|`[^`]", opening(page.read_text(encoding="utf-8")))


def opening(text: str) -> str:
    """What a reader sees below the title."""
    _, _, below = text.partition("\n# ") if not text.startswith("# ") else ("", "", text[2:])
    lines = [line for line in below.split("\n")[1:] if line.strip() and not line.startswith("<!--")]
    return lines[0]


def test_what_an_opening_is() -> None:
    assert opening("<!-- scene: running -->\n# Title\n\n<!-- run: x -->\n| A | B |\n") == "| A | B |"
    assert opening("# Title\n\nWords.\n\n## More\n") == "Words."


def test_what_a_sentence_is() -> None:
    text = "One. Two `a. b` is\ncode.\n\n```sh\nnot. this\n```\n\n- a point\n- [a link](x.y/z) ends it."
    assert sentences(text) == ["One.", "Two code is code.", "- a point", "[a link] ends it."]


def test_what_a_cut_table_is() -> None:
    assert cut_off("Words.\n\n| A | B |\n| --- | --- |\n| 1 | 2 |\n\n| 3 | 4 |\n\nWords.\n") == ["| 3 | 4 |"]
