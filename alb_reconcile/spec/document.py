"""Parses YAML text into a tree of nodes that know their places, and refuses duplicates, traps and bombs on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from alb_reconcile.model.advice import advised
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path, Scalar, render_path, shorten

MAX_BYTES: Final = 1024 * 1024
MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 20
TEXT_UNIT: Final = 256
MAX_PROBLEMS: Final = 500


class DocumentError(Exception):
    """The text can't be used as YAML, for the problem that this is raised with; nothing further can be said about the text."""


def how_to_begin() -> str:
    """The advice for a user without a spec."""
    export = advised("export", ("--stack", "NAME"))
    return f"`alb-reconcile init` writes a spec to start from, `{export}` that of a stack that exists"


def parse(data: bytes, if_empty: str = "") -> tuple[Node, list[Problem]]:
    """The document's root, and the problems that don't prevent reading on. `if_empty` is the advice about an empty document, if it is no
    spec.

    Raises DocumentError if nothing can be read: not UTF-8, not YAML, empty, several documents, or over a limit.
    """
    text = _decode(data)
    composer = _Composer()
    try:
        composer.compose(yaml.parse(text, Loader=LOADER))
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        if error.context_mark and "unexpected end" in what:  # the beginning says more than the end of the file
            mark = error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _fatal(line, column, f"not valid YAML: {what}; {_advice(text, line, column)}") from None
    except yaml.reader.ReaderError as error:
        raise _fatal(*_place(text, text.find(chr(error.character))), _CONTROL_CHARACTER) from None
    if composer.root is None or composer.root.value is None:
        raise _fatal(1, 1, f"is empty; {if_empty or how_to_begin()}")
    return composer.root, composer.problems


def _advice(text: str, line: int, column: int) -> str:
    written = text.split("\n")[line - 1 : line]
    if written and written[0][column - 1 : column] == "\t":
        return "indent with spaces, not with tabs"
    if written and re.search(r"[\[{,:]\s*\$\{", written[0]):
        return "put a ${…} that stands between { } or [ ] into quotes"
    return "correct the syntax here or just above"


_CONTROL_CHARACTER: Final = "has a control character, which YAML forbids; remove it"
# libyaml if PyYAML was built with it (all its wheels are); else the same in Python
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def to_plain(node: Node) -> Any:
    """The node as plain Python data."""
    if isinstance(node.value, dict):
        return {key: to_plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [to_plain(child) for child in node.value]
    return node.value


def find(root: Node, path: Path) -> tuple[Node, tuple[int, int]]:
    """The node at a path, or its nearest ancestor, and the place to point at: the place of its key, if it has one."""
    node, place = root, (root.line, root.column)
    for part in path:
        if isinstance(node.value, dict) and isinstance(part, str) and part in node.value:
            place = node.keys[part]
            node = node.value[part]
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            place = (node.line, node.column)
        else:
            break
    return node, place


def _fatal(line: int, column: int, message: str) -> DocumentError:
    return DocumentError(Problem(line, column, "", message))


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _fatal(1, 1, f"is larger than {MAX_BYTES // 1024} KiB; split it into several stacks")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        place = _place(data[: error.start].decode(), error.start)
        raise _fatal(*place, "is not UTF-8 text; is this a YAML file? Save it as UTF-8") from None
    if control := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
        raise _fatal(*_place(text, control.start()), _CONTROL_CHARACTER)
    return text


# Plain scalars are read as YAML 1.2 reads them. Where YAML 1.1, which many tools still speak, reads something else, the meaning of a spec
# would depend on its reader: these are refused.
_TRAPS: Final = (
    (re.compile(r"(?i:yes|no|on|off|y|n)"), "is a boolean to some YAML readers and text to others; write true or false, or quote it"),
    (re.compile(r"\+[0-9]+"), "is a number, and its + would be lost; leave out the +, or quote it"),
    (re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"), "is a number in base 60 to some YAML readers; quote it"),
    (re.compile(r"[-+]?0[0-9_]+"), "begins with 0 and is octal to some YAML readers; quote it, or write the number without the 0"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"), "is a number that YAML readers disagree about; write it in decimal, or quote it"),
    (re.compile(r"[-+]?[1-9][0-9]*_[0-9_]*"), "is a number to some YAML readers and text to others; leave out the _, or quote it"),
    (re.compile(r"[-+]?\.(?i:inf|nan)"), "is not a usable number; quote it if text is meant"),
)  # fmt: skip
_TRAP: Final = re.compile("|".join(pattern.pattern for pattern, _ in _TRAPS))
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Scalar]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(slots=True)
class _Frame:
    node: Node
    anchor: str | None
    key: str | None = None
    key_place: tuple[int, int] = (0, 0)
    merges: list[tuple[Node, int, int]] = field(default_factory=list)


class _Composer:
    """Builds nodes from parser events with a stack of its own, so that depth can't exhaust Python's."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.stack: list[_Frame] = []
        self.root: Node | None = None
        self.nodes = 0

    def compose(self, events: Iterator[Any]) -> None:
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                raise _fatal(*_start(event), "a second document begins here; one file is one stack: split it")

    def _problem(self, place: tuple[int, int], message: str, *below: str) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            return
        keys = [len(frame.node.value) if isinstance(frame.node.value, list) else frame.key for frame in self.stack]
        parts = (*keys, *below)
        path = render_path(tuple(part for part in parts if part is not None))
        self.problems.append(Problem(*place, path, message))

    def _count(self, place: tuple[int, int], size: int) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise _fatal(
                *place, f"has more than {MAX_NODES:,} values (with aliases expanded); split it into several stacks"
            )

    def _scalar(self, event: Any) -> None:
        place = _start(event)
        frame = self.stack[-1] if self.stack else None
        if frame and isinstance(frame.node.value, dict) and frame.key is None:
            frame.key, frame.key_place = event.value, place
            frame.node.size += len(event.value) // TEXT_UNIT
            if not event.style:
                self._refuse_traps(event.value, place)
            return
        size = 1 + len(event.value) // TEXT_UNIT
        self._count(place, size)
        if event.style and event.tag is None:  # quoted or a block; a plain scalar has no style
            value: Scalar = event.value
        else:
            value = self._resolve(event, place)
        self._add(Node(value, *place, size=size), event.anchor)

    def _resolve(self, event: Any, place: tuple[int, int]) -> Scalar:
        text: str = event.value
        tag = self._tag(event, place, ("str", "!", "int", "bool", "null", "float"))
        if tag not in (None, "int", "bool", "null", "float"):
            return text
        if text in _WORDS:
            return _WORDS[text]
        if self._refuse_traps(text, place):
            return text
        if _INTEGER.fullmatch(text):
            if len(text) <= 18:
                return int(text)
            self._problem(place, f"{shorten(text)} is too large a number; quote it if text is meant")
        elif len(text) < 40 and _FLOAT.fullmatch(text):
            return float(text)
        return text

    def _tag(self, event: Any, place: tuple[int, int], known: tuple[str, ...]) -> str | None:
        """The tag that is written before a value, which has to be one of those known."""
        tag = event.tag.removeprefix(_TAG) if event.tag else None
        if tag is not None and tag not in known:
            self._problem(place, f"has the YAML tag {shorten(event.tag)}, which means nothing here; remove it")
        return tag

    def _refuse_traps(self, text: str, place: tuple[int, int]) -> bool:
        if len(text) >= 40 or not _TRAP.fullmatch(text):
            return False
        why = next(why for pattern, why in _TRAPS if pattern.fullmatch(text))
        self._problem(place, f"{shorten(text)} {why}")
        return True

    def _open(self, event: Any) -> None:
        place = _start(event)
        if len(self.stack) >= MAX_DEPTH:
            raise _fatal(*place, f"is nested more than {MAX_DEPTH} levels deep; no spec needs that")
        parent = self.stack[-1] if self.stack else None
        if parent and isinstance(parent.node.value, dict) and parent.key is None:
            raise _fatal(
                *place, "a key must be plain text; did you forget quotes around a value that begins with { or [?"
            )
        self._tag(event, place, ("map", "seq"))
        self._count(place, 1)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self.stack.append(_Frame(Node({} if mapping else [], *place), event.anchor))

    def _close(self) -> None:
        frame = self.stack.pop()
        self._merge(frame)
        self._add(frame.node, frame.anchor)

    def _alias(self, event: Any) -> None:
        place = _start(event)
        node = self.anchors.get(event.anchor)
        if self.stack and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None:
            raise _fatal(*place, "an alias can't be a key; write the key out")
        if node is None:
            raise _fatal(*place, f"the alias *{event.anchor} has no anchor &{event.anchor} before it; define it first")
        self._count(place, node.size)
        if len(self.stack) + node.depth > MAX_DEPTH:
            raise _fatal(*place, f"is nested more than {MAX_DEPTH} levels deep; no spec needs that")
        if not isinstance(node.value, dict | list):  # its new place may want another type, or keep variables
            node = replace(node)
        self._add(node, None)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        parent = frame.node
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif isinstance(parent.value, dict):
            key = frame.key or ""
            if key == "<<":
                frame.merges.append((node, *frame.key_place))
            elif key in parent.value:
                first = parent.keys[key][0]
                self._problem(frame.key_place, f"is given twice (first in line {first}); keep one")
            else:
                parent.value[key] = node
                parent.keys[key] = frame.key_place
            frame.key = None

    def _merge(self, frame: _Frame) -> None:
        """Carry out YAML's merge key, `<<: *defaults`. What the mapping says itself wins."""
        values, keys = frame.node.value, frame.node.keys
        for node, line, column in frame.merges:
            for source in node.value if isinstance(node.value, list) else [node]:
                if not isinstance(source.value, dict) or not isinstance(values, dict):
                    self._problem((line, column), "merges mappings; give it an alias of one", "<<")
                    frame.node.unmerged = True
                    continue
                frame.node.unmerged |= source.unmerged
                for key, child in source.value.items():
                    if key not in values:
                        values[key], keys[key] = child, source.keys[key]


def _start(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
