"""A parser that answers a mistake with what may have been meant, and with the usage of the command that was called."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

from alb_reconcile.cli.options.values import given
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.text import did_you_mean

_ELSEWHERE: Final = {
    "import": "export or adopt",
    "delete": "destroy",
    "show": "status",
    "output": "status",
    "state": "stacks",
}
"""What other tools call it."""


class Parser(argparse.ArgumentParser):
    """Of the whole command line, and of each command."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", None, given)  # of every option and argument that names no type

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Nothing is left for whoever called: what a command doesn't know is told with its own usage."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            words = [word.partition("=")[0] for word in rest if word[:1] == "-"]
            hints = (self._misplaced(word) or did_you_mean(word, self._option_string_actions) for word in words)
            self.error(f"unrecognized arguments: {' '.join(rest)}{next(filter(None, hints), '')}")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            known = ", ".join(action.choices)
            raise argparse.ArgumentError(
                None,
                f"there is no {_noun(action)} {_shown(value)}{_meant(value, action.choices) or f'; known: {known}'}",
            )
        super()._check_value(action, value)

    def _misplaced(self, option: str) -> str:
        """An option of the commands, before the command."""
        below = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        known = any(option in parser._option_string_actions for action in below for parser in action.choices.values())
        return f"; write {option} after the command" if known else ""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, with the command's usage."""
        message = {
            "the following arguments are required: COMMAND": "name a command; alb-reconcile help lists them",
            "the following arguments are required: ACTION": f"name an action; {self.prog} --help lists them",
        }.get(message, message)
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def parser_of(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command, or of an action of one. Ends like any mistake for words that name none."""
    for word in words:
        actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not actions:
            parser.error(f"it has no actions, and no {_shown(word)}")
        try:
            parser._check_value(actions[0], word)
        except argparse.ArgumentError as error:
            parser.error(str(error))
        parser = actions[0].choices[word]
    return parser


def _noun(action: argparse.Action) -> str:
    return str(action.metavar or "command").lower()


def _meant(word: str, known: Iterable[str]) -> str:
    elsewhere = _ELSEWHERE.get(word, "")
    return f"; did you mean {elsewhere}?" if elsewhere.partition(" ")[0] in known else did_you_mean(word, known)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
