"""Two specs for one stack: they would undo each other."""

from pathlib import Path

from alb_reconcile.model.errors import Problem, SpecError
from alb_reconcile.spec.stack import Stack


def refuse_twins(stack: Stack, seen: dict[tuple[str, str | None], str]) -> None:
    """Raises SpecError for the second spec of a stack. `seen` has files by name and region, and is added to."""
    first = seen.setdefault((stack.name, stack.region), stack.file)
    if Path(first).resolve() != Path(stack.file).resolve():
        raise SpecError(
            stack.file,
            [
                Problem(
                    *stack.place,
                    "stack",
                    f'"{stack.name}" is also the stack of {first}; one stack is one file: rename or merge',
                )
            ],
        )
