"""What of a document fits the schema, with its places: what checks look at even while errors remain elsewhere."""

import ipaddress
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path as FilePath
from typing import Any, Final, NamedTuple

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.resource import field_names
from alb_reconcile.spec.document import MAX_PROBLEMS, Node, Path, find, printable, render_path, to_plain
from alb_reconcile.spec.schema import SECTIONS, resolved

Entry = dict[str, Any]
MAX_MESSAGE: Final = 500


class Reference(NamedTuple):
    """A reference in the document: where it stands, to which kind, and its text."""

    path: Path
    kind: str
    target: str


class Listener(NamedTuple):
    """A listener or a rule in the document, with the name of its load balancer."""

    load_balancer: str
    path: Path
    entry: Entry


class Outline:
    """The usable part of a document. What the schema refused (`invalid`) is missing here, or None in a list."""

    def __init__(self, root: Node, invalid: Iterable[Path], folder: FilePath, region: str | None) -> None:
        self.root = root
        self.folder = folder
        self.data: dict[str, Any] = to_plain(root)
        self.problems: list[Problem] = []
        for path in invalid:
            _prune(self.data, path)
        self.region: str | None = self.data.get("region") or region
        self._entries: dict[str, dict[str, Entry]] = {}
        self._reported = {True: 0, False: 0}

    def error(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a mistake at a path's value, or at its key."""
        self._report(path, message, at_key, warning=False)

    def warn(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a risk."""
        self._report(path, message, at_key, warning=True)

    def _report(self, path: Path, message: str, at_key: bool, *, warning: bool) -> None:
        self._reported[warning] += 1
        if self._reported[warning] > MAX_PROBLEMS:
            return
        if len(message) > MAX_MESSAGE:  # a name that was refused, and may be as long as the file
            message = f"{message[:MAX_MESSAGE]}…"
        node, place = find(self.root, path)
        line, column = place if at_key else (node.line, node.column)
        self.problems.append(Problem(line, column, render_path(path), printable(message), warning))

    def entries(self, section: str) -> dict[str, Entry]:
        """A section's entries by name."""
        if section not in self._entries:
            self._entries[section] = dict(_mappings(self.data.get(section)))
        return self._entries[section]

    @cached_property
    def listeners(self) -> list[Listener]:
        """All listeners, with their paths."""
        return [
            Listener(name, ("load_balancers", name, "listeners", key), listener)
            for name, entry in self.entries("load_balancers").items()
            for key, listener in _mappings(entry.get("listeners"))
        ]

    @cached_property
    def rules(self) -> list[Listener]:
        """All rules, with their paths."""
        return [
            Listener(item.load_balancer, (*item.path, "rules", key), rule)
            for item in self.listeners
            for key, rule in _mappings(item.entry.get("rules"))
        ]

    @cached_property
    def actions(self) -> list[Listener]:
        """All actions of listeners and rules, with the paths of the actions."""
        result: list[Listener] = []
        for listener in self.listeners:
            found: list[tuple[Path, Any]] = [((*listener.path, "default_action"), listener.entry.get("default_action"))]
            for key, rule in _mappings(listener.entry.get("rules")):
                found.append(((*listener.path, "rules", key, "action"), rule.get("action")))
            result += [
                Listener(listener.load_balancer, path, action) for path, action in found if isinstance(action, dict)
            ]
        return result

    @cached_property
    def references(self) -> list[Reference]:
        """Everything in the document that refers to an entry or to a literal id."""
        return list(_references(resolved("stack"), self.data, ()))

    def forwards(self) -> Iterator[tuple[str, Path, str]]:
        """Each (load balancer, path, target group) that a listener or rule forwards to."""
        for action in self.actions:
            forward = action.entry.get("forward")
            if isinstance(forward, str):
                yield action.load_balancer, (*action.path, "forward"), forward
            elif isinstance(forward, dict):
                for index, item in enumerate(forward.get("target_groups") or ()):
                    if isinstance(item, dict) and isinstance(item.get("target_group"), str):
                        path = (*action.path, "forward", "target_groups", index, "target_group")
                        yield action.load_balancer, path, item["target_group"]

    def vpc_of(self, section: str, name: str) -> str | None:
        """The name or id of an entry's VPC, also where it is implied; None where it can't be known here."""
        entry = self.entries(section).get(name)
        if entry is None:
            return None
        fields = field_names(load_kinds()[SECTIONS[section]].properties)
        if "vpc" not in fields and "subnets" in fields:
            vpcs = {self.vpc_of("subnets", subnet) for subnet in entry.get("subnets") or () if isinstance(subnet, str)}
            return vpcs.pop() if len(vpcs) == 1 else None
        vpc = entry.get("vpc")
        if isinstance(vpc, str):
            return vpc if is_aws_id(vpc) or vpc in self.entries("vpcs") else None
        own = self.entries("vpcs")
        return next(iter(own)) if len(own) == 1 and "vpc" not in self.given((section, name)) else None

    def given(self, path: Path) -> dict[str, Node]:
        """The keys of a mapping as it is written, those that the schema refused included."""
        node, _ = find(self.root, path)
        return node.value if isinstance(node.value, dict) else {}

    def zone_of(self, subnet: str) -> str | None:
        """The zone of a subnet in the document: its whole name if the region is known."""
        zone = self.entries("subnets").get(subnet, {}).get("availability_zone")
        return f"{self.region}{zone}" if zone and self.region and len(zone) == 1 else zone

    def network_of(self, section: str, name: str) -> ipaddress.IPv4Network | None:
        """The addresses of a VPC or subnet in the document, if they are valid."""
        return network(self.entries(section).get(name, {}).get("cidr_block"))

    @staticmethod
    def own(names: Any) -> list[str]:
        """Of a list of references, those that name entries."""
        return [name for name in names or () if isinstance(name, str) and not is_aws_id(name)]


@cache
def network(text: object) -> ipaddress.IPv4Network | None:
    """An IPv4 range without host bits, or None."""
    try:
        return ipaddress.IPv4Network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _mappings(value: object) -> list[tuple[str, Entry]]:
    return [(key, item) for key, item in value.items() if isinstance(item, dict)] if isinstance(value, dict) else []


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
        is_entry = len(path) in (2, 4, 6) and path[-2] in SECTIONS
        if is_entry:
            data[last] = data[last] if isinstance(data[last], dict) else {}
        else:
            del data[last]


def _references(schema: dict[str, Any], value: Any, path: Path) -> Iterator[Reference]:
    if isinstance(value, str):
        if "x-refers" in schema:
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
