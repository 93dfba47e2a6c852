"""Holds the part of a document that fits the schema, with its places: checks look at it even while errors remain elsewhere."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Final

from alb_reconcile.kinds import load_kinds, sections_of
from alb_reconcile.kinds.base import Entry, Part, Reference, T
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path, render_path
from alb_reconcile.model.text import printable
from alb_reconcile.spec.document import MAX_PROBLEMS, find, to_plain
from alb_reconcile.spec.schema import SECTIONS, resolved
from alb_reconcile.spec.variables import Filled

MAX_MESSAGE: Final = 500


class Outline:
    """The usable part of a document: what `kinds.base.Around` tells kinds of it, and more. `invalid` are the paths that the schema
    refused."""

    def __init__(
        self, root: Node, invalid: Iterable[Path], filled: Filled, folder: FilePath, region: str | None
    ) -> None:
        self.root, self.filled, problems = root, filled, filled.problems
        self.folder = folder
        self.data: dict[str, Any] = to_plain(root)
        self.problems = problems
        for path in invalid:
            _prune(self.data, path)
        self.region: str | None = self.data.get("region") or region
        self._entries = {
            section: {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
            for section, entries in self.data.items()
            if isinstance(entries, dict)
        }
        self._reported: Counter[bool] = Counter()
        self._kept: dict[tuple[object, ...], Any] = {}
        self._wrong: tuple[int, Collection[str]] = (-1, ())

    @property
    def stack(self) -> str:
        return str(self.data.get("stack", ""))

    def variables_of(self, path: Path) -> Mapping[str, str]:
        return self.filled.given.get(path, {})

    def template(self, path: Path) -> str:
        node, _ = find(self.root, path)
        return node.template or str(node.value)

    @property
    def is_sound(self) -> bool:
        return all(problem.warning for problem in self.problems)

    def is_wrong(self, path: Path) -> bool:
        if self._wrong[0] != len(self.problems):
            paths = [item.path for item in self.problems if not item.warning]
            above = {text[: mark.start()] for text in paths for mark in re.finditer(r"[.\[]", text)}
            self._wrong = len(self.problems), above.union(paths)
        return render_path(path) in self._wrong[1]

    def places(self, path: Path, file: str) -> dict[str, str]:
        """Where an entry and its keys stand, down to the keys of mappings in its mappings, by their paths below the entry."""
        node, place = find(self.root, path)
        found = {"": place}
        for key, (line, column) in node.keys.items():
            found[key] = line, column
            below = find(node, (key,))[0]
            for name, position in below.keys.items():
                found[f"{key}.{name}"] = position
                found |= {f"{key}.{name}.{last}": at for last, at in find(below, (name,))[0].keys.items()}
        return {
            name: Problem(*at, render_path((*path, *filter(None, name.split(".")))), "").render(file).removesuffix(": ")
            for name, at in found.items()
        }

    def error(self, path: Path, message: str, *, at_key: bool = False, warning: bool = False) -> None:
        above = find(self.root, path[:-1])[0]
        if above.unmerged and isinstance(above.value, dict) and not {*path[-1:]} <= above.value.keys():
            return  # `<<` may have been meant to give it
        self._reported[warning] += 1
        if self._reported[warning] > MAX_PROBLEMS:
            return
        if len(message) > MAX_MESSAGE:  # a name that was refused, and may be as long as the file
            message = f"{message[:MAX_MESSAGE]}…"
        node, place = find(self.root, path)
        line, column = place if at_key else (node.line, node.column)
        self.problems.append(Problem(line, column, render_path(path), printable(message), warning))

    def warn(self, path: Path, message: str, *, at_key: bool = False) -> None:
        self.error(path, message, at_key=at_key, warning=True)

    def is_misnamed(self, section: str) -> bool:
        keys = self.root.keys
        if section in keys:
            return not isinstance(self.data.get(section), dict)
        unknown = [key[:80] for key in keys if key not in resolved("stack")["properties"]]
        return bool(get_close_matches(section, unknown[:50], 1, 0.6))

    def entries(self, section: str) -> dict[str, Entry]:
        return self._entries.get(section, {})

    def mappings(self, *pattern: Part) -> list[tuple[Path, Entry]]:
        return [(path, value) for path, value in self._fitting(pattern) if isinstance(value, dict)]

    def texts(self, *pattern: Part) -> list[tuple[Path, str]]:
        return [(path, value) for path, value in self._fitting(pattern) if isinstance(value, str)]

    def _fitting(self, pattern: Iterable[Part]) -> list[tuple[Path, Any]]:
        found: list[tuple[Path, Any]] = [((), self.data)]
        for part in pattern:
            found = [((*path, key), item) for path, value in found for key, item in _below(value, part)]
        return found

    def all_of(self, kind: str) -> list[tuple[Path, Entry]]:
        return self.kept(_find_all, kind)

    def kept(self, find: Callable[..., T], *of: str | None) -> T:
        if (find, *of) not in self._kept:
            self._kept[find, *of] = find(self, *of)
        found: T = self._kept[find, *of]
        return found

    def schema(self, kind: str) -> Mapping[str, Any]:
        return resolved(kind)

    @cached_property
    def named(self) -> list[tuple[Path, Entry]]:
        """All entries that have names of their own, including those that nest in other entries."""
        return [item for kind in SECTIONS.values() for item in self.all_of(kind)]

    @cached_property
    def references(self) -> list[Reference]:
        return list(_references(resolved("stack"), self.data, ()))

    def given(self, path: Path) -> dict[str, Node]:
        node, _ = find(self.root, path)
        return node.value if isinstance(node.value, dict) else {}


def _find_all(outline: Outline, kind: str) -> list[tuple[Path, Entry]]:
    return outline.mappings(*(part for section in sections_of(load_kinds()[kind]) for part in (section, ...)))


def _below(value: Any, part: Part) -> Iterable[tuple[str | int, Any]]:
    """The items of a mapping or list that a part of a pattern stands for."""
    items = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    return items.items() if part is ... else [(part, items[part])] if part in items else ()


def _prune(data: Any, path: Path) -> None:
    """Take out what the schema refused; a refused entry stays as an empty one, so that references to it hold."""
    *parents, last = path or (None,)
    for part in parents:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(data, list) and isinstance(last, int) and last < len(data):
        data[last] = None
    elif isinstance(data, dict) and last in data:
        if len(path) not in (2, 4, 6) or path[-2] not in SECTIONS:
            del data[last]
        elif not isinstance(data[last], dict):
            data[last] = {}


def _references(schema: dict[str, Any], value: Any, path: Path) -> Iterator[Reference]:
    if isinstance(value, str):
        if "x-refers" in schema and not re.fullmatch(schema.get("x-literals", "(?!)"), value):
            yield Reference(path, schema["x-refers"], value)
    elif isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, item in value.items():
            below = properties.get(key, others)
            if isinstance(below, dict):
                yield from _references(below, item, (*path, key))
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _references(schema["items"], item, (*path, index))
