"""`help`, `completion` and `man`: the command line, told to people, shells and man."""

import argparse
from dataclasses import dataclass

from alb_reconcile.cli.options.forgiving import parser_of
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.cli.render.console import emit
from alb_reconcile.model.errors import ExitCode


@dataclass(frozen=True)
class HelpOptions:
    words: tuple[str, ...]


def show_help(options: HelpOptions) -> ExitCode:
    """What `--help` shows."""
    emit(parser_of(make_parser(), options.words).format_help().rstrip("\n"))
    return ExitCode.OK


@dataclass(frozen=True)
class CompletionOptions:
    shell: str


def completion(options: CompletionOptions) -> ExitCode:
    """Print a script for the shell, which completes files where a command takes one."""
    import shtab

    parser = make_parser()
    for command in _all_of(parser):
        for action in command._actions:
            if action.metavar in ("SPEC", "FILE", "SPEC|DIRECTORY|GLOB"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # what shtab looks for
            elif action.metavar == "DIR":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # likewise
    emit(str(shtab.complete(parser, options.shell)).rstrip("\n"))
    return ExitCode.OK


def man() -> ExitCode:
    """Print the manual page."""
    from argparse_manpage.manpage import Manpage

    emit(str(Manpage(make_parser())).rstrip("\n"))
    return ExitCode.OK


def _all_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    commands = [command for action in below for command in action.choices.values()]
    return [parser, *(found for command in commands for found in _all_of(command))]
