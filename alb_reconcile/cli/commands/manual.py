"""The commands `help` and `completion`: print a command's help, and a shell's completion script."""

import argparse
import re
from dataclasses import dataclass
from typing import Final

from alb_reconcile.cli.commands.authoring import kind_names
from alb_reconcile.cli.commands.starting import templates
from alb_reconcile.cli.options.forgiving import parser_of
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.cli.render.console import emit
from alb_reconcile.cli.render.schema import output_schemas
from alb_reconcile.model.errors import ExitCode, UsageError, needs_extra


@dataclass(frozen=True)
class HelpOptions:
    words: tuple[str, ...]


def show_help(options: HelpOptions) -> ExitCode:
    """Print what `--help` shows."""
    emit(parser_of(make_parser(), options.words).format_help().rstrip("\n"))
    return ExitCode.OK


@dataclass(frozen=True)
class CompletionOptions:
    shell: str


def completion(options: CompletionOptions) -> ExitCode:
    """Print a script for the shell, which completes files where a command takes one. Raises UsageError without the extra `terminal`."""
    try:
        import shtab
    except ImportError:
        raise UsageError(needs_extra("completion needs", "terminal")) from None

    parser = make_parser()
    known = _names(parser)
    for command in _all_of(parser):
        name = command.prog.partition(" ")[2]
        for action in command._actions:
            if action.metavar in _FILES or (name == "diff" and action.metavar in ("OLD", "NEW")):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # what shtab looks for
            elif action.metavar in _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # likewise
            elif (name, action.dest) in known:
                action.choices = known[name, action.dest]
    script = str(shtab.complete(parser, options.shell)).rstrip("\n")
    emit(_mended(script) if options.shell == "zsh" else script)
    return ExitCode.OK


def _mended(script: str) -> str:
    """shtab's script for zsh, changed so that each of several arguments is completed, and that options are offered where an argument is
    due that has no completion."""
    every = re.sub(r'"\(\*\)::?', '"*:', script)
    return re.sub(r'(?m)^( +"(?:\*|:)?:.*:)"$', r'\1()"', every)


_FILES: Final = ("SPEC", "FILE", "SPEC|DIRECTORY|GLOB")
_FOLDERS: Final = ("DIR", "DIRECTORY")


def _names(parser: argparse.ArgumentParser) -> dict[tuple[str, str], list[str]]:
    """The names that an argument takes, by command and argument, where the command knows them and not the parser."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {
        ("help", "words"): [*commands.choices],
        ("explain", "topic"): kind_names(),
        ("init", "template"): ["list", *sorted(templates())],
        ("schema", "name"): [*output_schemas()],
    }


def _all_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    commands = [command for action in below for command in action.choices.values()]
    return [parser, *(found for command in commands for found in _all_of(command))]
