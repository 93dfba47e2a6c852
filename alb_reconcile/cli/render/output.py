"""The form of a command's result: text, JSON, or one of those that only some commands have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.style import Style

_T = TypeVar("_T")


@dataclass(frozen=True)
class Output:
    """What `--format` and `--no-color` choose. Nobody else asks which format it is."""

    format: Literal["text", "json", "markdown", "html", "svg", "mermaid"]
    no_color: bool

    def show(
        self, result: _T, text: Callable[[_T, Style], str], json: Callable[[_T], str], **others: Callable[[_T], str]
    ) -> None:
        """Write a result to standard output, in the form that was chosen; nothing where that is empty. `others` are further
        forms by their names."""
        forms = {"json": json, **others}
        shown = (
            forms[self.format](result) if self.format in forms else text(result, Style.detect(no_color=self.no_color))
        )
        if shown:
            emit(shown)

    def remark(self, text: str) -> None:
        """Write a line beside the result: not among JSON, which programs read."""
        (complain if self.format == "json" else emit)(text)
