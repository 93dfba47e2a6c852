"""Changes values in a spec's text in place: all other text, comments and spaces included, stays as it is written."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from alb_reconcile.model.errors import SpecError
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.document import LOADER
from alb_reconcile.spec.formatting import build, dumped, escaped, meaning


def edited(data: bytes, file: str, changes: Mapping[Path, Any]) -> str:
    """The text of a spec with other values at some paths of keys; None takes a key out. Raises SpecError.

    A value that an alias shares, or that can't be changed in its place for another reason, stays as it is.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").decode()
    for path, value in changes.items():
        before = meaning(text.encode(), file)
        wanted = _changed(before, path, value)
        if wanted == before:
            continue
        tried = _edit(text, path, value)
        if tried is not None and _reads_as(tried, file, wanted):
            text = tried
    return text


def _reads_as(text: str, file: str, wanted: Any) -> bool:
    try:
        return bool(meaning(text.encode(), file) == wanted)
    except SpecError:
        return False


def _changed(data: Any, path: Path, value: Any) -> Any:
    found = copy.deepcopy(data)
    place = found
    for part in path[:-1]:
        if value is None and not isinstance(place.get(part), dict):
            return found
        place = place.setdefault(part, {})
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = escaped(value)
    return found


@dataclass(frozen=True)
class _Lines:
    """A text with places that are given by line and column."""

    text: str

    def offset(self, mark: Any) -> int:
        lines = self.text.splitlines(keepends=True)
        return sum(map(len, lines[: mark.line])) + int(mark.column)


def _edit(text: str, path: Path, value: Any) -> str | None:
    """The text with another value at a path; None if there is no such place."""
    node = yaml.compose(text, Loader=LOADER)
    for depth, part in enumerate(path):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        pair = next((item for item in pairs if item[0].value == part), None)
        if pair is None:
            for rest in reversed(path[depth + 1 :]):
                value = {rest: value}
            return _insert(text, node, str(part), value) if isinstance(node, yaml.MappingNode) and pairs else None
        if depth == len(path) - 1:
            return _remove(text, node, pair) if value is None else _replace(text, pair[1], value)
        node = pair[1]
    return None


def _end(text: _Lines, node: Any) -> int:
    """Where a node's text ends: a block ends with the last thing in it, not with what follows."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return text.offset(node.end_mark)


def _replace(text: str, node: Any, value: Any) -> str:
    lines = _Lines(text)
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    start, column = lines.offset(node.start_mark), node.start_mark.column
    return text[:start] + _rendered(value, column, block=is_block) + text[_end(lines, node) :]


def _insert(text: str, node: Any, key: str, value: Any) -> str:
    """The text with a further key after the last key of a node."""
    lines = _Lines(text)
    last_key, last = node.value[-1]
    end = _end(lines, last)
    if node.flow_style:
        return f"{text[:end]}, {_rendered({key: value}, 0, block=False)[1:-1]}{text[end:]}"
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end
    column = last_key.start_mark.column
    return f"{text[:line_end]}\n{' ' * column}{_rendered({key: value}, column, block=True)}{text[line_end:]}"


def _remove(text: str, node: Any, pair: Any) -> str:
    lines = _Lines(text)
    index = node.value.index(pair)
    start, end = lines.offset(pair[0].start_mark), _end(lines, pair[1])
    if node.flow_style:
        if index + 1 < len(node.value):
            end = lines.offset(node.value[index + 1][0].start_mark)
        elif index:
            start = _end(lines, node.value[index - 1][1])
        return text[:start] + text[end:]
    line_end = text.find("\n", end)
    return text[: start - pair[0].start_mark.column] + (text[line_end + 1 :] if line_end >= 0 else "")


def _rendered(value: Any, column: int, *, block: bool) -> str:
    """A value as it is written at a column; on one line, unless it is in a block."""
    if not isinstance(value, dict | list):
        tree = build([value], (), frozenset())
        _flow(tree)
        return dumped(tree).strip()[1:-1]
    tree = build(value, (), frozenset())
    if block and value:
        tree.fa.set_block_style()
    else:
        _flow(tree)
    rendered = dumped(tree)
    if isinstance(value, list) and block and value:  # at the column that is given, not further in
        rendered = "".join(line.removeprefix("  ") for line in rendered.splitlines(keepends=True))
    return rendered.strip("\n").replace("\n", "\n" + " " * column)


def _flow(tree: Any) -> None:
    if hasattr(tree, "fa"):
        tree.fa.set_flow_style()
        for item in tree.values() if hasattr(tree, "values") else tree:
            _flow(item)
