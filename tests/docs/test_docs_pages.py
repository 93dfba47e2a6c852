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
from tests.at_length import SOAK
from tests.docs.page import HERE, SCENE, Reader, blocks, commands, fits, like, patched, steady, unfollowed
from tests.e2e.tool import empty
from tests.test_examples import arguments_of, commands_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
UPDATE = bool(os.environ.get("UPDATE_GOLDENS"))
ALL = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("README*.md"))]
TRANSLATED = ROOT / "README.ja.md"
TEXTS = {page: page.read_text(encoding="utf-8") for page in ALL if page != TRANSLATED}
PLACES = {
    "sync.md": -3,
    "cron.md": -2,
    "observing.md": -1,
    "split-a-stack.md": 1,
    "export.md": 2,
    "from-terraform.md": 3,
}
"""The history shows what `sync` did in the first two; the last three let go of the stack, and bring it back by specs of their own."""
BESIDE = sorted(
    (page for page, text in TEXTS.items() if text.startswith(SCENE)), key=lambda page: PLACES.get(page.name, 0)
)
FIRST = ROOT / "docs" / "start" / "five-minutes.md"
WANTED = os.environ.get("PAGES", "")
"""A part of the paths of those that are read; by default all."""
AT_LENGTH = {"blue-green.md", "existing-vpc.md", "from-a-runbook.md"}
"""Each has a stack of its own, as README.md has. They are read with SOAK=1, by `make docs-update`, and if PAGES asks for
them. Since they are named here, what `make soak` found of them holds until they change."""
LEFT_OUT = set() if SOAK or UPDATE or WANTED else AT_LENGTH
FOLLOWED = [
    page for page, text in TEXTS.items() if blocks(text) and page not in (FIRST, *BESIDE) and page.name not in LEFT_OUT
]
SPEED = "50"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a reader whose sandbox runs, with traffic."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LOGNAME": "ann",
        "COLUMNS": "100",
        "PYTHONUTF8": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ALB_RECONCILE_SANDBOX_DIR": str(tmp_path / "sandbox"),
        "TESTS": str(ROOT / "tests"),
    }
    command = [sys.executable, "-m", "alb_reconcile", "sandbox"]
    subprocess.run([*command, "start", "--speed", SPEED], env=environment, check=True, stdout=subprocess.DEVNULL)
    yield environment
    subprocess.run([*command, "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)


def test_pages_say_what_happens(sandbox: dict[str, str], tmp_path: Path, subtests: pytest.Subtests) -> None:
    """One after the other in one sandbox, of which each test process would otherwise start its own. PAGES=recover reads some only."""
    for number, page in enumerate([FIRST, *FOLLOWED]):
        name = page.relative_to(ROOT).as_posix()
        if WANTED not in name:
            continue
        with subtests.test(page=name):
            reader = _reader(sandbox, tmp_path / str(number))
            parts = _beside_the_first() if page == FIRST else [(page, TEXTS[page])]
            wrong = []
            told: dict[Path, str] = {}
            for part, text in parts:
                said, differences = reader.follow(text)
                told[part] = f"{told[part]}{HERE}{said}" if part in told else said
                wrong += [f"{part.relative_to(ROOT)}: {item}" for item in differences]
            for part in told if UPDATE else ():
                part.write_text(told[part], encoding="utf-8")
            assert UPDATE or not wrong, "\n\n".join(wrong)


def _beside_the_first() -> list[tuple[Path, str]]:
    """The first steps, and beside their stack one page after the other: a stack for each would take most of the time."""
    first, clean_up = TEXTS[FIRST].split(HERE)
    return [(FIRST, first), *((page, TEXTS[page]) for page in BESIDE), (FIRST, clean_up)]


def _reader(sandbox: dict[str, str], place: Path) -> Reader:
    """Somebody with an empty account, the specs, and a folder after which `init` names the stack."""
    empty(Path(sandbox["ALB_RECONCILE_SANDBOX_DIR"]))
    folder = place / "my-service"
    shutil.copytree(ROOT / "specs", folder / "specs")
    return Reader(folder, sandbox | {"ALB_RECONCILE_STATE_DIR": str(place / "runs")})


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_shows_is_followed_or_says_why_not(page: Path) -> None:
    assert not unfollowed(TEXTS[page])


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_is_mentioned_parses(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser()
    for command in commands_of(page):
        words = [word for word in arguments_of(command) if word != "--help"]  # it ends well, whatever stands before it
        try:
            parser.parse_args(words or ["schema"])
        except SystemExit:
            if "--help" not in command:
                pytest.fail(f"{command}\n{capsys.readouterr().err}")


def test_the_translation_says_what_the_readme_says() -> None:
    """The same commands, outputs and spec, in the same order, less what it leaves out."""

    def told(page: Path) -> list[str]:
        text = page.read_text(encoding="utf-8")
        shown = [block.lines for block in blocks(text) if block.word == "console"]
        return [steady([item.line, *item.expected]) for lines in shown for item in commands(lines)]

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

    def test_what_isnt_followed_is_seen(self) -> None:
        page = "    alb-reconcile plan\n\n```sh\npip install .\n```\n\n!!! note\n\n    words\n\n```yaml\na: 1\n```\n"
        assert unfollowed(page) == ["line 1: alb-reconcile plan", "line 3: ```sh"]
        assert not unfollowed("<!-- not run: it installs -->\n```sh\npip install .\n```\n")

    def test_an_id_is_the_one_that_was_printed(self, tmp_path: Path) -> None:
        page = "```console\n$ echo vpc-0123456789abcdef0\n$ echo vpc-11111111111111111\nvpc-0123456789abcdef0\n```\n"
        told, differences = Reader(tmp_path, {"PATH": os.environ["PATH"]}).follow(page)
        assert not differences
        assert told.count("vpc-0123456789abcdef0") == 3

    def test_a_change_has_to_fit(self) -> None:
        assert patched("a\nb\nc\n", [" b", "-c", "+d"]) == "a\nb\nd\n"
        with pytest.raises(AssertionError, match="0 places"):
            patched("a\n", ["-x", "+y"])

    def test_lines_that_are_continued(self) -> None:
        (found,) = commands(["$ a \\", "    b", "out"])
        assert (found.line, found.expected) == ("a \\\n    b", ["out"])
