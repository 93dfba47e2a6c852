"""Prints the manual page, in roff's man macros, from what the command line's parser knows.

A wheel has the page: hatch_build.py makes it where the wheel is built, so this takes nothing but Python's own library.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from alb_reconcile.cli.options.parser import make_parser


def page(parser: argparse.ArgumentParser) -> str:
    """The whole page. It has no date: the same program gives the same page."""
    lines = [
        rf'.TH {_escaped(parser.prog.upper())} 1 "" "{_escaped(parser.prog)}" ""',
        ".nh",  # a word of a command line isn't hyphenated
        ".ad l",
        ".SH NAME",
        rf"{_escaped(parser.prog)} \- {_escaped(str(parser.description))}",
        ".SH SYNOPSIS",
        _usage(parser),
        *_options(parser),
        ".SH COMMANDS",
        *_commands(parser),
        ".SH EXIT STATUS",
        *_as_it_is(str(parser.epilog).partition("\n")[2]),
    ]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A section for each command; one that has commands of its own is followed by theirs."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for command in action.choices.values():
            yield f".SS {_escaped(command.prog)}"
            yield _usage(command)
            yield ".PP"
            yield _escaped(str(command.description))
            yield from _options(command)
            yield from _commands(command)


def _usage(parser: argparse.ArgumentParser) -> str:
    words = parser.format_usage().removeprefix("usage: ").split()
    return f"{_bold(parser.prog)} {_escaped(' '.join(words[len(parser.prog.split()) :]))}"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """What a command takes, group by group; `--help`, which each has, isn't said."""
    formatter = parser._get_formatter()
    for group in parser._action_groups:
        taken = [
            action
            for action in group._group_actions
            if action.help is not argparse.SUPPRESS
            and not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        ]
        if taken and group.title not in ("positional arguments", "options"):
            yield ".PP"
            yield f"{_escaped(str(group.title).capitalize())}:"
        for action in taken:
            yield ".TP"
            yield _invocation(action, formatter)
            if action.help:
                yield _escaped(formatter._expand_help(action))


def _invocation(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    """An option with the name of its value, or an argument's name."""
    if not action.option_strings:
        return _bold(str(action.metavar or action.dest))
    value = "" if action.nargs == 0 else f" {_italic(formatter._format_args(action, action.dest.upper()))}"
    return ", ".join(_bold(name) + value for name in action.option_strings)


def _as_it_is(text: str) -> Iterator[str]:
    yield ".nf"
    yield from (_shielded(line) for line in text.splitlines())
    yield ".fi"


def _bold(text: str) -> str:
    return rf"\fB{_escaped(text)}\fR"


def _italic(text: str) -> str:
    return rf"\fI{_escaped(text)}\fR"


def _escaped(text: str) -> str:
    """A text on one line, which roff fills, and shows as it is."""
    return _shielded(" ".join(text.split()))


def _shielded(line: str) -> str:
    """A line that roff shows as it is. A hyphen alone is no minus sign there, and a dot or a quote in front makes a request."""
    line = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    sys.stdout.buffer.write(page(make_parser()).encode())
