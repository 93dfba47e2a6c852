"""No option and no argument takes an empty value: a script's unset variable must not read as an option left out."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.cli.session.connection import ConnectionOptions, connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EMPTY = "is empty; give a value, or leave it out"
Valued = tuple[tuple[str, ...], str]
"""The words before a value, and what a mistake in it is told of."""


def _valued(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Valued]:
    """Everything of every command that takes a value."""
    before: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from _valued(command, (*path, name))
        elif action.option_strings and action.nargs != 0:
            for option in action.option_strings:
                yield (*path, option), "/".join(action.option_strings)
        elif not action.option_strings:
            yield (*path, *before), str(action.metavar)
            before.append("x")
            if action.nargs in ("+", "*"):  # the first one isn't told from the next
                yield (*path, *before), str(action.metavar)


PARSER = make_parser()
"""One for all: to make it takes longer than to read with it."""
ALL = list(_valued(PARSER))


@pytest.mark.parametrize("text", ["", " "], ids=["nothing", "blank"])
@pytest.mark.parametrize(("words", "name"), ALL, ids=[" ".join((*words, name)) for words, name in ALL])
def test_an_empty_value_is_a_usage_error(
    words: tuple[str, ...], name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spellings = [(*words, text)]
    if words[-1].startswith("--"):
        spellings.append((*words[:-1], f"{words[-1]}={text}"))
    for spelling in spellings:
        with pytest.raises(SystemExit) as stop:
            PARSER.parse_args(spelling)
        assert stop.value.code == 64
        told = capsys.readouterr().err.splitlines()[-1]
        assert f"argument {name}: " in told
        assert EMPTY in told or f"{text!r} isn't a " in told


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a spec, and AWS where nobody answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    text = "stack: shop\nregion: us-east-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"
    (tmp_path / "stack.yaml").write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("stack")
def test_a_command_does_nothing_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("apply", "--yes", "stack.yaml", "--plan", "")) == 64
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1].endswith(EMPTY)


def test_an_empty_variable_of_the_spec_is_a_value() -> None:
    args = make_parser().parse_args(["validate", "stack.yaml", "--set", "SUFFIX="])
    assert args.variables == {"SUFFIX": ""}


NUMBERS = {
    "--max-workers", "--lock-timeout", "--timeout", "--every", "--parallel", "--limit", "--port", "--speed", "--lag",
    "--requests", "--duration", "--rate", "--concurrency", "--tolerance", "--allow", "--connect-to", "--pace",
}  # fmt: skip
ABSURD = (
    "9" * 5000, f"{'9' * 5000}s", "99999999999999h", "721h", "1e999", "inf", "nan", "-1", "-5m", "²", "²s", "١", "١s",
    "1_0", " 1", "delete=²", f"delete={'9' * 5000}", f"443=localhost:{'9' * 5000}",
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "name"),
    [item for item in ALL if item[1] in NUMBERS],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else "",
)
def test_an_absurd_number_is_a_usage_error(
    words: tuple[str, ...], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ABSURD:
        with pytest.raises(SystemExit) as stop:
            PARSER.parse_args([*words[:-1], f"{words[-1]}={text}"])
        assert stop.value.code == 64
        told = capsys.readouterr().err.splitlines()[-1]
        assert name in told
        assert any(word in told for word in (" isn't a ", " expects "))
        assert len(told) < 350


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (("apply", "x", "--lock-timeout", "0s"), {"lock_timeout": 0}),
        (("apply", "x", "--lock-timeout", "720h"), {"lock_timeout": 30 * 86_400}),
        (("sync", "x", "--every", "10s"), {"every": 10}),
        (("verify", "x", "--timeout", "1s", "--tolerance", "2.5"), {"timeout": 1, "tolerance": 2.5}),
        (("sandbox", "start", "--speed", "1000", "--lag", "0"), {"speed": 1000.0, "lag": 0.0}),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else "",
)
def test_what_is_just_within(words: tuple[str, ...], taken: dict[str, float]) -> None:
    assert vars(PARSER.parse_args(words)).items() >= taken.items()


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("told", ["0", "0.09", "1.1", "half", "50%"])
def test_a_pace_that_is_none(told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "stack.yaml", "--pace", told]) == 64
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"argument --pace: {told!r} isn't a number from 0.1 to 1")
    monkeypatch.setenv("ALB_RECONCILE_PACE", told)
    for words in (("plan", "stack.yaml"), ("sync", "."), ("stacks", "--region", "us-east-1")):
        assert main(words) == 64
        wanted = f"ALB_RECONCILE_PACE: {told!r} isn't a number from 0.1 to 1; correct it, or unset it\n"
        assert capsys.readouterr() == ("", wanted), "before AWS is asked anything"


@pytest.mark.parametrize(
    ("option", "variable", "usual", "pace", "at_once"),
    [
        (None, None, {}, 1.0, 1.0), (None, None, {"usual_burst": 0.5}, 1.0, 0.5), (None, "0.7", {"usual_burst": 0.5}, 0.7, 0.7),
        (0.3, "0.7", {}, 0.3, 0.3), (0.3, "fast", {}, 0.3, 0.3), (None, "", {}, 1.0, 1.0),
    ],
)  # fmt: skip
def test_the_pace_of_a_command(
    option: float | None,
    variable: str | None,
    usual: dict[str, Any],
    pace: float,
    at_once: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The option, the variable, or what is usual; all that the command does in a region has one."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("ALB_RECONCILE_PACE", raising=False)
    if variable is not None:
        monkeypatch.setenv("ALB_RECONCILE_PACE", variable)
    options = ConnectionOptions(max_workers=1, pace=option)
    here, again, there = (connect(options, name, **usual).throttle for name in ("us-east-1", "us-east-1", "eu-west-1"))
    assert here is again
    assert here is not there
    levels = [throttle.reserve("elbv2", "modify_rule", dict, 0)[1][0] for throttle in (here, there)]
    assert [level.share for level in levels] == [pace] * 2
    assert [level.most_at_once for level in levels] == [at_once] * 2
