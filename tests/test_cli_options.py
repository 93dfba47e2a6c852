"""A command's options, as its parser declares them and as it takes them: the two can't drift apart."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.options.fill import fill, options_of
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.cli.render.console import reset
from alb_reconcile.model.advice import advised, advised_aws, reach_with, typed
from alb_reconcile.model.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = Path(__file__).parent / "specs/values.yaml"
COMMON = {"profile", "region", "endpoint_url", "sandbox", "variables", "max_workers", "pace", "verbose", "no_color"}
"""What every command that asks AWS takes, so that a script can give the same to all; not every one needs it."""


def find_commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command by its words, with its parser."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, command in action.choices.items():
            yield from find_commands(command, (*path, name))
    if not below:
        yield " ".join(path), parser


def find_fields(options: type[Any]) -> Iterator[tuple[str, Any]]:
    """Each option with its type, those of groups too."""
    hints = get_type_hints(options)
    for item in fields(options):
        hint = hints[item.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from find_fields(hint)
        else:
            yield item.name, hint


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as options need it."""
    if isinstance(hint, UnionType):
        return any(fits(value, item) for item in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(item, get_args(hint)[0]) for item in value)
    kind = get_origin(hint) or hint
    return type(value) is kind or (kind is Mapping and isinstance(value, Mapping))


def find_options(parser: argparse.ArgumentParser) -> type[Any] | None:
    """The class of the options that a command's function takes."""
    module, _, function = parser.get_default("run").partition(".")
    return options_of(getattr(import_module(f"alb_reconcile.cli.commands.{module}"), function))


PARSER = make_parser()
COMMANDS = dict(find_commands(PARSER))
OPTIONS = {name: found for name, parser in COMMANDS.items() if (found := find_options(parser))}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_has_a_field_and_each_field_an_option(command: str) -> None:
    declared = {item.dest for item in COMMANDS[command]._actions} - {"help"}
    taken = {name for name, _ in find_fields(OPTIONS[command])} if command in OPTIONS else set()
    assert taken - declared == set()
    assert declared - taken - COMMON == set()


@pytest.mark.parametrize("command", OPTIONS)
def test_the_values_are_of_the_fields_types(command: str) -> None:
    """Left out, and given: whatever `--help` shows, or one of the choices."""
    parser, options = COMMANDS[command], OPTIONS[command]
    given = [item for item in parser._actions if item.option_strings and item.dest != "help"]
    wanted = [item for item in parser._actions if not item.option_strings]
    required = [word for item in given if item.required for word in _spell(item)]
    fewest = [*required, *(_word(item) for item in wanted if item.nargs in (None, "+"))]
    every = [*required, *(_word(item) for item in wanted)]
    for words in (fewest, every, *([*fewest, *_spell(item)] for item in given)):
        filled = fill(options, parser.parse_args(words))
        for name, hint in find_fields(options):
            assert fits(_find(filled, name), hint), f"{name} of {words}"


def _word(argument: argparse.Action) -> str:
    """A value that an argument takes."""
    return str(argument.choices[0]) if isinstance(argument.choices, tuple) else "x"


def _spell(option: argparse.Action) -> list[str]:
    """An option with a value that it takes."""
    name = option.option_strings[-1]
    if option.nargs == 0:
        return [name]
    values = {
        "--set": "NAME=value", "--values": str(VALUES), "--allow": "delete=1", "--tag": "service=shop", "--connect-to": "443=localhost:8443",
        "--stack": "shop", "--timeout": "15m", "--duration": "30s", "--lock-timeout": "5m", "--every": "5m", "--pace": "0.5",
    }  # fmt: skip
    return [name, str(option.choices[0]) if isinstance(option.choices, tuple) else values.get(name, "2")]


def _find(filled: Any, name: str) -> Any:
    for item in fields(filled):
        value = getattr(filled, item.name)
        if item.name == name:
            return value
        if is_dataclass(value) and name in dict(find_fields(type(value))):
            return _find(value, name)
    raise AssertionError(name)


@pytest.fixture
def reach() -> Iterator[None]:
    """The sandbox, in a region."""
    reach_with((("--sandbox",), ("--region", "eu-west-1")))
    yield
    reset()


@pytest.mark.usefixtures("reach")
def test_a_command_that_is_advised_asks_the_same_aws() -> None:
    told = [
        advised("stacks"),
        advised("move", "shop.yaml", "vpc.a", "vpc.b"),
        advised("export", ("--stack", "shop"), ("--region", "us-east-1")),
        advised("adopt", "my--region.yaml", "", ("--yes",), ()),
    ]
    assert told == [
        "alb-reconcile stacks --sandbox --region eu-west-1",
        "alb-reconcile move --sandbox --region eu-west-1 shop.yaml vpc.a vpc.b",
        "alb-reconcile export --sandbox --stack shop --region us-east-1",
        "alb-reconcile adopt --sandbox --region eu-west-1 my--region.yaml --yes",
    ]
    keys = "AWS_ACCESS_KEY_ID=sandbox AWS_SECRET_ACCESS_KEY=sandbox AWS_DEFAULT_REGION=us-east-1"
    assert advised_aws(("s3", "mb", "s3://b"), "http://a") == f"{keys} aws s3 mb s3://b --endpoint-url http://a"
    reset()
    assert advised_aws(("s3", "mb", "s3://b"), "http://a") == "aws s3 mb s3://b --endpoint-url http://a"
    assert advised_aws(("s3", "mb", "s3://b"), "") == "aws s3 mb s3://b"
    assert advised("stacks") == "alb-reconcile stacks"


ODD = (
    "my shop.yaml", "my --region notes; x.yaml", "--region", "--yes", "-dash.yaml", "-", "$(touch x).yaml", "`id`", "a'b\"c", "a\\b",
    "two\nlines", "straße …", "~", "*", "#", "!!", "a=b", "x && y | z > /etc", "\u2028\x1b[2J",
)  # fmt: skip
"""Names that a file may have, or what others call theirs."""


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.usefixtures("reach")
def test_advice_is_one_command_whatever_the_names(odd: str) -> None:
    reach, file = ["--sandbox", "--region", "eu-west-1"], f"./{odd}" if odd[0] == "-" else odd
    assert shlex.split(advised("move", odd, "vpc.a", odd)) == ["alb-reconcile", "move", *reach, file, "vpc.a", file]
    words = shlex.split(advised("apply", ("--plan", odd), ("--policy", odd), odd))
    found = PARSER.parse_args(words[1:])
    assert (found.plan, found.policy, found.specs, found.region, found.yes) == (odd, odd, [file], "eu-west-1", False)
    aws = shlex.split(advised_aws(("s3", "mb", f"s3://{odd}"), f"http://{odd}"))
    assert aws[3:] == ["aws", "s3", "mb", f"s3://{odd}", "--endpoint-url", f"http://{odd}"]
    assert shlex.split(typed("diff", odd, odd)) == ["diff", file, file]
    reach_with((("--profile", odd),))
    assert PARSER.parse_args(shlex.split(advised("stacks"))[1:]).profile == odd


def test_advice_has_no_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.yaml").write_text("")
    assert main(["plan", "--endpoint-url", "http://ann:secret@localhost:1", str(tmp_path / "stack.yaml")]) != 0
    told = capsys.readouterr().err
    assert "alb-reconcile export --endpoint-url 'http://***@localhost:1' --stack NAME" in told
    assert "secret" not in told
    where = ["--sandbox", "--profile", "my own", "--endpoint-url", "http://localhost:1", "--region", "us-west-2"]
    assert main(["plan", *where, str(tmp_path / "stack.yaml")]) == ExitCode.INVALID
    told = capsys.readouterr().err
    assert f"`alb-reconcile export {shlex.join(where)} --stack NAME`" in told, "which are known before AWS is reached"


def test_what_is_behind_two_hyphens_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert PARSER.parse_args(["plan", "--destroy", "--", "-x.yaml", "--out"]).specs == ["-x.yaml", "--out"]
    assert PARSER.parse_args(["fmt", "a.yaml", "--check", "-"]).files == ["a.yaml", "-"]
    assert PARSER.parse_args(["adopt", "a.yaml", "--lock-time", "5m", "-yv", "b=1"]).choices == ["b=1"]
    assert PARSER.parse_args(["verify", "a.yaml", "--websocket", "-v", "b.yaml"]).specs == ["a.yaml", "b.yaml"]
    with pytest.raises(SystemExit):
        PARSER.parse_args(["plan", "a.yaml", "-o", "json"])
    assert "did you mean --format json?" in capsys.readouterr().err
