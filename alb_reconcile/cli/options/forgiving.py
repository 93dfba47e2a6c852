"""A parser that answers a mistake with what may have been meant, and with the usage of the command that was called."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Any, Final, NoReturn

from alb_reconcile.cli.options.values import given
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.text import did_you_mean

_ELSEWHERE: Final = {
    **dict.fromkeys(("lint", "check", "test"), "validate"),
    **dict.fromkeys(("show", "output", "describe", "get", "health"), "status"),
    **dict.fromkeys(("preview", "drift", "refresh", "dry-run"), "plan"),
    **dict.fromkeys(("up", "deploy", "create", "update"), "apply"),
    **dict.fromkeys(("delete", "down", "teardown"), "destroy"),
    **dict.fromkeys(("state", "list", "ls", "workspace"), "stacks"),
    "import": "export or adopt",
    "format": "fmt",
    "force-unlock": "lock break",
    "unlock": "lock break",
    "logs": "history",
}
"""What other tools call it."""
_OPTIONS: Final = {
    "--json": "--format json",
    **dict.fromkeys(("--auto-approve", "--force", "--approve", "--assume-yes", "--no-input"), "--yes"),
    **dict.fromkeys(("--var", "--var-file", "--extra-vars", "-e"), "--set NAME=VALUE"),
    **dict.fromkeys(("-o", "--output"), "--out FILE"),
    **dict.fromkeys(("--parallelism", "--forks"), "--max-workers N"),
    "--debug": "-vv",
}
"""Likewise; the first word is the option that a command must have."""
_DRY: Final = ("--dry-run", "--dryrun", "--check", "--check-mode", "--diff", "-C", "-D")
_FILES: Final = ("spec", "specs", "places", "file")
_PREVIEWS: Final = {
    **dict.fromkeys(("apply", "sync"), "alb-reconcile plan shows what it would do"),
    "destroy": "alb-reconcile plan --destroy shows what it would do",
    **dict.fromkeys(("fleet apply", "fleet resume", "fleet sync"), "alb-reconcile fleet plan shows what it would do"),
    **dict.fromkeys(("adopt", "release", "move"), "without --yes it shows what it would do, and asks"),
}
"""What answers them, by command."""


class Parser(argparse.ArgumentParser):
    """Of the whole command line, and of each command."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", None, given)  # of every option and argument that names no type

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Nothing is left for whoever called: what a command doesn't know is told with its own usage."""
        long = {word[1:] for word in (*self._option_string_actions, *_OPTIONS, *_DRY) if word[:2] == "--"}
        given = [] if self._subparsers else list(takewhile(lambda word: word != "--", args))
        rest = [word for word in given if word.partition("=")[0] in long]  # a Terraform's, of which -v would take the v
        found = namespace
        if not rest:
            found, rest = super().parse_known_args(args, namespace)
        if rest:
            hints = (self._hint(word, given) for word in rest if word[:1] == "-")
            self.error(f"unrecognized arguments: {' '.join(rest)}{next(filter(None, hints), '')}")
        return found, rest

    def _hint(self, word: str, given: list[str]) -> str:
        """What may have been meant by an option: what it is called here, or one that is much like it. Nothing means the opposite,
        or another AWS."""
        option, equals, value = word.partition("=")
        option = option if len(option) == 2 or option[1] == "-" else f"-{option}"
        value = value if equals or word not in given else next(iter(given[given.index(word) + 1 :]), "")
        known, command = self._option_string_actions, self.prog.partition(" ")[2]
        opposite = f"--{option[5:]}" if option.startswith("--no-") else f"--no-{option[2:]}"
        meant = _OPTIONS.get(option, option)
        if option in ("-o", "--output") and "--format" in known and value in (known["--format"].choices or ()):
            meant = f"--format {value}"
        if opposite in known and known[opposite].nargs == 0:
            return f"; that is so unless {opposite} is given"
        if option in _DRY and command in _PREVIEWS:
            return f"; {_PREVIEWS[command]}"
        if option in ("-f", "--filename") and any(action.dest in _FILES for action in self._get_positional_actions()):
            return f"; name the file without {option}"
        if meant.partition(" ")[0] in known or (meant == "-vv" and "-v" in known):
            return f"; did you mean {meant}?"
        alike = [name for name in known if name[:3] == option[:3] and name != "--sandbox" and option not in _OPTIONS]
        found = get_close_matches(
            option, [name for name in alike if (name[:5] == "--no-") == (option[:5] == "--no-")], 1, 0.8
        )
        return self._misplaced(option) or (f"; did you mean {found[0]}?" if found else "")

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
    return f"; did you mean {elsewhere}?" if elsewhere.partition(" ")[0] in known else _alike(word, known)


def _alike(word: str, known: Iterable[str]) -> str:
    """As `did_you_mean`, of commands, some of which write: whoever mistypes one gets its first letter right."""
    return did_you_mean(word, [name for name in known if name[:1] == word[:1]], 0.7)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
