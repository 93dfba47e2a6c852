"""The form of a command's result: text or JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.style import Style

_T = TypeVar("_T")


@dataclass(frozen=True)
class Output:
    """What `--format` and `--no-color` choose. Nobody else asks which format it is."""

    format: Literal["text", "json"]
    no_color: bool

    def show(self, result: _T, text: Callable[[_T, Style], str], json: Callable[[_T], str]) -> None:
        """Write a result to standard output, in the form that was chosen; nothing where that is empty."""
        style = Style.detect(no_color=self.no_color)
        shown = json(result) if self.format == "json" else style.fit(text(result, style))
        if shown:
            emit(shown)

    def remark(self, text: str) -> None:
        """Write a line beside the result: not among JSON, which programs read."""
        (complain if self.format == "json" else emit)(text)
