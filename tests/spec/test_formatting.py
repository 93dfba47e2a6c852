"""`fmt`: another layout, the same meaning, all comments; and edits that leave all else as it was written."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.document import parse, to_plain
from alb_reconcile.spec.editing import edited
from alb_reconcile.spec.formatting import dump, meaning, reformat
from alb_reconcile.spec.variables import substitute
from tests.harness import SPECS

SHIPPED = sorted([*SPECS.glob("*.yaml"), *SPECS.glob("examples/*.yaml")])
ROUGH = b"""\
\xef\xbb\xbf# top
stack:   demo
tags: &shared   {service:   demo} # all of them


vpcs:
    main:
        cidr_block:  10.0.0.0/16   # wide
        tags: *shared


instances:
    web:
        user_data: |
            #!/bin/sh


            echo '${HOME}'
        subnets: [ 'a' ,"b"]
        # last words
"""
TIDY = """\
# top
stack: demo
tags: &shared {service: demo}     # all of them

vpcs:
  main:
    cidr_block: 10.0.0.0/16        # wide
    tags: *shared

instances:
  web:
    user_data: |
      #!/bin/sh


      echo '${HOME}'
    subnets: ['a', "b"]
        # last words
"""


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_spec_means_the_same_and_keeps_its_comments(file: Path) -> None:
    data = file.read_bytes()
    text = reformat(data, file.name)
    assert meaning(text.encode(), file.name) == meaning(data, file.name)
    assert re.findall(r"(?<=# ).*", text) == re.findall(r"(?<=# ).*", data.decode())
    assert reformat(text.encode(), file.name) == text


def test_what_is_rough_is_tidied_but_for_texts() -> None:
    assert reformat(ROUGH, "x.yaml") == TIDY
    assert reformat(TIDY.encode(), "x.yaml") == TIDY
    assert reformat(ROUGH.replace(b"\n", b"\r\n"), "x.yaml").replace("\r\n", "\n") == TIDY


@pytest.mark.parametrize("data", [b"", b"a: [", b"a: 1\na: 2\n", b"a: on\n", b"\xff", b"a: &x {b: *x}\n"])
def test_what_isnt_a_spec_is_refused_and_left(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    with pytest.raises(SpecError):
        reformat(data, "x.yaml")
    assert main(["fmt", str(tmp_path / "x.yaml")]) == 3
    assert (tmp_path / "x.yaml").read_bytes() == data


LONG = "{" + ", ".join(f"key-{number}: value-number-{number}" for number in range(6)) + "}"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("subnets: [a, # first\n  b]\n", "1:14"),
        ("tags: {a: b, # first\n  c: d}\n", "1:14"),
        ("description:\n  # why\n  HTTP\n", "2:3"),
        ("description: # why\n  HTTP\n\nport: 80\n", "1:14"),
        ("a: &x # why\n  HTTP\nb: *x\n", "1:7"),
        ("a: &x 1\nb: *x # why\nc: *x\n", "2:7"),
        ("a: # why\n# then\n  1\nb: 2\n", "2:1"),
        ("# same\ntags: {a: b, # same\n  c: d}\n# same\nregion: x\n", "2:14"),
        ("# editors\n---\na: 1\n", "1:1"),
        (f"a:\n  tags: {LONG} # mine\n  # see\n  b: 1\n", "2:"),
        (f"a:\n  - {LONG} # mine\n  - {{x: 1}}\n", "2:"),
        ("description: # why\n  HTTP\n", ""),
        ("? a # why\n: b\n", ""),
        ("subnets: # both\n  - a # first\n  # then\n  - b\n", ""),
    ],
)
def test_a_comment_is_kept_or_named(text: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.yaml").write_text(text)
    code = main(["fmt", str(tmp_path / "x.yaml")])
    after, told = (tmp_path / "x.yaml").read_text(), capsys.readouterr().err
    if place:
        assert (code, after) == (3, text)
        assert re.search(
            rf"x\.yaml:{place}.*: can't be laid out with a comment here; put it on a line of its own", told
        )
    else:
        assert code == 0
        assert re.findall("#.*", after) == re.findall("#.*", text)


def test_the_command_checks_changes_and_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(ROUGH)
    file.chmod(0o640)
    assert main(["fmt", "--check", str(file)]) == 2
    assert file.read_bytes() == ROUGH
    assert main(["fmt", str(file)]) == 0
    assert (file.read_text(encoding="utf-8"), file.stat().st_mode & 0o777) == (TIDY, 0o640)
    assert main(["fmt", "--check", str(file)]) == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ROUGH)))
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out == TIDY
    assert main(["fmt", str(tmp_path / "none.yaml")]) == 3


FLOW = "a: {b: {c: 1, d: [x1, x2]}, e: two} # note\n"
BLOCK = "a:\n  b:\n    c: 1 # one\n    d: # list\n      - x1 # first\n      - x2\n\n  # about e\n  e: two\n"


@pytest.mark.parametrize(
    ("text", "path", "value", "wanted"),
    [
        (FLOW, ("a", "b", "c"), "no", 'a: {b: {c: "no", d: [x1, x2]}, e: two} # note\n'),
        (FLOW, ("a", "b", "d"), ["z"], "a: {b: {c: 1, d: [z]}, e: two} # note\n"),
        (FLOW, ("a", "b", "d"), None, "a: {b: {c: 1}, e: two} # note\n"),
        (FLOW, ("a", "b", "c"), None, "a: {b: {d: [x1, x2]}, e: two} # note\n"),
        (FLOW, ("a", "f"), {"g": True}, "a: {b: {c: 1, d: [x1, x2]}, e: two, f: {g: true}} # note\n"),
        (BLOCK, ("a", "b", "c"), 2, BLOCK.replace("c: 1", "c: 2")),
        (BLOCK, ("a", "b", "d"), ["z", {"k": "v"}], BLOCK.replace("- x1 # first\n      - x2", "- z\n      - {k: v}")),
        (BLOCK, ("a", "b", "d"), [], BLOCK.replace("- x1 # first\n      - x2", "[]")),
        (BLOCK, ("a", "b", "c"), None, BLOCK.replace("    c: 1 # one\n", "")),
        (BLOCK, ("a", "b", "k"), "${x}", BLOCK.replace("      - x2\n", '      - x2\n    k: "$${x}"\n')),
        (BLOCK, ("a", "k", "m"), [1], BLOCK.replace("e: two\n", "e: two\n  k: {m: [1]}\n")),
        (BLOCK, ("a", "k", "m"), None, BLOCK),
        ("a: &x {c: 1}\nb: *x\n", ("b", "c"), 2, "a: &x {c: 1}\nb: *x\n"),
    ],
)  # fmt: skip
def test_an_edit_leaves_all_else_as_it_is(text: str, path: tuple[str, ...], value: Any, wanted: str) -> None:
    assert edited(text.encode(), "x.yaml", {path: value}) == wanted


TEXTS = ["", " ", "a: b", "# x", "on", "1e3", "0o7", "2026-01-01", "null", "~", "[", "}", "a\nb", "\t", "\x7f", "$${x", "${x}", "é", "-", "?", "!", "@", "`", "a #b", "'", '"']  # fmt: skip


def test_whatever_a_text_is_it_is_read_again() -> None:
    data = {
        "stack": "demo",
        "tags": {text or "empty": text for text in TEXTS},
        "lists": [TEXTS, [[text] for text in TEXTS]],
    }
    text = dump(data, {("tags",): ["\x1b[2J\nremark"]}, ["head\r\nline: x"])
    assert all(line.isprintable() for line in text.split("\n"))
    root, problems = parse(text.encode(), "")
    assert problems + substitute(root, {}).problems == []
    assert to_plain(root) == data
