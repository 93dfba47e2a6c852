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
from tests.docs.page import HERE, SCENE, Reader, blocks, commands, steady, unfollowed
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
FOLLOWED = [
    pytest.param(page, marks=pytest.mark.slow) for page, text in TEXTS.items() if blocks(text) and page not in BESIDE
]
"""Each has a stack of its own."""
SPEED = "50"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader whose sandbox runs, with traffic."""
    home = tmp_path_factory.mktemp("home")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        "PATH": path, "HOME": str(home), "LOGNAME": "ann", "COLUMNS": "100", "PYTHONUTF8": "1",
        "AWS_EC2_METADATA_DISABLED": "true", "ALB_RECONCILE_SANDBOX_DIR": str(home / "sandbox"), "TESTS": str(ROOT / "tests"),
    }  # fmt: skip
    command = [sys.executable, "-m", "alb_reconcile", "sandbox"]
    subprocess.run([*command, "start", "--speed", SPEED], env=environment, check=True, stdout=subprocess.DEVNULL)
    yield environment
    subprocess.run([*command, "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_a_page_says_what_happens(page: Path, sandbox: dict[str, str], tmp_path: Path) -> None:
    """PAGES=recover follows some only."""
    if WANTED not in name_of(page):
        return
    reader = _reader(sandbox, tmp_path)
    wrong, told = list[str](), dict[Path, str]()
    for part, text in _beside_the_first() if page == FIRST else [(page, TEXTS[page])]:
        said, differences = reader.follow(text)
        told[part] = f"{told[part]}{HERE}{said}" if part in told else said
        wrong += [f"{name_of(part)}: {item}" for item in differences]
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


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_what_a_page_shows_is_followed_or_says_why_not(page: Path) -> None:
    assert not unfollowed(TEXTS[page])


@pytest.mark.parametrize("page", ALL, ids=name_of)
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

    def specs(page: Path) -> list[object]:
        return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]

    whole = iter(told(ROOT / "README.md"))
    assert all(line in whole for line in told(TRANSLATED))  # in that order
    assert specs(ROOT / "README.md") == specs(TRANSLATED)


def test_what_a_page_says_wrongly_is_seen(tmp_path: Path) -> None:
    page = '```yaml title="a.yaml"\nstack: shop\n```\n\n```console\n$ grep -c shop a.yaml\n2\n$ false\n```\n'
    told, differences = Reader(tmp_path, {"PATH": os.environ["PATH"]}).follow(page)
    assert [item.splitlines()[0] for item in differences] == ["line 6: $ grep -c shop a.yaml", "line 6: $ false"]
    assert "\n1\n" in told
    assert unfollowed("    alb-reconcile plan\n\n```sh\npip install .\n```\n") == [
        "line 1: alb-reconcile plan",
        "line 3: ```sh",
    ]
