"""What of a document fits the schema, with its places: what checks look at even while errors remain elsewhere."""

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path as FilePath
from types import EllipsisType
from typing import Any, Final, NamedTuple

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.nodes import Node, Path, render_path
from alb_reconcile.model.resource import field_names
from alb_reconcile.model.text import printable
from alb_reconcile.spec.document import MAX_PROBLEMS, find, to_plain
from alb_reconcile.spec.schema import SECTIONS, resolved

Part = str | int | EllipsisType
MAX_MESSAGE: Final = 500


class Reference(NamedTuple):
    """A reference in the document: where it stands, to which kind, and its text."""

    path: Path
    kind: str
    target: str


class Outline:
    """The usable part of a document. What the schema refused (`invalid`) is missing here, or None in a list."""

    def __init__(
        self, root: Node, invalid: Iterable[Path], problems: list[Problem], folder: FilePath, region: str | None
    ) -> None:
        self.root = root
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
        self._by_vpc: dict[str, Mapping[str | None, list[str]]] = {}
        self._given_ranges: Mapping[str, tuple[str, ...]] | None = None
        self._wrong: tuple[int, Collection[str]] = (-1, ())

    @property
    def stack(self) -> str:
        """The stack's name."""
        return str(self.data["stack"])

    @property
    def is_sound(self) -> bool:
        """Whether no mistake has been found until now: what is read then is whole."""
        return all(problem.warning for problem in self.problems)

    def is_wrong(self, path: Path) -> bool:
        """Whether a mistake has been found until now at a path or below it."""
        if self._wrong[0] != len(self.problems):
            paths = [item.path for item in self.problems if not item.warning]
            above = {text[: mark.start()] for text in paths for mark in re.finditer(r"[.\[]", text)}
            self._wrong = len(self.problems), above.union(paths)
        return render_path(path) in self._wrong[1]

    def places(self, path: Path, file: str) -> dict[str, str]:
        """Where an entry and its keys stand, down to the keys of its mappings of mappings, by their paths below the entry."""
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
        """Report a mistake at a path's value, or at its key."""
        above = find(self.root, path[:-1])[0]
        if above.unmerged and isinstance(above.value, dict) and not {*path[-1:]} <= above.value.keys():
            return  # it may be what `<<` was to give
        self._reported[warning] += 1
        if self._reported[warning] > MAX_PROBLEMS:
            return
        if len(message) > MAX_MESSAGE:  # a name that was refused, and may be as long as the file
            message = f"{message[:MAX_MESSAGE]}…"
        node, place = find(self.root, path)
        line, column = place if at_key else (node.line, node.column)
        self.problems.append(Problem(line, column, render_path(path), printable(message), warning))

    def warn(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a risk."""
        self.error(path, message, at_key=at_key, warning=True)

    def is_misnamed(self, section: str) -> bool:
        """Whether a section itself is wrong: refused, or there under another name. That its entries are missing follows."""
        keys = self.root.keys
        if section in keys:
            return not isinstance(self.data.get(section), dict)
        unknown = [key[:80] for key in keys if key not in resolved("stack")["properties"]]
        return bool(get_close_matches(section, unknown[:50], 1, 0.6))

    def entries(self, section: str) -> dict[str, Entry]:
        """A section's entries by name."""
        return self._entries.get(section, {})

    def mappings(self, *pattern: Part) -> list[tuple[Path, Entry]]:
        """The mappings whose paths fit a pattern, in which `...` stands for any key or index."""
        return [(path, value) for path, value in self._fitting(pattern) if isinstance(value, dict)]

    def texts(self, *pattern: Part) -> list[tuple[Path, str]]:
        """The texts whose paths fit a pattern."""
        return [(path, value) for path, value in self._fitting(pattern) if isinstance(value, str)]

    def _fitting(self, pattern: Iterable[Part]) -> list[tuple[Path, Any]]:
        found: list[tuple[Path, Any]] = [((), self.data)]
        for part in pattern:
            found = [((*path, key), item) for path, value in found for key, item in _below(value, part)]
        return found

    @cached_property
    def listeners(self) -> list[tuple[Path, Entry]]:
        """All listeners, with their paths."""
        return self.mappings("load_balancers", ..., "listeners", ...)

    @cached_property
    def rules(self) -> list[tuple[Path, Entry]]:
        """All rules, with their paths."""
        return self.mappings("load_balancers", ..., "listeners", ..., "rules", ...)

    @cached_property
    def named(self) -> list[tuple[Path, Entry]]:
        """All entries, listeners and rules: whatever has a name of its own."""
        return [item for section in SECTIONS for item in self.mappings(section, ...)] + self.listeners + self.rules

    @cached_property
    def actions(self) -> list[tuple[Path, Entry]]:
        """All actions of listeners and rules, with the paths of the actions."""
        return [
            action
            for path, _ in self.listeners
            for below in (("default_action",), ("rules", ..., "action"))
            for action in self.mappings(*path, *below)
        ]

    @cached_property
    def references(self) -> list[Reference]:
        """Everything in the document that refers to an entry or to a literal id."""
        return list(_references(resolved("stack"), self.data, ()))

    def forwards(self) -> Iterator[tuple[str, Path, str]]:
        """Each (load balancer, path, target group) that a listener or rule forwards to."""
        for action, _ in self.actions:
            for below in (), ("target_groups", ..., "target_group"):
                for path, group in self.texts(*action, "forward", *below):
                    yield str(path[1]), path, group

    def vpc_of(self, section: str, name: str) -> str | None:
        """The name or id of an entry's VPC, also where it is implied; None where it can't be known here."""
        entry = self.entries(section).get(name)
        if entry is None:
            return None
        kind = load_kinds()[SECTIONS[section]]
        fields = field_names(kind.properties)
        if not kind.is_in_vpc(entry):
            return None
        if "vpc" not in fields and "subnets" in fields:
            vpcs = self.subnet_vpcs(section, name)
            return vpcs.pop() if len(vpcs) == 1 else None
        if isinstance(subnet := entry.get("subnet"), str) and "subnet" in fields:
            return self.vpc_of("subnets", subnet)
        vpc = entry.get("vpc")
        if isinstance(vpc, str):
            return vpc if is_aws_id(vpc) or vpc in self.entries("vpcs") else None
        own = self.entries("vpcs")
        return next(iter(own)) if len(own) == 1 and "vpc" not in self.given((section, name)) else None

    def by_vpc(self, section: str) -> Mapping[str | None, list[str]]:
        """A section's entries by their VPC."""
        if section not in self._by_vpc:
            found: dict[str | None, list[str]] = defaultdict(list)
            for name in self.entries(section):
                found[self.vpc_of(section, name)].append(name)
            self._by_vpc[section] = found
        return self._by_vpc[section]

    def given_ranges(self, subnet: str) -> tuple[str, ...]:
        """The IPv4 ranges that are given to subnets of a subnet's VPC."""
        if self._given_ranges is None:
            found: dict[str, list[str]] = defaultdict(list)
            for name, entry in self.entries("subnets").items():
                if isinstance(entry.get("cidr_block"), str):
                    found[self._vpc_in_words(name)].append(entry["cidr_block"])
            self._given_ranges = {vpc: tuple(sorted(ranges)) for vpc, ranges in found.items()}
        return self._given_ranges.get(self._vpc_in_words(subnet), ())

    def _vpc_in_words(self, subnet: str) -> str:
        return str(self.vpc_of("subnets", subnet) or self.entries("subnets").get(subnet, {}).get("vpc"))

    def lacks_internet_gateway(self, vpc: str | None) -> bool:
        """Whether a VPC is the document's own, and has no internet gateway in it."""
        section = "internet_gateways"
        if vpc not in self.entries("vpcs") or self.is_misnamed(section) or self.is_wrong((section,)):
            return False
        return vpc not in {self.vpc_of(section, name) for name in self.entries(section)}

    def subnet_vpcs(self, section: str, name: str) -> set[str | None]:
        """The VPCs of the subnets that an entry names; None among them stands for those that can't be known here."""
        subnets = {subnet for _, subnet in self.texts(section, name, "subnets", ...)}
        vpcs = {self.vpc_of("subnets", subnet) for subnet in subnets}
        return {None if isinstance(vpc, Lookup) else vpc for vpc in vpcs}

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

    def ranges_of(self, vpc: str) -> list[ipaddress.IPv4Network]:
        """The IPv4 ranges of a VPC in the document, as far as they are valid; none where it may have others."""
        entry = self.entries("vpcs").get(vpc, {})
        given = [entry.get("cidr_block"), *(entry.get("secondary_cidr_blocks") or ())]
        if entry.get("ipv4_ipam_pool_id") or not all(isinstance(item, str) for item in given):
            return []  # a pool chooses one
        return [item for text in given if (item := network(text))]


@cache
def network(text: object) -> ipaddress.IPv4Network | None:
    """An IPv4 range without host bits, or None."""
    try:
        return ipaddress.IPv4Network(text) if isinstance(text, str) else None
    except ValueError:
        return None


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
