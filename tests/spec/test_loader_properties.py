"""Whatever is given to it, the loader returns a stack or says what is wrong: soon, and in little memory."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from alb_reconcile.model.errors import Problem, SpecError
from alb_reconcile.model.resource import references
from alb_reconcile.spec.stack import Stack, parse_stack
from tests.fuzz.mutate import _changed_data, changed
from tests.processes import GUARD
from tests.spec.worst import CASES, SHARE

if TYPE_CHECKING:
    from random import Random

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
TEXTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted(SPECS.glob("*.yaml"))}
TREES = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
VARIABLES = {"EC2_SSH_KEY_NAME": "key", "A": "a", "B": ""}

FLOORS = 10.0
"""One second where `worst.floor` takes a tenth of one, which it does on a machine of our days."""
MIB = 200.0
EXPECTED = {
    "unknown keys": "500 problems",
    "a tower of aliases": "1 problems",
    "the largest valid stack": f"{9900 // SHARE // 900 * 900 + 16} resources",
    "more instances than a stack": "1 problems",
    "targets and rules": f"{8000 // SHARE + 14} resources",
}
"""What becomes of some of the worst cases."""


def load(data: bytes) -> Stack | tuple[Problem, ...]:
    """A stack that holds together, or problems that can be shown; anything else fails."""
    try:
        stack = parse_stack(data, "spec.yaml", SPECS, VARIABLES)
    except SpecError as error:
        problems = error.problems
    else:
        return check_stack(stack, data)
    event("refused")
    check_problems(problems, data)
    assert any(not problem.warning for problem in problems)
    return problems


def check_stack(stack: Stack, data: bytes) -> Stack:
    """What is built is whole: no reference leads nowhere."""
    event("valid")
    check_problems(stack.warnings, data)
    for address, desired in stack.desired.items():
        assert desired.address == address
        assert set(references(desired.state)) <= set(stack.desired), "a reference to nothing got through"
    return stack


def check_problems(problems: tuple[Problem, ...], data: bytes) -> None:
    """Each has a place in the text and a message on one line."""
    lines = len(data.decode("utf-8", "replace").splitlines()) + 1
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.render("spec.yaml").isprintable()
        assert len(problem.message) < 600
    assert list(problems) == sorted(problems)


@settings(max_examples=30)
@given(st.sampled_from(sorted(TEXTS)), st.randoms(use_true_random=False))
def test_changed_texts(name: str, random: Random) -> None:
    """A shipped spec that was changed as text and as data."""
    load(changed(random, TEXTS[name].encode()))


# -- structure


def unprinted(problems: Stack | tuple[Problem, ...]) -> set[tuple[str, str]]:
    """What was said, without its places."""
    found = problems.warnings if isinstance(problems, Stack) else problems
    return {(problem.path, problem.message) for problem in found}


def is_read(problems: Stack | tuple[Problem, ...]) -> bool:
    """Whether it is YAML: a key of more than 1,024 characters is only with a ? before it, which JSON doesn't have."""
    return isinstance(problems, Stack) or not any(problem.message.startswith("not valid") for problem in problems)


@settings(max_examples=30)
@given(st.sampled_from(sorted(TREES)), st.randoms(use_true_random=False))
def test_changed_specs(name: str, random: Random) -> None:
    """And what is said of a spec doesn't depend on the style in which it is written."""
    tree = copy.deepcopy(TREES[name])
    for _ in range(random.randint(1, 4)):
        tree = _changed_data(random, tree)
    text = json.dumps(tree)
    assume(json.loads(text) == tree)  # whose keys are texts, and whose numbers are some
    assume(not any(odd in text for odd in ("\\ud", "Infinity", "1e999")))  # which no YAML has, or has otherwise
    first, second = load(yaml.dump(tree, Dumper=_NoAliases, sort_keys=False).encode()), load(text.encode())
    assert isinstance(first, Stack) == isinstance(second, Stack)
    if is_read(first) and is_read(second):
        assert unprinted(first) == unprinted(second)
    if isinstance(first, Stack) and isinstance(second, Stack):
        assert first.desired == second.desired


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@settings(max_examples=12)
@given(st.sampled_from(sorted(TREES)), st.randoms(use_true_random=False))
def test_the_order_of_mappings_means_nothing(name: str, random: Any) -> None:
    """A spec whose keys are shuffled wants the same, to the digest."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            items = [(key, shuffled(item)) for key, item in value.items()]
            random.shuffle(items)
            return dict(items)
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    one, other = load(json.dumps(TREES[name]).encode()), load(json.dumps(shuffled(TREES[name])).encode())
    assert isinstance(one, Stack)
    assert isinstance(other, Stack)
    assert one.desired == other.desired


# -- bounds


SOME = ["a tower of aliases", "unknown keys", "more instances than a stack", "variables that grow"]
OTHERS = [case for case in CASES if case not in SOME]


@pytest.mark.parametrize(
    "cases",
    [SOME, *(pytest.param(OTHERS[start::4], marks=pytest.mark.slow) for start in range(4))],
    ids=lambda cases: f"{cases[0]} and others",
)
def test_time_and_memory_are_bounded(cases: list[str]) -> None:
    """Each in a second or two, and 200 MB; what is over it gets a second chance, for the sake of busy machines."""
    results = measured(cases)
    assert [result for result in results if result["result"] != EXPECTED.get(result["case"], result["result"])] == []
    over = [result for result in results if result["floors"] >= FLOORS or result["mib"] >= MIB]
    again = measured([result["case"] for result in over]) if over else []
    assert [result for result in again if result["floors"] >= FLOORS or result["mib"] >= MIB] == []


def measured(cases: list[str]) -> list[dict[str, Any]]:
    """Each case's result, from a process with limited memory."""
    command = [sys.executable, "-m", "tests.spec.worst", *cases]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GUARD, cwd=ROOT, check=False)
    assert done.returncode == 0, f"after {done.stdout[-300:]}: {done.stderr[-2000:]}"
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["case"] for result in results] == cases
    return results
