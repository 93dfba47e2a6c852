"""Where everything in a picture stands: boxes in rows and columns, reckoned from what is in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from alb_reconcile.cli.pictures.scene import Balancer, Group, Net, Network, Node, Route, Scene, Share

WORDS: Final = {"create": "+ created", "update": "~ updated", "replace": "-/+ replaced", "delete": "- deleted"}
"""What the plan does to a resource, as a picture says it: not by a colour alone."""
_LETTER, _BOLD = 6.7, 7.6
"""How wide one is at 12 pixels, on the average and a little more."""
_CARD, _CARD_HEIGHT, _GAP, _LINE = 196, 48, 10, 18
_GROUP, _GROUP_HEIGHT, _BAND = 236, 64, 58
_CORNER: Final = 40
"""How far from a subnet's corners arrows end."""
_LEAST: Final = 760
_ARROWS: Final = 60
"""More between target groups and subnets would be a thicket; the subnets say the same in words."""


class Words(NamedTuple):
    """A text in a box: where, its class, and what it says."""

    x: float
    y: float
    style: str
    text: str


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    style: str
    node: Node | None = None
    words: tuple[Words, ...] = ()


@dataclass(frozen=True)
class Arrow:
    """From one point to another; how thick; what is written at its end."""

    start: tuple[float, float]
    end: tuple[float, float]
    part: float = 1.0
    label: tuple[str, ...] = ()


@dataclass
class Drawing:
    """All of it, from the bottom to the top: grounds, arrows, boxes. Who goes through it by keyboard meets it in that order."""

    width: float = _LEAST
    height: float = 0
    grounds: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def arrange(scene: Scene) -> Drawing:
    """Give everything its place."""
    drawing = Drawing(notes=[f"Not drawn: {item}" for item in scene.left_out])
    widths = [_network_width(item) for item in scene.networks]
    drawing.width = max([_LEAST, *widths]) + 2 * _GAP
    y: float = _GAP
    for balancer in scene.balancers:
        y = _balancer(drawing, balancer, y) + _GAP
    bottom = y - _GAP
    tops, y = _groups(drawing, scene, y, bottom)
    nets: dict[str, Box] = {}
    for network in scene.networks:
        y = _network(drawing, network, scene.groups, y + _GAP, nets) + _GAP
    pairs = [(group, net) for group in scene.groups for net in group.targets if net in nets]
    if len(pairs) > _ARROWS:
        drawing.notes.append(
            f"Not drawn: {len(pairs)} arrows from target groups to subnets; each subnet names its groups"
        )
        pairs = []
    for group, net in pairs:
        start, box = tops[group.node.key], nets[net]
        # as steep as can be, so that it passes what stands on the left above the subnets
        x = min(max(start[0], box.x + _CORNER), box.x + box.width - _CORNER)
        drawing.arrows.append(Arrow(start, (x, box.y), 0.2))
    drawing.height = y
    return drawing


def _fit(text: str, width: float, letter: float = _LETTER) -> str:
    most = max(int(width / letter), 1)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _head(node: Node, width: float, *more: str) -> tuple[Words, ...]:
    """A name and what the plan does to it, and lines below."""
    word = WORDS.get(node.change, "")
    room = width - 20 - (len(word) * _BOLD + 8 if word else 0)
    found = [Words(10, 18, "name", _fit(node.title, room, _BOLD))]
    if word:
        found.append(Words(width - 10, 18, f"word {node.change}", word))
    found += [Words(10, 18 + _LINE * number, "", _fit(text, width - 20)) for number, text in enumerate(more, 1)]
    return tuple(found)


def _balancer(drawing: Drawing, balancer: Balancer, y: float) -> float:
    node, width = balancer.node, drawing.width - 2 * _GAP
    known = [f"load balancer, {', '.join([*node.lines, node.status])}"]
    words = list(_head(node, width, *known, balancer.dns_name or "no DNS name yet"))
    height: float = 22 + _LINE * 2 + 8
    rows: list[Box] = []
    for door in balancer.doors:
        rows.append(_row(door.node, "  ".join(door.node.lines), "", y + height, width, "listener"))
        height += 26
        for number, route in enumerate(door.routes):
            if door.more and number == len(door.routes) - 1:
                words.append(Words(34, height + 16, "dim", f"… and {door.more} more rules"))
                height += 22
            target = ", then ".join(filter(None, [route.what, ", ".join(map(_share, route.shares[:6]))]))
            rows.append(_row(route.node, _matches(route), f"→ {target}", y + height, width, "route"))
            height += 24
        height += 6
    if balancer.more:
        words.append(Words(10, height + 12, "dim", f"… and {balancer.more} more listeners"))
        height += 22
    drawing.grounds += [Box(_GAP, y, width, height, "balancer", node, tuple(words)), *rows]
    return y + height


def _matches(route: Route) -> str:
    """A rule's priority and conditions; of the default action its name."""
    return route.node.lines[0] if route.node.lines else route.node.title


def _share(share: Share) -> str:
    return f"{share.group.partition('.')[2] or share.group} {share.part:.0%}"


def _row(node: Node, text: str, target: str, y: float, width: float, style: str) -> Box:
    inset = 10 if style == "listener" else 24
    width = width - inset - 10
    word = WORDS.get(node.change, "")
    middle = width * 0.52
    words = [Words(10, 15, "name" if style == "listener" else "", _fit(text, middle - 20 if target else width - 120))]
    if target:
        words.append(Words(middle, 15, "", _fit(target, width - middle - 110)))
    if word:
        words.append(Words(width - 8, 15, f"word {node.change}", word))
    return Box(_GAP + inset, y, width, 21, style, node, tuple(words))


def _groups(drawing: Drawing, scene: Scene, y: float, bottom: float) -> tuple[dict[str, tuple[float, float]], float]:
    """Target groups in rows. Returns where the arrows from each begin, and where the last row ends."""
    uses = _uses(scene)
    columns = max(int((drawing.width - _GAP) // (_GROUP + _GAP)), 1)
    starts = {}
    for number, group in enumerate(scene.groups):
        row, column = divmod(number, columns)
        in_row = min(len(scene.groups) - row * columns, columns)
        left = (drawing.width - in_row * (_GROUP + _GAP) + _GAP) / 2
        x, top = left + column * (_GROUP + _GAP), y + row * (_GROUP_HEIGHT + _BAND) + _BAND
        tally = group.tally
        words = _head(group.node, _GROUP, ", ".join(group.node.lines), str(tally) if any(tally) else "no targets")
        style = "group" if tally.healthy == tally.there else "group ill"
        drawing.boxes.append(Box(x, top, _GROUP, _GROUP_HEIGHT, style, group.node, words))
        starts[group.node.key] = (x + _GROUP / 2, top + _GROUP_HEIGHT)
        if used := uses.get(group.node.key):
            labels = [f"{name} {part:.0%}" for name, part in used[:3]]
            labels += [f"and {len(used) - 3} more"] if len(used) > 3 else []
            middle, part = x + _GROUP / 2, max(part for _, part in used)
            drawing.arrows.append(Arrow((middle, bottom), (middle, top), part, tuple(labels)))
    rows = -(-len(scene.groups) // columns)
    return starts, y + rows * (_GROUP_HEIGHT + _BAND) + (_BAND / 2 if rows else 0)


def _uses(scene: Scene) -> dict[str, list[tuple[str, float]]]:
    """By target group, which routes send it which part of their requests."""
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for door in (door for balancer in scene.balancers for door in balancer.doors):
        for route in door.routes:
            name = f"rule {route.node.lines[0].partition(' ')[0]}" if route.node.lines else "default"
            for share in route.shares:
                found[share.group].append((f"{door.node.lines[0] if door.node.lines else ''} {name}", share.part))
    return found


def _columns(number: int) -> int:
    return 1 if number <= 6 else 2 if number <= 16 else 3


def _net_width(net: Net) -> float:
    return _columns(len(net.instances)) * (_CARD + _GAP) + _GAP


def _net_height(net: Net, groups: int) -> float:
    rows = -(-len(net.instances) // _columns(len(net.instances)))
    return 28 + _LINE * (1 + groups) + rows * (_CARD_HEIGHT + _GAP) + (22 if net.more else 0)


def _zone_width(nets: Iterable[Net]) -> float:
    return max([_CARD + 2 * _GAP, *map(_net_width, nets)]) + 2 * _GAP


def _network_width(network: Network) -> float:
    zones = sum(_zone_width(zone.subnets) + _GAP for zone in network.zones)
    return max(zones + _GAP, _LEAST)


def _network(drawing: Drawing, network: Network, groups: Sequence[Group], y: float, nets: dict[str, Box]) -> float:
    width = drawing.width - 2 * _GAP
    words = _head(network.node, width, f"VPC, {', '.join(network.node.lines)}")
    top, x = y + 48, float(2 * _GAP)
    gateways = []
    for gateway in network.gateways:
        if x + _CARD > width:
            x, top = float(2 * _GAP), top + 54
        gateways.append(_gateway(gateway, x, top))
        x += _CARD + _GAP
    top += 56 if network.gateways else 0
    count = max(len(network.zones), 1)
    # the zones share what the picture is wider than they need
    spare = max(width - sum(_zone_width(zone.subnets) + _GAP for zone in network.zones) - _GAP, 0) / count
    x, ends = float(2 * _GAP), [top]
    zones: list[tuple[float, float, str]] = []
    cards: list[Box] = []
    for zone in network.zones:
        wide, below = _zone_width(zone.subnets) + spare, top + 26
        for net in zone.subnets:
            served = list(_served(groups, net.node.key))
            height = _net_height(net, len(served))
            drawn = list(_net(net, served, x + _GAP, below, wide - 2 * _GAP, height))
            nets[net.node.key] = drawn[0]
            cards += drawn
            below += height + _GAP
        ends.append(below)
        zones.append((x, wide, zone.name + (f", and {zone.more} more subnets" if zone.more else "")))
        x += wide + _GAP
    bottom = max(ends)
    drawing.grounds.append(Box(_GAP, y, width, bottom + _GAP - y, "vpc", network.node, words))
    for left, wide, name in zones:
        drawing.grounds.append(Box(left, top, wide, bottom - top, "zone", None, (Words(10, 17, "dim", name),)))
    drawing.boxes += [*gateways, *cards]
    return bottom + _GAP


def _served(groups: Sequence[Group], net: str) -> Iterator[str]:
    for group in groups:
        if net in group.targets:
            yield f"{group.node.title}: {group.targets[net]}"


def _gateway(node: Node, x: float, y: float) -> Box:
    return Box(x, y, _CARD, 46, "gateway", node, _head(node, _CARD, ", ".join(node.lines)))


def _net(net: Net, served: Sequence[str], x: float, y: float, width: float, height: float) -> Iterator[Box]:
    words = list(_head(net.node, width, ", ".join(net.node.lines), *served))
    if net.more:
        words.append(Words(10, height - 10, "dim", f"… and {net.more} more instances"))
    yield Box(x, y, width, height, "subnet", net.node, tuple(words))
    columns = _columns(len(net.instances))
    wide = (width - _GAP) / columns - _GAP
    for number, node in enumerate(net.instances):
        row, column = divmod(number, columns)
        left = x + _GAP + column * (wide + _GAP)
        top = y + 28 + _LINE * (1 + len(served)) + row * (_CARD_HEIGHT + _GAP)
        style = "instance" if node.is_well else "instance ill"
        said = (
            ", ".join([*node.lines[1:2], node.status]) if len(node.lines) > 1 else ", ".join([*node.lines, node.status])
        )
        yield Box(left, top, wide, _CARD_HEIGHT - 4, style, node, _head(node, wide, said))
