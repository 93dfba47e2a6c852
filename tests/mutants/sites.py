"""Which small changes of behaviour a module offers: they are found in its syntax tree, and made in its text, one at a time."""

from __future__ import annotations

import ast
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPPOSITE: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.In: ast.NotIn, ast.Is: ast.IsNot,
}  # fmt: skip
_OPPOSITE.update({after: before for before, after in [*_OPPOSITE.items()]})
_OTHER: Final[dict[type[ast.operator], ast.operator]] = {
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.BitOr: ast.BitAnd(), ast.BitAnd: ast.BitOr(),
}  # fmt: skip
_SWAPPED: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One change of a file: what stands from one place of its text to another, and what stands there instead."""

    file: str
    line: int
    last: int
    begin: int
    end: int
    before: str
    after: str

    def applied(self, source: str) -> str:
        """The file's text with the change."""
        return source[: self.begin] + self.after + source[self.end :]

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}:{self.line}: {before[:80]} → {after[:80]}"


def find_mutants(file: str, source: str) -> Iterator[Mutant]:
    """All changes of what a file's functions do. Messages, types and what the module says outside of functions stay as they are."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.splitlines()

    def place(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node, after in (pair for part in function.body for pair in _changes(part)):
                begin = place(node.lineno, node.col_offset)
                end = place(node.end_lineno or node.lineno, node.end_col_offset or 0)
                yield Mutant(file, node.lineno, node.end_lineno or node.lineno, begin, end, source[begin:end], after)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """The changes of a statement or expression, and of all in it but for functions, which have their own, and for messages."""
    if isinstance(
        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Raise | ast.Assert | ast.JoinedStr | ast.AnnAssign
    ):
        return
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield node, "pass"
        case ast.expr():
            yield from ((node, f"({ast.unparse(other)})") for other in _others(node))
        case ast.If(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield test, f"(not {ast.unparse(test)})"
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.comprehension):
            yield from ((test, "True") for test in child.ifs)
        yield from _changes(child)


def _others(node: ast.expr) -> Iterator[ast.expr]:
    """What may stand instead of an expression."""
    other = deepcopy(node)
    match other:
        case ast.Compare(ops=[op]):
            other.ops = [_OPPOSITE[type(op)]()]
        case ast.BoolOp():
            other.op = ast.And() if isinstance(other.op, ast.Or) else ast.Or()
        case ast.UnaryOp(op=ast.Not()):
            other = other.operand
        case ast.BinOp() if type(other.op) in _OTHER and not _is_text(other.left) and not _is_text(other.right):
            other.op = _OTHER[type(other.op)]
        case ast.Constant(value=bool()):
            other.value = not other.value
        case ast.Constant(value=int() as number):
            other.value = number + 1
        case ast.Call(func=ast.Name(id=name)) if name in _SWAPPED:
            other.func = ast.Name(_SWAPPED[name])
        case ast.IfExp(test=test) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            other.test = ast.UnaryOp(ast.Not(), test)
        case _:
            return
    yield other


def _is_text(node: ast.expr) -> bool:
    """Whether it is a text, or a type, which begins with a capital: `isinstance(item, Rule | Listener)`."""
    if isinstance(node, ast.Name):
        return node.id[:1].isupper()
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
