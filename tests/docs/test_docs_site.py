"""What ends the build of the site: a broken link, and what isn't described."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.options import parser
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.spec import schema
from scripts import docs_reference
from scripts.docs_reference import EXIT_CODES, UndocumentedError, pages
from scripts.docs_site import Staging, broken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fresh() -> Iterator[None]:
    """Pages that are made anew, and forgotten."""
    pages.cache_clear()
    yield
    pages.cache_clear()


def test_a_link_to_a_file_that_isnt_there() -> None:
    staging = Staging()
    staging._add("docs/some.md", "[one](how-it-works.md)\n[two](nowhere.md) and ![three](assets/none.svg)\n`[x](y.md)`")
    found = [problem for problem in staging.problems if problem.startswith("docs/some.md")]
    assert found == ["docs/some.md:2: there is no docs/nowhere.md", "docs/some.md:2: there is no docs/assets/none.svg"]


def test_a_link_out_of_the_documentation_leads_to_a_page_of_that_file() -> None:
    staging = Staging()
    staging._add("docs/start/some.md", "[spec](../../specs/demo.yaml)")
    assert staging.texts["start/some.md"] == "[spec](../files/specs/demo.yaml.md)"
    assert "stack: demo" in staging.texts["files/specs/demo.yaml.md"]


def test_links_of_the_built_site_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#part">b</a><img src="none.png"><a href="#top">x</a>'
    )
    (tmp_path / "b.html").write_text(
        '<a href="a.html">a</a><a href="https://example.com/">out</a><script src="https://example.com/x.js"></script>'
    )
    assert list(broken(tmp_path)) == [
        "a.html: b.html#part: there is no such anchor",
        "a.html: none.png: there is no such file",
        "b.html: https://example.com/x.js: would be fetched from elsewhere",
    ]


@pytest.mark.usefixtures("fresh")
def test_an_option_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = parser.make_parser()
    docs_reference.commands(whole)
    name, command = next(iter(docs_reference.commands(whole)))
    command.add_argument("--silent-option")
    monkeypatch.setattr(docs_reference, "make_parser", lambda: whole)
    with pytest.raises(UndocumentedError, match=f"{name} --silent-option has no description"):
        pages()


@pytest.mark.usefixtures("fresh")
def test_an_exit_code_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXIT_CODES, ExitCode.HELD)
    with pytest.raises(UndocumentedError, match="the exit code 5 has no description"):
        pages()


@pytest.mark.usefixtures("fresh")
def test_a_key_of_a_spec_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**schema.resolved("key_pair")}
    found["properties"] = {**found["properties"], "silent": {"type": "string"}}
    original = schema.resolved
    monkeypatch.setattr(schema, "resolved", lambda name: found if name == "key_pair" else original(name))
    with pytest.raises(UndocumentedError, match=r"key_pair\.silent has no description"):
        pages()


@pytest.mark.usefixtures("fresh")
def test_a_key_of_an_output_without_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "some.schema.json").write_text(
        '{"title": "Some", "description": "Something.", "properties": {"list": {"description": "All.", "items":'
        ' {"$ref": "#/$defs/item"}}}, "$defs": {"item": {"properties": {"silent": {"type": "string"}}}}}'
    )
    monkeypatch.setattr(docs_reference, "OUTPUTS", tmp_path)
    with pytest.raises(UndocumentedError, match=r"some\.schema\.json: list\[\]\.silent has no description"):
        pages()


def test_every_command_has_its_place() -> None:
    text = pages()["commands.md"]
    for name, _ in docs_reference.commands(parser.make_parser()):
        assert f"\n## {name}\n" in text
