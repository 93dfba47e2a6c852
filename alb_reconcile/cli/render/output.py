"""Prints a command's result, and the error that ends it, in the chosen format: text, JSON, or a format that only some commands have."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from alb_reconcile.aws.hints import NO_CREDENTIALS
from alb_reconcile.cli.render.console import complain, divert, emit, emit_document, has_document
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.errors import AwsError, ReconcileError, SpecError, UsageError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Output:
    """The choices of `--format` and `--no-color`. Only this class asks which format was chosen."""

    format: Literal["text", "json", "markdown", "html", "prometheus"]
    no_color: bool

    @property
    def style(self) -> Style:
        """The colours of messages before the result."""
        return Style.detect(no_color=self.no_color)

    def show(
        self, result: _T, text: Callable[[_T, Style], str], json: Callable[[_T], str], **others: Callable[[_T], str]
    ) -> None:
        """Write a result to standard output, in the chosen format; nothing where it is empty. `others` are further formats by their
        names."""
        forms = {"json": json, **others}
        if self.format in forms:
            emit_document(forms[self.format](result))
        elif shown := self.style.fit(text(result, self.style)):
            emit(shown)

    def remark(self, text: str) -> None:
        """Write a remark on the result; nothing with JSON, which programs read."""
        (complain if self.format == "json" else emit)(text)

    def narrate(self, *, yes: bool) -> None:
        """Prepare for much output before the result: with JSON, standard output is for the result alone, and no question is asked.

        Raises UsageError where a question is needed.
        """
        if self.format == "json":
            if not yes:
                raise UsageError("--format json asks nobody: add --yes")
            divert()


def report(error: ReconcileError, form: str) -> None:
    """Print the error that ended the command; with `--format json` as a document too, if the command has written none."""
    if form == "json" and not has_document():
        emit_document(error_json(error))
    tries = str(error).startswith(
        NO_CREDENTIALS
    )  # the user sees this at once; records are read by the operator of a long-running command
    complain(f"{error}; to try it without an account, add --sandbox" if tries else str(error))


def error_json(error: ReconcileError) -> str:
    """The documented form of an error."""
    found: dict[str, Any] = {"exit_code": int(error.exit_code), "message": str(error)}
    if isinstance(error, AwsError):
        found |= {"code": error.code, "request_id": error.request_id}
    if isinstance(error, SpecError):
        found["problems"] = [{"file": error.file, **asdict(item)} for item in error.problems]
    return json.dumps({"version": 1, "error": found}, indent=2)
