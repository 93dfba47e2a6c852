"""`tests.soak`: what has passed isn't run again, and what asks for no seed is run once."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import at_length, soak, soak_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]
LIKE = re.compile(r"^only_at_length\('(.*)'\)$")
MODULES = sorted((soak.ROOT / "tests").rglob("test_*.py"))

TESTS = """
    from hypothesis import given, strategies
    from pathlib import Path
    from tests.properties.seeds import first_seed, tried

    def test_plain():
        tried["moments"] += 3

    def test_seeded():
        assert first_seed("any") >= 0

    @given(strategies.integers())
    def test_drawn(number):
        pass

    def test_broken():
        assert Path("mended").exists()

    def test_in_parts(subtests):
        for number in range(2):
            with subtests.test(number=number):
                assert number or Path("mended").exists(), "the first"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs these tests with a seed; returns which were run."""
    pytester.makepyfile(TESTS)
    return Run(pytester, monkeypatch)


class Run:
    """Runs of one commit."""

    def __init__(self, pytester: pytest.Pytester, patch: pytest.MonkeyPatch) -> None:
        self.file = pytester.path / "record" / "abc.jsonl"
        self._pytester, self._patch = pytester, patch

    def __call__(self, seed: str) -> list[str]:
        self._patch.setenv("SOAK", seed)
        self._patch.setenv("SOAK_RECORD", str(self.file))
        self._patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        before = len(soak.lines(self.file))
        self._pytester.runpytest_inprocess("-p", "tests.soak", "-p", "no:cacheprovider")
        return [line["test"].partition("::test_")[2] for line in soak.lines(self.file)[before:]]

    def mend(self) -> None:
        (self._pytester.path / "mended").touch()


def test_another_seed_runs_what_asks_for_one_and_what_has_not_passed(run: Run) -> None:
    assert run("1") == ["plain", "seeded", "drawn", "broken", "in_parts"]
    assert run("1") == ["broken", "in_parts"]
    run.mend()
    assert run("2") == ["seeded", "drawn", "broken", "in_parts"]
    assert run("3") == ["seeded", "drawn"]
    assert run("1") == []


def test_how_to_repeat_what_has_failed_is_told(run: Run) -> None:
    run("7")
    commands = [line for line in soak.again(run.file, "7").splitlines() if line.startswith("python -m tests.soak")]
    assert all(command.startswith("python -m tests.soak --seed 7 '") for command in commands)
    assert [command.partition("::test_")[2] for command in commands] == ["broken'", "in_parts'"]
    (why,) = (line["why"] for line in soak.lines(run.file) if line["test"].endswith("in_parts"))
    assert "AssertionError: the first" in why
    assert "contains 1 failed subtest" in why
    run.mend()
    run("7")
    assert soak.again(run.file, "7") == ""


def test_what_is_begun_afresh_is_run_again(run: Run) -> None:
    run.mend()
    run("1")
    run("2")
    soak.forget(run.file, "1")
    assert run("2") == ["plain", "broken", "in_parts"]
    assert run("1") == ["seeded", "drawn"]


def test_the_table_says_what_was_tried_once(run: Run) -> None:
    run("1")
    run("2")
    rows = [[cell.strip() for cell in line.split("|")] for line in soak.summary(run.file, "2").splitlines()]
    assert rows[2][2:5] == ["3", "2", "3"]
    assert rows[2][6] == "3 of 5"
    assert rows[-1] == [
        "1 of them, which ask for no seed, were run with another one on this state of the code, and not again."
    ]


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., None]:
    def call(*words: str) -> None:
        who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    call("init")
    return call


def test_the_number_of_one_trial_is_not_that_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make soak SEED=5` sets it in the environment, where it asks the tests for one trial of each."""
    (tmp_path / "test_here.py").write_text(
        "import os\n\ndef test_it():\n    assert not {'SEED', 'CHANGES_SEED', 'FUZZ_SEED'} & {*os.environ}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(soak.ROOT))
    for name in ("SEED", "CHANGES_SEED", "FUZZ_SEED"):
        monkeypatch.setenv(name, "5")
    monkeypatch.setattr(soak, "ROOT", tmp_path)
    monkeypatch.setattr(soak, "JOBS", 0)
    monkeypatch.setattr("sys.argv", ["soak", "--seed", "5", "test_here.py"])
    assert soak.main() == 0


def test_nothing_is_kept_of_a_tree_with_changes(tmp_path: Path, git: Callable[..., None]) -> None:
    (tmp_path / "code").touch()
    assert not soak_inputs.state(tmp_path)
    git("add", "code")
    git("commit", "--message=first")
    first = soak_inputs.state(tmp_path)
    (tmp_path / "new").touch()
    assert not soak_inputs.state(tmp_path)
    git("add", "new")
    assert not soak_inputs.state(tmp_path)
    git("commit", "--message=second")
    second = soak_inputs.state(tmp_path)
    assert "" != first != second != ""
    assert soak.record(first) == soak.record(second) != soak.record("")
    (tmp_path / "README.md").touch()
    git("add", "README.md")
    git("commit", "--message=what was found")
    assert soak_inputs.state(tmp_path) == second


FILES = {
    "code.py": "",
    "tests/conftest.py": "",
    "tests/data.json": "",
    "tests/soak.py": "",
    "tests/at_length.py": "",
    "tests/test_alone.py": "",
    "tests/test_judged.py": "from tests.judge import judge",
    "tests/judge.py": "def judge(): from tests import rules",
    "tests/rules.py": "",
    "tests/test_of_kinds.py": "import tests.soak\nimport importlib\nimportlib.import_module(f'tests.kinds.test_{kind}')",
    "tests/kinds/conftest.py": "",
    "tests/kinds/test_vpc.py": "",
    "tests/worst.py": "",
    "tests/test_bounds.py": "run('-m', 'tests.worst')",
    "tests/makers/script.py": "",
    "tests/test_made.py": "run(HERE / 'script.py')",
    "scripts/check.py": "",
    "Containerfile": "",
    "Makefile": "",
    "tests/test_image.py": "(ROOT / 'Containerfile').read_text()\nrun(ROOT / 'scripts/check.py')",
    "tests/test_counts.py": "HOW_OFTEN = 100 if SOAK else 2\nWAYS = [1, 2]\ntry_seeds(2, 100, trial)\ndef test_it(): pass",
    "tests/test_counts_too.py": "from tests.test_counts import HOW_OFTEN",
    "tests/test_takes_it.py": "from tests import test_counts\ntest_counts.test_it()",
    "tests/test_takes_it_by_name.py": "from tests.test_counts import test_it",
    "tests/measures/__init__.py": "",
    "tests/measures/one.py": "'''What it measures.'''",
    "tests/test_measures.py": "from tests import measures",
    "tests/test_measures_one.py": "from tests.measures.one import measure",
    "tests/test_runs_it.py": "run('pytest', 'tests/test_counts.py')",
    "tests/test_follows.py": "follow('page.md')",
}
ALL = {Path(name).stem.removeprefix("test_") for name in FILES if Path(name).name.startswith("test_")}
OTHERS = {"takes_it", "takes_it_by_name", "runs_it"}
"""Who run the tests of another module, perhaps as the suite does."""
COUNTING = {"counts", *OTHERS}


@pytest.mark.parametrize(
    ("changed", "what", "undone"),
    [
        ("code.py", "1", ALL),
        ("tests/conftest.py", "1", ALL),
        ("tests/data.json", "1", ALL),
        ("tests/test_alone.py", "1", {"alone"}),
        ("tests/test_alone.py", "# a comment", set()),
        ("tests/test_alone.py", "'What it is.'", set()),
        ("tests/rules.py", "1", {"judged"}),
        ("tests/kinds/conftest.py", "1", {"vpc"}),
        ("tests/kinds/test_vpc.py", "1", {"of_kinds", "vpc"}),
        ("tests/kinds/test_vpc.py", "def test_it(): pass", {"vpc"}),
        ("tests/worst.py", "1", {"bounds"}),
        ("tests/measures/__init__.py", "1", {"measures", "measures_one"}),
        ("tests/measures/one.py", "'Another docstring.'", {"measures_one"}),
        ("tests/measures/one.py", "class TestAuthority: pass", {"measures_one"}),
        ("tests/makers/script.py", "1", {"made"}),
        ("Containerfile", "1", {"image"}),
        ("scripts/check.py", "1", {"image"}),
        ("Makefile", "1", set()),
        ("tests/soak.py", "1", set()),
        ("docs/page.md", "1", {"follows"}),
        ("docs/other.md", "1", set()),
        ("tests/test_counts.py", "1", {*COUNTING, "counts_too"}),
        ("tests/test_counts.py", "def test_more(): pass", COUNTING),
    ],
)
def test_a_change_undoes_the_tests_that_rest_on_it(
    changed: str, what: str, undone: set[str], tmp_path: Path, git: Callable[..., None]
) -> None:
    assert undone == _undone(tmp_path, git, changed, lambda text: f"{text}\n{what}\n")


@pytest.mark.parametrize(
    ("old", "new", "undone"),
    [
        ("100 if SOAK else 2", "100 if SOAK else 3", OTHERS),
        ("100 if SOAK else 2", "99 if SOAK else 2", {*COUNTING, "counts_too"}),
        ("try_seeds(2, 100", "try_seeds(3, 100", OTHERS),
        ("try_seeds(2, 100", "try_seeds(2, 99", {*COUNTING, "counts_too"}),
        ("def test_it", "@only_at_length('tests/test_alone.py::test')\ndef test_it", OTHERS),
        ("WAYS = [1, 2]", "from tests.at_length import at_length\nWAYS = [1, *at_length(2)]", OTHERS),
        ("WAYS = [1, 2]", "WAYS = [1, *at_length(3)]", {*COUNTING, "counts_too"}),
    ],
)
def test_how_much_the_suite_tries_undoes_nothing_of_what_is_tried_at_length(
    old: str, new: str, undone: set[str], tmp_path: Path, git: Callable[..., None]
) -> None:
    assert undone == _undone(tmp_path, git, "tests/test_counts.py", lambda text: text.replace(old, new))


def _undone(tmp_path: Path, git: Callable[..., None], changed: str, change: Callable[[str], str]) -> set[str]:
    """The tests whose results a commit undoes."""
    for name, text in (*FILES.items(), ("docs/page.md", ""), ("docs/other.md", "")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git("add", ".")
    git("commit", "--message=first")
    before = soak_inputs.inputs(tmp_path)
    file = tmp_path / "record.jsonl"
    file.write_text("".join(json.dumps({"test": f"{name}::test", "inputs": before[name]}) + "\n" for name in before))
    (tmp_path / changed).write_text(change((tmp_path / changed).read_text()))
    git("commit", "--all", "--message=second")
    soak.keep(file, soak_inputs.inputs(tmp_path))
    kept = {item["test"].partition("::")[0] for item in soak.lines(file)}
    return {Path(name).stem.removeprefix("test_") for name in before.keys() - kept}


def test_what_the_suite_leaves_out_is_in_it() -> None:
    """A module that has something for `make soak` only, whichever folder it is in; of a folder that is run whole not a second time."""
    found = soak.where()
    assert {"tests/properties", "tests/plan/test_departures.py", "tests/export/test_export_any_spec.py"} < {*found}
    assert len(found) == len(set(found))
    assert not {"tests/properties/test_lag.py", "tests/plan/test_limits.py", "tests/test_soak.py"} & {*found}
    assert all((soak.ROOT / place).exists() for place in found)


def test_a_test_that_is_left_out_is_like_one_of_the_suite() -> None:
    """Which exists, and isn't left out itself."""
    like: dict[str, str] = {}
    tests: set[str] = set()
    for path in MODULES:
        for test in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(test, ast.FunctionDef):
                name = f"{path.relative_to(soak.ROOT).as_posix()}::{test.name}"
                tests.add(name)
                for item in test.decorator_list:
                    if found := LIKE.match(ast.unparse(item)):
                        like[name] = found[1]
    assert like
    assert {*like.values()} <= tests - like.keys()


def test_at_length_is_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_length.at_length(1, 2) == ((1, 2) if at_length.SOAK else ())
    monkeypatch.setattr(at_length, "SOAK", True)
    assert at_length.at_length(1, 2) == (1, 2)
    assert not at_length.only_at_length("tests/test_soak.py::test").args[0]
