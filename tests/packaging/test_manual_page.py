"""The manual page that wheels have, made from the command line's parser."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.options.parser import make_parser
from scripts.manual_page import page

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from commands(command)


def read(roff: str) -> str:
    """A page's text, with all white space as one space."""
    text = re.sub(r"^\\.(?:SH|SS) ", "\n", roff, flags=re.MULTILINE)
    text = re.sub(r"^\\.\\w+.*\n", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"\\f[BIR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\").split())


def test_it_says_each_command_and_option_with_its_help() -> None:
    made = page(make_parser())
    found = [*commands(make_parser())]
    assert len(found) > 30
    for command in found:
        head = f"\n.SS {command.prog}\n" if command.prog != "alb-reconcile" else ".SH SYNOPSIS\n"
        section = made.replace("\\-", "-").partition(head)[2].partition("\n.SS ")[0]
        assert section, command.prog
        formatter = command._get_formatter()
        for action in command._actions:
            if (
                isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
                or action.help is argparse.SUPPRESS
            ):
                continue
            names = action.option_strings or [str(action.metavar or action.dest)]
            assert [name for name in names if f"\\fB{name}\\fR" not in section] == [], command.prog
            told = " ".join(formatter._expand_help(action).split()) if action.help else ""
            assert told in read(section), command.prog


def test_roff_understands_it() -> None:
    if not (groff := shutil.which("groff")):
        pytest.skip("there is no groff")
    command = [groff, "-man", "-ww", "-z", "-Kutf8", "-Tutf8"]
    done = subprocess.run(command, input=page(make_parser()), capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == ""


def test_lines_that_roff_would_obey_are_shielded() -> None:
    parser = argparse.ArgumentParser(
        prog="a-b", description=".so /etc/passwd", epilog="codes:\n.x\n'y\\z", add_help=False
    )
    parser.add_argument("--what", help=".br is \\e")
    lines = page(parser).splitlines()
    assert lines[lines.index(".TP") + 1 :] == [
        "\\fB\\-\\-what\\fR \\fIWHAT\\fR", "\\&.br is \\ee", ".SH COMMANDS", ".SH EXIT STATUS", ".nf", "\\&.x", "\\&'y\\ez", ".fi",
    ]  # fmt: skip


def test_the_installation_has_it() -> None:
    """This one as well as a wheel."""
    (place,) = (file for file in files("alb-reconcile") or () if file.name == "alb-reconcile.1")
    assert place.parts[-4:] == ("share", "man", "man1", "alb-reconcile.1")
    assert Path(str(place.locate())).read_text(encoding="utf-8").startswith(".TH ALB\\-RECONCILE 1 ")
