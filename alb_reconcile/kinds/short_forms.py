"""Writes plain entries in the place of a short form in a spec (ADR 17), each key with the line and column from which it comes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path, Scalar, render_path


def below(node: Node, *path: str) -> dict[str, Node]:
    """The mapping at a path; an empty one where there is none."""
    found = node
    for key in path:
        found = below(found).get(key, Node({}, 0, 0))
    return found.value if isinstance(found.value, dict) else {}


def copied(parent: Node, key: str) -> Node:
    """Replace a node below another one by a copy, and return the copy: a YAML alias puts the same node in several places."""
    there = below(parent)
    node = there[key]
    value = dict(node.value) if isinstance(node.value, dict) else node.value
    there[key] = replace(node, value=value, keys=dict(node.keys))
    return there[key]


class ShortForm:
    """A short form at a place in a spec: it adds entries, and collects the problems with them. `words` says which one it is, as in "https of
    load_balancers.public"."""

    def __init__(self, root: Node, words: str, place: tuple[int, int]) -> None:
        self.root, self.words = root, words
        self.line, self.column = place
        self.problems: list[Problem] = []

    def add(self, parent: Node, where: Path, section: str, name: str, entry: Node) -> None:
        """Add an entry to a section of `parent`, which is at the path `where`, and the section if it is missing; or report that the section
        has an entry of that name."""
        below(parent).setdefault(section, self.mapping({}))
        parent.keys.setdefault(section, (self.line, self.column))
        entries = copied(parent, section)
        if not isinstance(entries.value, dict):
            return  # the schema has refused the section
        if name in entries.value:
            path = render_path((*where, section, name))
            text = f"{self.words} makes an entry of that name; give this one another name, or write it all out without {self.words.partition(' ')[0]}"
            self.problems.append(Problem(*entries.keys[name], path, text))
            return
        entries.value[name] = entry
        entries.keys[name] = (self.line, self.column)

    def node(self, value: Scalar | list[Node]) -> Node:
        """A scalar, or a list of nodes."""
        return Node(value, self.line, self.column)

    def mapping(self, value: dict[str, Node], keys: Mapping[str, tuple[int, int]] | None = None) -> Node:
        """A mapping. Each key has the line and column of that key in `keys`, else those of the short form."""
        places = {key: (keys or {}).get(key, (self.line, self.column)) for key in value}
        return Node(value, self.line, self.column, keys=places)

    def tree(self, value: Any) -> Node:
        """Plain data as nodes."""
        if isinstance(value, dict):
            return self.mapping({key: self.tree(item) for key, item in value.items()})
        if isinstance(value, list):
            return self.node([self.tree(item) for item in value])
        return self.node(value)
