"""Prints mistakes as GitHub annotations: a workflow shows each mistake at the line that it is about.

The form is that of workflow commands (docs.github.com, "Workflow commands for GitHub Actions").
"""

import os
from collections.abc import Iterable

from alb_reconcile.cli.render.console import complain
from alb_reconcile.model.errors import Problem, ReconcileError, SpecError


def annotate(error: ReconcileError) -> None:
    """Print the error that ended a command; for a spec each problem at its place."""
    if isinstance(error, SpecError):
        annotate_problems(error.file, error.problems)
    elif _is_wanted():
        complain(f"::error title=alb-reconcile::{_text(str(error))}")


def annotate_problems(file: str, problems: Iterable[Problem]) -> None:
    """Print each problem at its line and column, as an error or a warning; nothing outside a workflow."""
    if not _is_wanted():
        return
    for item in problems:
        place = f"file={_property(file)},line={item.line},col={item.column},title={_property(item.path or 'spec')}"
        complain(f"::{'warning' if item.warning else 'error'} {place}::{_text(item.message)}")


def _is_wanted() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
