"""An argument parser that answers a mistake with a suggestion, and with the usage of the command that was called."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise, takewhile
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
    **dict.fromkeys(("unlock", "force-unlock"), "lock break"),
} | {"import": "export or adopt", "format": "fmt", "logs": "history", "release": "forget"}
"""This program's words for the commands of other tools, and for its own former ones."""
_OPTIONS: Final = {
    **dict.fromkeys(("--auto-approve", "--force", "--approve", "--assume-yes", "--no-input"), "--yes"),
    **dict.fromkeys(("--var", "--var-file", "--extra-vars", "-e"), "--set NAME=VALUE"),
    **dict.fromkeys(("--parallelism", "--forks"), "--max-workers N"),
} | {"--json": "--format json", "--debug": "-v", "-o": "--out FILE", "--output": "--out FILE"}
"""This program's words for the options of other tools; the first word is the option that a command must have."""
_DRY: Final = ("--dry-run", "--dryrun", "--check", "--check-mode", "--diff", "-C", "-D")
_PREVIEWS: Final = {
    **dict.fromkeys(("apply", "sync"), "alb-reconcile plan shows what it would do"),
    "destroy": "alb-reconcile plan --destroy shows what it would do",
    **dict.fromkeys(("fleet apply", "fleet resume", "fleet sync"), "alb-reconcile fleet plan shows what it would do"),
    **dict.fromkeys(("adopt", "forget", "move"), "without --yes it shows what it would do, and asks"),
}
"""What answers these options, by command."""


class Parser(argparse.ArgumentParser):
    """The parser of the whole command line, and of each command."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", None, given)  # of every option and argument that names no type

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse the arguments; arguments that a command doesn't know are reported with the command's own usage."""
        long = {word[1:] for word in (*self._option_string_actions, *_OPTIONS, *_DRY) if word[:2] == "--"}
        given = [] if self._subparsers else list(takewhile(lambda word: word != "--", args))
        rest = [word for word in given if word.partition("=")[0] in long]  # a Terraform option: -v would take its v
        found = namespace
        if not rest:
            found, rest = super().parse_known_args(args if self._subparsers else self._listed_first(args), namespace)
        if rest:
            hints = (self._hint(word, given) for word in rest if word[:1] == "-")
            self.error(f"unrecognized arguments: {' '.join(rest)}{next(filter(None, hints), '')}")
        return found, rest

    def _listed_first(self, words: Sequence[str]) -> Sequence[str]:
        """The words, with those that name no option together: argparse ends a list at the first option behind it, even an empty list."""
        listed, options, rest = [], [], list(words)
        while rest:
            word = rest.pop(0)
            if word[:1] != "-" or word == "-":
                listed.append(word)
                continue
            name = word.partition("=")[0] if word[:2] == "--" else word[:2]
            meant = {item for known, item in self._option_string_actions.items() if known.startswith(name)}
            action = self._option_string_actions.get(name) or (meant.pop() if len(meant) == 1 else None)
            if name == "--" or action is None:
                return words  # argparse judges it
            has_own = action.nargs is None or (action.nargs == "?" and not (rest or ["-"])[0].startswith("-"))
            own = rest[: int(name == word and has_own)]
            options += [word, *own]
            del rest[: len(own)]
        return [*listed, *options]

    def _hint(self, word: str, given: list[str]) -> str:
        """A suggestion for an unknown option: never the opposite option, nor another AWS."""
        option, _, value = word.partition("=")
        option = option if len(option) == 2 or option[1] == "-" else f"-{option}"
        value = value or next((after for before, after in pairwise(given) if before == word), "")
        known, command, is_negated = self._option_string_actions, self.prog.partition(" ")[2], option[:5] == "--no-"
        opposite = f"--{option[5:]}" if is_negated else f"--no-{option[2:]}"
        if opposite in known and known[opposite].nargs == 0:
            return f"; that is so unless {opposite} is given"
        if option in _DRY and command in _PREVIEWS:
            return f"; {_PREVIEWS[command]}"
        if option in ("-f", "--filename") and {"spec", "specs", "places"} & {action.dest for action in self._actions}:
            return f"; name the file without {option}"
        meant = [_OPTIONS.get(option, option)]
        if option in ("-o", "--output") and "--format" in known and value in (known["--format"].choices or ()):
            meant = [f"--format {value}"]
        elif meant[0].partition(" ")[0] not in known:
            alike = (name for name in known if name[:3] == option[:3] and (name[:5] == "--no-") == is_negated)
            meant = get_close_matches(option, {*alike} - {"--sandbox"}, 1, 0.8) if meant == [option] else []
        return self._misplaced(option) or "".join(f"; did you mean {name}?" for name in meant)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            known = ", ".join(action.choices)
            raise argparse.ArgumentError(
                None,
                f"there is no {_noun(action)} {_shown(value)}{_meant(value, action.choices) or f'; known: {known}'}",
            )
        super()._check_value(action, value)

    def _misplaced(self, option: str) -> str:
        """A remark on an option of the commands that was given before the command."""
        below = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        known = any(option in parser._option_string_actions for action in below for parser in action.choices.values())
        return f"; write {option} after the command" if known else ""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, with the command's usage, and exit."""
        message = {
            "the following arguments are required: COMMAND": "name a command; alb-reconcile help lists them",
            "the following arguments are required: ACTION": f"name an action; {self.prog} --help lists them",
        }.get(message, message)
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def parser_of(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command, or of a command's action. Exits as for any mistake if the words name none."""
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
    """The command that a mistyped word may mean: only words with the same first letter, since some commands change resources."""
    elsewhere = _ELSEWHERE.get(word, "")
    alike = did_you_mean(word, [name for name in known if name[:1] == word[:1]], 0.7)
    return f"; did you mean {elsewhere}?" if elsewhere.partition(" ")[0] in known else alike


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
