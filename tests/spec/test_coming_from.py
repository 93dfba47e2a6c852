"""`docs/coming-from.md`: each key in its tables is one of ours, and each row says one, or why there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.kinds import load_kinds

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
KEY = re.compile(rf"`((?:stack|{'|'.join(load_kinds())})(?:\.[a-z0-9_]+)+)`")
SOURCES = ("Terraform", "Kubernetes", "Ansible", "CloudFormation")


def rows(heading: str, source: str) -> list[list[str]]:
    """The cells of a source's table with that heading."""
    section = TEXT.split(f"\n## {source}\n")[1].split("\n## ")[0]
    table = next(part for part in section.split("\n\n") if part.startswith("| ") and heading in part.splitlines()[0])
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("source", SOURCES)
def test_each_row_says_one_of_our_keys_or_why_there_is_none(source: str) -> None:
    said = rows("| Here |", source)
    assert len(said) >= 30
    assert [theirs for theirs, ours in said if not KEY.search(ours)] == []
    reasons = rows("| Why |", source)
    assert [row for row in reasons if len(row) != 2 or len(row[1]) < 10] == []
    assert reasons


def test_each_key_is_one_that_can_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for key in sorted(set(KEY.findall(TEXT))):
        assert main(["explain", key]) == 0, capsys.readouterr().err
        assert capsys.readouterr().out.splitlines()[0].endswith(key.partition(".")[2])


def test_each_annotation_is_said_in_the_example() -> None:
    spec = (ROOT / "specs" / "examples" / "kubernetes-ingress.yaml").read_text(encoding="utf-8")
    names = [name for theirs, _ in rows("| Here |", "Kubernetes") for name in re.findall(r"`([^`]+)`", theirs)]
    known = [re.sub(r"\.[A-Z.]+$|-PORT$|\.PROTOCOL-PORT$", "", name) for name in names]
    assert len(known) > 45
    assert [name for name in known if name not in spec] == []
