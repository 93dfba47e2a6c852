"""The option `--version`: prints the version, and the commit that the package was built from."""

import argparse
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from alb_reconcile.cli.render.console import emit
from alb_reconcile.journal.revision import head_of
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.model.version import __version__


class Version(argparse.Action):
    """An option that prints the version and ends the process."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, **options | {"nargs": 0, "default": argparse.SUPPRESS})

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        commit = built_from() or checked_out(Path(__file__).parents[3])
        emit(f"alb-reconcile {__version__}" + (f" ({commit})" if commit else ""))
        parser.exit(ExitCode.OK)


def built_from() -> str:
    """The commit that hatch_build.py wrote into the package; empty in a checkout."""
    file = resources.files("alb_reconcile") / "commit.txt"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def checked_out(folder: Path) -> str:
    """The commit of a checkout, read from Git's own files; empty where they don't say it."""
    return head_of(folder)[:12]
