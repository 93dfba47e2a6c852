"""A picture as a Mermaid flowchart, which GitHub and many wikis draw. Whatever is quoted is escaped as Mermaid wants it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from alb_reconcile.cli.pictures.layout import WORDS
from alb_reconcile.cli.pictures.scene import Balancer, Network, Node, Scene

_STYLES: Final = {"create": "#1a7f37", "update": "#9a6700", "replace": "#bc4c00", "delete": "#cf222e"}
_MOST_EDGES: Final = 400
"""Mermaid draws no more than 500 (`maxEdges`)."""


def scene_mermaid(scene: Scene) -> str:
    """The whole flowchart."""
    return "\n".join(_Chart().lines(scene))


class _Chart:
    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}
        self.classes: dict[str, list[str]] = {name: [] for name in WORDS}
        self.edges: list[str] = []

    def lines(self, scene: Scene) -> Iterator[str]:
        yield "flowchart TB"
        for balancer in scene.balancers:
            yield from self._balancer(balancer)
        for group in scene.groups:
            yield self._plain(group.node, str(group.tally))
            for net, tally in group.targets.items():
                self.edges.append(f"{self._id(group.node)} -->|{tally}| {self._key(net)}")
        for network in scene.networks:
            yield from self._network(network)
        yield from (f"  {edge}" for edge in self.edges[:_MOST_EDGES])
        for name, color in _STYLES.items():
            if self.classes[name]:
                yield f"  classDef {name} stroke:{color},stroke-width:3px"
                yield f"  class {','.join(self.classes[name])} {name}"
        left = list(scene.left_out)
        if len(self.edges) > _MOST_EDGES:
            left.append(f"{len(self.edges) - _MOST_EDGES} arrows")
        yield from (f"  %% not drawn: {_comment(item)}" for item in left)

    def _balancer(self, balancer: Balancer) -> Iterator[str]:
        yield self._opened(balancer.node, balancer.dns_name)
        for door in balancer.doors:
            yield self._plain(door.node)
            for route in door.routes:
                title = route.node.lines[0] if route.node.lines else route.node.title
                yield f"  {self._id(route.node)}[{self._label(route.node, [title, route.what])}]"
                self.edges.append(f"{self._id(door.node)} --- {self._id(route.node)}")
                for share in route.shares:
                    self.edges.append(f"{self._id(route.node)} -->|{share.part:.0%}| {self._key(share.group)}")
            if door.more:
                yield self._rest(door.node, f"… and {door.more} more rules")
        yield "  end"

    def _network(self, network: Network) -> Iterator[str]:
        yield self._opened(network.node)
        yield from (self._plain(gateway) for gateway in network.gateways)
        for zone in network.zones:
            yield f"  subgraph {self._key(f'{network.node.key} {zone.name}')}[{_quoted([zone.name])}]"
            for net in zone.subnets:
                yield self._opened(net.node)
                yield from (self._plain(instance) for instance in net.instances)
                if net.more:
                    yield self._rest(net.node, f"… and {net.more} more instances")
                yield "  end"
            yield "  end"
        yield "  end"

    def _rest(self, node: Node, text: str) -> str:
        return f"  {self._key(f'{node.key} more')}[{_quoted([text])}]"

    def _key(self, key: str) -> str:
        return self.numbers.setdefault(key, f"n{len(self.numbers)}")

    def _id(self, node: Node) -> str:
        return self._key(node.key)

    def _opened(self, node: Node, *more: str) -> str:
        """A box around others; what is in it would cover a second line of its title."""
        title = ", ".join(filter(None, [node.title, *node.lines, node.status, *more]))
        return f"  subgraph {self._id(node)}[{self._label(node, [title])}]"

    def _plain(self, node: Node, *more: str) -> str:
        return f"  {self._id(node)}[{self._label(node, [node.title, ', '.join(node.lines), node.status, *more])}]"

    def _label(self, node: Node, parts: Iterable[str]) -> str:
        if node.change:
            self.classes[node.change].append(self._id(node))
        return _quoted([*parts, WORDS.get(node.change, "")])


def _quoted(parts: Iterable[str]) -> str:
    """A label of several lines, in which nothing is markup (Mermaid, "Entity codes to escape characters")."""
    return f'"{"<br/>".join(map(_safe, filter(None, parts)))}"'


def _safe(text: str) -> str:
    return "".join(char if char.isalnum() or char in " .,-" else f"#{ord(char)};" for char in text)


def _comment(text: str) -> str:
    return "".join(char if char.isalnum() or char in " .-_/" else "-" for char in text)
