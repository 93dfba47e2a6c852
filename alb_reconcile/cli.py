"""The command line: parsing, and an exit code with one clear message for whatever goes wrong."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from alb_reconcile import __version__
from alb_reconcile.errors import ExitCode, ReconcileError
from alb_reconcile.render.console import complain

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """\
exit codes:
  0 success   1 failed, in part or whole   2 changes pending   3 invalid spec   4 refused
  5 held by another run   64 usage   130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


class _Assignment(argparse.Action):
    """`--set NAME=VALUE`, as often as wanted, into a dict."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        _: str | None = None,
    ) -> None:
        name, equals, value = str(values).partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            parser.error(f"--set wants NAME=VALUE, not {values!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: value})


def _common() -> _Parser:
    common = _Parser(add_help=False)
    group = common.add_argument_group("common options")
    group.add_argument("--profile", help="the AWS profile; else AWS_PROFILE")
    group.add_argument("--region", help="the region of a spec that names none")
    group.add_argument("--endpoint-url", help="where AWS's API is asked; else AWS_ENDPOINT_URL")
    group.add_argument(
        "--set",
        action=_Assignment,
        default={},
        metavar="NAME=VALUE",
        help="a variable of the spec, before the environment",
    )
    group.add_argument(
        "--max-workers", type=_positive, default=8, metavar="N", help="how many calls run at once (default 8)"
    )
    group.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice, each call")
    group.add_argument("--no-color", action="store_true", help="no colours; NO_COLOR does the same")
    return common


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 64")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(
        prog="alb-reconcile",
        description="An HTTP service behind an AWS Application Load Balancer, from one YAML file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"alb-reconcile {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    common = _common()

    def add(name: str, run: str, text: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=text[:1].upper() + text[1:] + ".", parents=[common]
        )
        command.set_defaults(run=run)
        return command

    command = add("validate", "authoring.validate", "check specs without asking AWS anything")
    command.add_argument("specs", nargs="+", metavar="SPEC")
    add("schema", "authoring.print_schema", "print the JSON Schema, for editors")
    command = add("init", "authoring.init", "write a commented spec to start from")
    command.add_argument(
        "file",
        nargs="?",
        default="stack.yaml",
        metavar="FILE",
        help="default stack.yaml; - is standard output",
    )
    command = add("explain", "authoring.explain", "say what a kind or one of its keys means")
    command.add_argument("topic", nargs="?", metavar="KIND[.KEY]")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    try:
        args = make_parser().parse_args(argv)
    except SystemExit as stop:  # argparse's way to end, for --help as well as for mistakes
        return int(stop.code or 0)
    module, _, function = args.run.partition(".")
    try:
        command = getattr(importlib.import_module(f"alb_reconcile.commands.{module}"), function)
        return int(command(args))
    except ReconcileError as error:
        complain(str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        return int(ExitCode.INTERRUPTED)
