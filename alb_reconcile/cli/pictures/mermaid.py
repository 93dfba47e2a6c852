"""Renders a stack as a Mermaid flowchart: what each resource refers to, in the direction of requests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

from alb_reconcile.cli.pictures.things import WORDS, Thing, Things
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.kinds.display import short_id
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import field_names
from alb_reconcile.model.service import Balancer

_STYLES: Final = {"create": "#1a7f37", "update": "#9a6700", "replace": "#bc4c00", "delete": "#cf222e"}
_MANY: Final = 60
"""Nodes above which similar nodes are drawn as one, if there are more than a few."""
_FEW: Final = 3
_MOST_NODES: Final = 250
_MOST_EDGES: Final = 400
"""The most edges: Mermaid draws no more than 500 (`maxEdges`)."""
_Key = Address | str
_Pair = tuple[_Key, _Key]


def stack_mermaid(planned: StackPlan) -> str:
    """The stack as it will be, together with resources that the plan deletes. Requests take the solid arrows; a dotted arrow leads to a
    resource that another refers to."""
    return "\n".join(_Chart(Things(planned)).lines())


class _Chart:
    def __init__(self, things: Things) -> None:
        self.things = things
        self.parts: dict[Address, Counter[str]] = defaultdict(Counter)
        """By resource, the states of the resources that are drawn in its node."""
        self.edges: dict[_Pair, Counter[str]] = defaultdict(Counter)
        """The edges from one node to another, with their labels."""
        self.ways: set[_Pair] = set()
        """The edges that requests take."""
        for thing in things:
            self._draw(thing)
        nodes: list[_Key] = [item.address for item in things if self.things.whole(item) is item]
        self.nodes = [*nodes, *dict.fromkeys(key for pair in self.edges for key in pair if isinstance(key, str))]

    def _draw(self, thing: Thing) -> None:
        state, whole, told = thing.state, self.things.whole(thing), WORDS.get(thing.action, thing.status)
        is_member = state.is_target and whole is not thing
        is_told = whole is thing or (not is_member and thing.action in ("", whole.action))
        for name in field_names(type(state)):
            for key in self.things.refers(getattr(state, name)):
                other = self.things.get(key)
                end = self.things.whole(other).address if other else key
                if end == whole.address:
                    continue
                pair = (end, whole.address) if name in (state.parent, state.part_of) else (whole.address, end)
                self.edges[pair] += Counter([told] if is_member else [])
                if (
                    is_member
                    or (state.action_field and name == state.parent)
                    or (other and isinstance(other.state, Balancer))
                ):
                    self.ways.add(pair)
                is_told |= is_member
        for share in self.things.shares(thing):
            self.edges[whole.address, share.group] += Counter([f"{share.part:.0%}"] if share.part < 1 else [])
            self.ways.add((whole.address, share.group))
        if not is_told:
            self.parts[whole.address][f"{state.kind} {told}"] += 1

    def lines(self) -> Iterator[str]:
        """The lines of the whole flowchart."""
        groups = self._alike() if len(self.nodes) > _MANY else [[key] for key in self.nodes]
        drawn = sorted(groups, key=lambda group: not self.things.action(group[0]))[:_MOST_NODES]
        numbers = {key: f"n{number}" for number, group in enumerate(drawn) for key in group}
        yield "flowchart TB"
        yield from (f"  {numbers[group[0]]}[{_quoted(self._label(group))}]" for group in drawn)
        edges = [*self._between(numbers)]
        yield from edges[:_MOST_EDGES]
        for action, color in _STYLES.items():
            if names := [numbers[group[0]] for group in drawn if self.things.action(group[0]) == action]:
                yield f"  classDef {action} stroke:{color},stroke-width:3px"
                yield f"  class {','.join(names)} {action}"
        left = [(sum(map(len, groups)) - len(numbers), "resources"), (len(edges) - _MOST_EDGES, "arrows")]
        if rest := [f"{number} more {name}" for number, name in left if number > 0]:
            yield f"  rest[{_quoted(['Not drawn:', *rest])}]"

    def _alike(self) -> list[list[_Key]]:
        """The nodes in groups: nodes of one kind, with the same neighbours and the same planned action, are together."""
        around: dict[_Key, set[Hashable]] = defaultdict(set)
        for start, end in self.edges:
            around[start].add(("to", end))
            around[end].add(("from", start))
        found: dict[Hashable, list[_Key]] = defaultdict(list)
        for key in self.nodes:
            found[isinstance(key, str) or key.kind, self.things.action(key), frozenset(around[key])].append(key)
        return [part for item in found.values() for part in ([item] if len(item) > _FEW else [[key] for key in item])]

    def _between(self, numbers: Mapping[_Key, str]) -> Iterator[str]:
        """The edges between drawn nodes: first those that requests take, then those of the others that no detour replaces."""
        ways, others = (
            [pair for pair in self.edges if (pair in self.ways) is is_way and numbers.keys() >= {*pair}]
            for is_way in (True, False)
        )
        found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for start, end in ways:
            found[numbers[start], numbers[end]] += self.edges[start, end]
        for (first, last), told in found.items():
            yield f"  {first} -->{f'|{_quoted([_counted(told)])}|' if told else ''} {last}"
        ahead: dict[str, set[str]] = defaultdict(set)
        for start, end in others:
            ahead[numbers[start]].add(numbers[end])
        for first, ends in [*ahead.items()]:
            for last in sorted(ends):
                if all(last not in _reach(item, ahead) for item in ends - {first, last}):
                    yield f"  {first} -.-> {last}"

    def _label(self, group: list[_Key]) -> Iterator[str]:
        more = f" and {len(group) - 1} more" * (len(group) > 1)
        things = [thing for key in group if (thing := self.things.get(key))]
        if not things:
            yield from (f"{short_id(str(group[0]))}{more}", "not this stack's")
            return
        first = things[0]
        yield f"{first.address}{more}"
        if not more:
            yield short_id(first.found.id) if first.found else ""
            yield self.things.decides(first)
        yield _counted(Counter(thing.status for thing in things if not thing.is_well))
        yield "not this stack's" if first.is_strange else ""
        yield WORDS.get(first.action, "")
        yield _counted(sum((self.parts[thing.address] for thing in things), Counter[str]()))


def _reach(start: str, ahead: Mapping[str, set[str]]) -> set[str]:
    """The nodes to which edges lead from a node, over any others."""
    found, left = set[str](), [start]
    while left:
        new = ahead.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def _counted(texts: Mapping[str, int]) -> str:
    return ", ".join(text if number == 1 else f"{number} × {text}" for text, number in texts.items())


def _quoted(parts: Iterable[str]) -> str:
    """A label of several lines, in which nothing is markup (Mermaid, "Entity codes to escape characters")."""
    return f'"{"<br/>".join(map(_safe, filter(None, parts)))}"'


def _safe(text: str) -> str:
    return "".join(char if char.isalnum() or char in " .,-" else f"#{ord(char)};" for char in text)
