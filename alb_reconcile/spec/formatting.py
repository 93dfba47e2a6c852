"""Formats specs as text: writes them from plain data, and lays existing ones out again with their comments."""

import io
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import yaml

from alb_reconcile.model.errors import Problem, RefusedError, SpecError
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.text import printable
from alb_reconcile.spec.document import LOADER, DocumentError, parse, to_plain
from alb_reconcile.spec.schema import SECTIONS

_WIDTH: Final = 120
_LONGEST_FLOW: Final = 100
_DEEPEST_FLOW: Final = 2
_MISPLACED: Final = "can't be laid out with a comment here; put it on a line of its own right above a key"


def dump(data: Mapping[str, Any], remarks: Mapping[Path, list[str]], header: Iterable[str] = ()) -> str:
    """A spec as text, with comments: `header` above everything, `remarks` by the paths of the entries that they stand before.

    Reading the text gives `data` again, whatever texts are in it. Raises AssertionError if it didn't, RefusedError for more than a spec can
    hold.
    """
    root = build(data, (), frozenset(remarks))
    for path, texts in remarks.items():
        holder = root
        for part in path[:-1]:
            holder = holder[part]
        indent = 2 * (len(path) - 1)
        holder.yaml_set_comment_before_after_key(
            path[-1], before="\n".join(line for text in texts for line in _wrapped(text, indent)), indent=indent
        )
    for key in list(root)[1:]:
        if isinstance(data[key], dict) and _is_block(data[key]):
            root.yaml_set_comment_before_after_key(key, before="\n")
    head = "".join(f"# {printable(line)}\n" for line in header)
    text = head + "".join(line if line.strip() else "\n" for line in dumped(root).splitlines(keepends=True))
    # characters that a terminal would obey, or that can't be seen, are in quotes
    text = "".join(char if char.isprintable() or char == "\n" else f"\\U{ord(char):08x}" for char in text)
    if _read(text) != escaped(data):
        raise AssertionError("a spec was written that reads otherwise")
    return text


def _read(text: str) -> Any:
    try:
        root, problems = parse(text.encode())
    except DocumentError as error:
        raise RefusedError(
            f"one spec can't hold all of that: it {error.args[0].message}; ask for less at once"
        ) from None
    if problems:
        raise AssertionError(f"a spec was written that can't be read: {problems[0].message}")
    return to_plain(root)


def escaped(value: Any) -> Any:
    """The value, in which what looks like a variable stays the text that it is."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(printable(text), _WIDTH - 2 - indent, break_on_hyphens=False, break_long_words=False) or [""]


def _is_block(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(item, dict) for item in value.values())


def build(value: Any, path: Path, spoken: frozenset[Path]) -> Any:
    """The tree that ruamel.yaml writes: short values on one line."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, str):
        return _scalar(value.replace("${", "$${"))
    if not isinstance(value, dict | list):
        return value
    has_remarks = any(other[: len(path)] == path and len(other) > len(path) for other in spoken)
    found: Any
    if isinstance(value, dict):
        found = CommentedMap((_scalar(key), build(item, (*path, key), spoken)) for key, item in value.items())
    else:
        found = CommentedSeq(build(item, (*path, index), spoken) for index, item in enumerate(value))
    is_section = isinstance(value, dict) and bool(path) and path[-1] in SECTIONS
    lists_mappings = _lists_mappings(value)
    fits = len(path) * 2 + len(str(value)) <= _LONGEST_FLOW and _depth(value) <= _DEEPEST_FLOW
    holds_section = isinstance(value, dict) and any(key in SECTIONS and isinstance(value[key], dict) for key in value)
    if path and fits and not (is_section or holds_section or lists_mappings or has_remarks):
        found.fa.set_flow_style()
    else:
        found.fa.set_block_style()
    return found


def _lists_mappings(value: Any) -> bool:
    """Whether a value contains a list of mappings, each of which gets a line."""
    if isinstance(value, list):
        return any(isinstance(item, dict) for item in value)
    return isinstance(value, dict) and any(map(_lists_mappings, value.values()))


def _depth(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((_depth(item) + 1 for item in below if isinstance(item, dict | list)), default=0)


def _scalar(text: str) -> Any:
    """A text, in quotes if some reader of YAML would take it for something else."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if text.isprintable() and text.strip() == text and text:
        with suppress(DocumentError):
            root, problems = parse(f"[{text}]\n".encode())
            if not problems and to_plain(root) == [text]:
                return text
    return DoubleQuotedScalarString(text)


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    found = YAML()
    found.preserve_quotes = True
    found.width = 1_000_000
    found.brace_single_entry_mapping_in_flow_sequence = True
    found.indent(mapping=2, sequence=4, offset=2)
    return found


def dumped(root: Any) -> str:
    stream = io.StringIO()
    _round_trip().dump(root, stream)
    return stream.getvalue()


# -- laid out again


def reformat(data: bytes, file: str) -> str:
    """A spec with the usual indentation and spaces, its comments, and the same meaning.

    Raises SpecError, also if ruamel.yaml would lose or move a comment: below a key and above its text, within brackets, behind an alias.
    """
    before = meaning(data, file)
    text = data.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n")
    root = _loaded(text, file)
    _shorten(root, 0)
    laid_out = dumped(root)
    if not _same(laid_out, before, file):
        return text
    tidy = _tidy(laid_out)
    found = tidy if _same(tidy, before, file) else laid_out
    if problems := list(_lost(text, found)):
        raise SpecError(file, problems)
    return found


def meaning(data: bytes, file: str) -> Any:
    try:
        root, problems = parse(data)
    except DocumentError as error:
        raise SpecError(file, error.args) from None
    if problems:
        raise SpecError(file, problems)
    return to_plain(root)


def _loaded(text: str, file: str) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        return _round_trip().load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = str(getattr(error, "problem", None) or "it can't be read")
        raise SpecError(
            file, [Problem(place[0], place[1], "", f"can't be laid out: {printable(what)}; correct it by hand")]
        ) from None
    except NotImplementedError as error:  # two comments at one place, which the error tells only in its text
        found = re.search(r"line: (\d+), col: (\d+)", str(error))
        place = (int(found[1]) + 1, int(found[2]) + 1) if found else (1, 1)
        raise SpecError(file, [Problem(*place, "", _MISPLACED)]) from None


def _lost(before: str, after: str) -> Iterator[Problem]:
    """The comments that a new layout has lost or moved."""
    kept = Counter(comment for comment, _ in _comments(after))
    for comment, start in _comments(before):
        kept[comment] -= 1
        if kept[comment] < 0:
            lines = before[:start].split("\n")
            yield Problem(len(lines), len(lines[-1]) + 1, "", _MISPLACED)


def _comments(text: str) -> Iterator[tuple[tuple[str, bool, int], int]]:
    """The comments of a text: each with whether it is on a line of its own, after how many keys and values it stands, and where it
    begins."""
    end, values = 0, 0
    for token in yaml.scan(text, Loader=LOADER):
        is_value = isinstance(token, yaml.ScalarToken | yaml.AliasToken)
        for found in re.compile("#.*").finditer(text, end, token.start_mark.index):
            is_alone = not text[text.rfind("\n", 0, found.start()) + 1 : found.start()].strip()
            # a comment between a key and its text may come to stand after both
            yield (found[0].rstrip(), is_alone, values + (is_value and not is_alone)), found.start()
        end, values = token.end_mark.index, values + is_value


def _same(text: str, before: Any, file: str) -> bool:
    try:
        return bool(meaning(text.encode(), file) == before)
    except SpecError:
        return False


def _shorten(node: Any, indent: int) -> None:
    """Write mappings and lists that are longer than a line on several lines."""
    if not hasattr(node, "fa"):
        return
    if node.fa.flow_style() and indent + _width(node) > _WIDTH:
        node.fa.set_block_style()
    pairs = node.items() if hasattr(node, "items") else (("", item) for item in node)
    for key, item in pairs:
        _shorten(item, indent + len(str(key)) + 2 if getattr(item, "fa", None) and item.fa.flow_style() else indent + 2)


def _width(node: Any) -> int:
    """The length of a node on one line."""
    if hasattr(node, "items"):
        return sum(len(str(key)) + 4 + _width(item) for key, item in node.items())
    if isinstance(node, list):
        return sum(_width(item) + 2 for item in node)
    return len(str(node)) + 2 * hasattr(node, "yaml_anchor")


def _tidy(text: str) -> str:
    """The text without blanks at the ends of lines, and without two empty lines in a row, except within texts of several lines."""
    kept: set[int] = set()
    for event in yaml.parse(text, Loader=LOADER):
        start, end = event.start_mark, event.end_mark
        if isinstance(event, yaml.ScalarEvent) and start and end and start.line != end.line:
            kept.update(range(start.line, end.line))
    lines: list[str] = []
    for number, line in enumerate(text.split("\n")):
        tidied = line if number in kept else line.rstrip()
        if tidied or number in kept or (lines and lines[-1]):
            lines.append(tidied)
    return "\n".join(lines).strip("\n") + "\n"
