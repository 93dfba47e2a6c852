"""What ends the build of the site: a broken link, and what isn't described."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.options import parser
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.spec import schema
from scripts import docs_reference
from scripts.docs_reference import ROOT, UndocumentedError, pages
from scripts.docs_site import Staging, broken, run_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fresh() -> Iterator[None]:
    """Pages that are made anew, and forgotten."""
    pages.cache_clear()
    yield
    pages.cache_clear()


def test_links_of_a_page() -> None:
    """One to a generated page is in the site only, since in a clone it would be dead; one to another file leads to a page of it."""
    staging = Staging()
    staging._add("docs/some.md", "[one](how-it-works.md)\n[two](nowhere.md) and ![three](assets/none.svg)\n`[x](y.md)`")
    staging._add("docs/more.md", "[a](reference/commands.md)\n<!-- site: [b](reference/commands.md) -->")
    staging._add("docs/start/some.md", "[spec](../../specs/demo.yaml)")
    assert [problem for problem in staging.problems if problem.startswith(("docs/some.md", "docs/more.md"))] == [
        "docs/some.md:2: there is no docs/nowhere.md", "docs/some.md:2: there is no docs/assets/none.svg",
        "docs/more.md:1: there is no docs/reference/commands.md",
    ]  # fmt: skip
    assert "\n[b](reference/commands.md)" in staging.texts["more.md"]
    assert staging.texts["start/some.md"] == "[spec](../files/specs/demo.yaml.md)"
    assert "stack: demo" in staging.texts["files/specs/demo.yaml.md"]


def test_every_exit_code_is_explained() -> None:
    text = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted(ExitCode)


def test_links_of_the_built_site_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#part">b</a><img src="none.png"><a href="#top">x</a>'
    )
    (tmp_path / "b.html").write_text(
        '<a href="a.html">a</a><a href="https://example.com/">out</a><script src="https://example.com/x.js"></script>'
    )
    (tmp_path / "c.html").write_text("<p>instead of\n6. Name a lease</p><p>or\n<b>| a | b</b></p><p>x\n5 - 3</p>")
    told = "c.html: shown as part of a paragraph: "
    assert list(run_in(tmp_path)) == [f"{told}6. Name a lease", f"{told}| a | b"]
    assert list(broken(tmp_path)) == [
        "a.html: b.html#part: there is no such anchor",
        "a.html: none.png: there is no such file",
        "b.html: https://example.com/x.js: would be fetched from elsewhere",
    ]


def test_what_belongs_to_an_item_stays_in_its_list() -> None:
    """Found: after a block of code in an item, the further items were shown as one paragraph."""
    staging = Staging()
    staging._add("docs/some.md", "1. One\n   and more:\n\n   ```sh\n   ls\n   ```\n2. Two\n\n```yaml\n- a:\n  b\n```")
    assert staging.texts["some.md"] == (
        "1. One\n    and more:\n\n    ```sh\n    ls\n    ```\n\n2. Two\n\n```yaml\n- a:\n  b\n```"
    )


@pytest.mark.usefixtures("fresh")
def test_what_has_no_word_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An option, a key of a spec and one of an output."""
    whole = parser.make_parser()
    name, command = next(iter(docs_reference.commands(whole)))
    command.add_argument("--silent-option")
    monkeypatch.setattr(docs_reference, "make_parser", lambda: whole)
    found = {**schema.resolved("key_pair")}
    found["properties"] = {**found["properties"], "silent": {"type": "string"}}
    original = schema.resolved
    monkeypatch.setattr(schema, "resolved", lambda kind: found if kind == "key_pair" else original(kind))
    (tmp_path / "some.schema.json").write_text(
        '{"title": "Some", "description": "Something.", "properties": {"list": {"description": "All.", "items":'
        ' {"$ref": "#/$defs/item"}}}, "$defs": {"item": {"properties": {"silent": {"type": "string"}}}}}'
    )
    monkeypatch.setattr(docs_reference, "OUTPUTS", tmp_path)
    with pytest.raises(UndocumentedError) as error:
        pages()
    for told in (
        f"{name} --silent-option has no description",
        "key_pair.silent has no description",
        "some.schema.json: list[].silent has no description",
    ):
        assert told in str(error.value)
