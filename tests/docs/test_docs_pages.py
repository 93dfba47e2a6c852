"""The documentation says what happens: each page is followed from its first command to its last.

`UPDATE_GOLDENS=1 .venv/bin/pytest tests/docs` puts what is really printed into the pages; read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.cli.options.parser import make_parser
from tests.docs.page import Reader, blocks, commands, fits, like, patched
from tests.e2e.tool import empty
from tests.test_examples import arguments_of, commands_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
UPDATE = bool(os.environ.get("UPDATE_GOLDENS"))
ALL = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("README*.md"))]
TRANSLATED = ROOT / "README.ja.md"
FOLLOWED = [page for page in ALL if page != TRANSLATED and blocks(page.read_text(encoding="utf-8"))]
SPEED = "50"


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader whose sandbox runs, with traffic."""
    home = tmp_path_factory.mktemp("reader")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LOGNAME": "ann",
        "COLUMNS": "100",
        "PYTHONUTF8": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ALB_RECONCILE_SANDBOX_DIR": str(home / "sandbox"),
    }
    command = [sys.executable, "-m", "alb_reconcile", "sandbox"]
    subprocess.run([*command, "start", "--speed", SPEED], env=environment, check=True, stdout=subprocess.DEVNULL)
    yield environment
    subprocess.run([*command, "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_says_what_happens(page: Path, sandbox: dict[str, str], tmp_path: Path) -> None:
    empty(Path(sandbox["ALB_RECONCILE_SANDBOX_DIR"]))
    folder = tmp_path / "my-service"  # `init` names the stack after it
    shutil.copytree(ROOT / "specs", folder / "specs")
    text = page.read_text(encoding="utf-8")
    told, differences = Reader(folder, sandbox | {"ALB_RECONCILE_STATE_DIR": str(tmp_path / "runs")}).follow(text)
    if UPDATE:
        page.write_text(told, encoding="utf-8")
    else:
        assert not differences, "\n\n".join(differences)


MENTIONED = [
    pytest.param(command, id=f"{page.relative_to(ROOT).as_posix()}: {command}")
    for page in ALL
    for command in commands_of(page)
]


@pytest.mark.parametrize("command", MENTIONED)
def test_every_command_that_is_mentioned_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in arguments_of(command) if word != "--help"]  # it ends well, whatever stands before it
    try:
        make_parser().parse_args(words or ["schema"])
    except SystemExit:
        if "--help" not in command:
            pytest.fail(f"{command}\n{capsys.readouterr().err}")


def test_the_translation_says_what_the_readme_says() -> None:
    """The same commands and the same spec, in the same order, less what it leaves out."""

    def told(page: Path) -> list[str]:
        text = page.read_text(encoding="utf-8")
        found = [command.line for block in blocks(text) if block.word == "console" for command in commands(block.lines)]
        return [re.sub(r"localhost:\d+", "localhost", line) for line in found]

    whole = iter(told(ROOT / "README.md"))
    assert all(line in whole for line in told(TRANSLATED))  # in that order
    specs = [
        re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
        for page in (ROOT / "README.md", TRANSLATED)
    ]
    assert [yaml.safe_load(text) for text in specs[0]] == [yaml.safe_load(text) for text in specs[1]]


class TestAPage:
    """What would let a page say anything."""

    def test_another_output_is_seen(self) -> None:
        assert fits(["vpc-0123456789abcdef0 is there"], ["vpc-0fedcba9876543210 is there"])
        assert not fits(["one"], ["two"])
        assert fits(["one", "…", "four"], ["one", "two", "three", "four"])
        assert not fits(["one", "…", "five"], ["one", "two", "three", "four"])

    def test_an_output_is_rewritten_in_the_pages_form(self) -> None:
        assert like(["a", "…", "z"], ["1", "2", "3", "4"]) == ["1", "…", "4"]
        assert like([], ["1"]) == []
        assert like(["?"], ["1", "2"]) == ["1", "2"]

    def test_a_failure_is_seen(self, tmp_path: Path) -> None:
        page = '```yaml title="a.yaml"\nstack: shop\n```\n\n```console\n$ grep -c shop a.yaml\n2\n$ false\n```\n'
        told, differences = Reader(tmp_path, {"PATH": os.environ["PATH"]}).follow(page)
        assert [item.splitlines()[0] for item in differences] == ["line 6: $ grep -c shop a.yaml", "line 6: $ false"]
        assert "\n1\n" in told

    def test_a_change_has_to_fit(self) -> None:
        assert patched("a\nb\nc\n", [" b", "-c", "+d"]) == "a\nb\nd\n"
        with pytest.raises(AssertionError, match="0 places"):
            patched("a\n", ["-x", "+y"])

    def test_lines_that_are_continued(self) -> None:
        (found,) = commands(["$ a \\", "    b", "out"])
        assert (found.line, found.expected) == ("a \\\n    b", ["out"])
