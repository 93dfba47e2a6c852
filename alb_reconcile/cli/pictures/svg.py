"""A drawing as SVG: for light and dark, to be read aloud, and without anything that runs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from alb_reconcile.cli.pictures.layout import WORDS, Arrow, Box, Drawing, arrange
from alb_reconcile.cli.pictures.scene import Node, Scene
from alb_reconcile.model.text import digest

COLORS: Final = """
:root { color-scheme: light dark; --page: #ffffff; --box: #ffffff; --ground: #f2f5f8; --zone: #e7ecf1; --edge: #8794a1;
  --text: #17202a; --dim: #4d5a66; --create: #11692f; --update: #7d4e00; --replace: #8f3b00; --delete: #b3181f; --arrow: #5b6975;
  --focus: #0b57d0; --soft: #eef2f6; }
@media (prefers-color-scheme: dark) { :root { --page: #12171d; --box: #1c242d; --ground: #171e26; --zone: #202a34;
  --edge: #6f7f8e; --text: #e9eef3; --dim: #aeb9c4; --create: #67d28a; --update: #eebd57; --replace: #ff9f66; --delete: #ff8d87;
  --arrow: #93a2b0; --focus: #8ab4f8; --soft: #232d37; } }
"""
"""Of pictures and pages; each on its ground has a contrast of 4.5 or more."""
_STYLE: Final = """
svg.stack text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg.stack .name { font-weight: 600; }
svg.stack .dim { fill: var(--dim); }
svg.stack .word { font-weight: 600; text-anchor: end; }
svg.stack rect { fill: var(--box); stroke: var(--edge); }
svg.stack .vpc > rect { fill: var(--ground); stroke-width: 1.5; }
svg.stack .zone > rect { fill: var(--zone); stroke: none; }
svg.stack .listener > rect, svg.stack .route > rect { fill: var(--soft); stroke: none; }
svg.stack .ill > rect { stroke-width: 2; stroke-dasharray: 2 3; }
svg.stack line { stroke: var(--arrow); marker-end: url(#tip); }
svg.stack marker path { fill: var(--arrow); }
svg.stack .label { fill: var(--text); font-size: 11px; paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
svg.stack a:focus-visible > rect, svg.stack g[tabindex]:focus-visible > rect { stroke: var(--focus); stroke-width: 3; }
svg.stack a { text-decoration: none; outline: none; } svg.stack g[tabindex] { outline: none; }
""" + "".join(
    f"svg.stack .{name} > rect {{ stroke: var(--{name}); stroke-width: 2.5;{' stroke-dasharray: 7 4;' * (name == 'delete')} }}\n"
    f"svg.stack .word.{name} {{ fill: var(--{name}); }}\n"
    for name in WORDS
)


def scene_svg(scene: Scene) -> str:
    """A picture that stands alone."""
    return render_svg(scene, arrange(scene))


def render_svg(scene: Scene, drawing: Drawing, *, linked: bool = False) -> str:
    """A drawing; `linked`: inside of a page, in which each resource has a row to go to."""
    return "\n".join(_parts(scene, drawing, linked))


def anchor(node: Node) -> str:
    """The name of a resource's row in a page."""
    return f"r-{digest(node.key)}"


def describe(node: Node) -> str:
    """A resource in one line, as it is read aloud."""
    parts = [node.key, *node.lines, node.status, WORDS.get(node.change, "").partition(" ")[2]]
    return ", ".join(filter(None, parts))


def _parts(scene: Scene, drawing: Drawing, linked: bool) -> Iterator[str]:
    notes = len(drawing.notes)
    width, height = drawing.width, drawing.height + 24 + 18 * notes
    title = escape(f"Stack {scene.stack}, {scene.place}")
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="stack" role="group" aria-label="{title}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" style="max-width:{width * 1.15:.0f}px">'
    )
    yield f"<title>{title}</title>"
    yield f"<style>{'' if linked else COLORS}{_STYLE}</style>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
    )
    if not linked:
        yield f'<rect width="{width:.0f}" height="{height:.0f}" style="fill:var(--page);stroke:none"/>'
    yield from (_box(box, linked) for box in drawing.grounds)
    yield from (_line(arrow) for arrow in drawing.arrows)
    yield from (_box(box, linked) for box in drawing.boxes)
    yield from (label for arrow in drawing.arrows for label in _labels(arrow))
    for number, note in enumerate(drawing.notes):
        yield f'<text x="12" y="{drawing.height + 18 + 18 * number:.0f}" class="dim">{escape(note)}</text>'
    place = "" if linked else f"{scene.stack} · {scene.place}"
    yield f'<text x="{width - 12:.0f}" y="{height - 8:.0f}" class="dim" text-anchor="end">{escape(place)}</text>'
    yield "</svg>"


def _box(box: Box, linked: bool) -> str:
    rect = f'<rect width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/>'
    words = "".join(
        f'<text x="{item.x:.1f}" y="{item.y:.1f}" class="{item.style}">{escape(item.text)}</text>' for item in box.words
    )
    place = f'transform="translate({box.x:.1f} {box.y:.1f})"'
    if box.node is None:
        return f'<g {place} class="{box.style}">{rect}{words}</g>'
    node = box.node
    said = escape(describe(node))
    tip = escape("\n".join([describe(node), *node.told]))
    style = f"{box.style} {node.change}".strip()
    body = f"<title>{tip}</title>{rect}{words}"
    if linked:  # its title is its name
        return f'<a href="#{anchor(node)}" {place} class="{style}">{body}</a>'
    return f'<g {place} class="{style}" tabindex="0" role="img" aria-label="{said}">{body}</g>'


def _line(arrow: Arrow) -> str:
    (x1, y1), (x2, y2) = arrow.start, arrow.end
    faint = "" if arrow.part else ' stroke-dasharray="3 4"'
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{1 + 4 * arrow.part:.1f}"{faint}/>'


def _labels(arrow: Arrow) -> Iterator[str]:
    x, y = arrow.end
    first = y - 8 - 13 * (len(arrow.label) - 1)
    for number, text in enumerate(arrow.label):
        yield f'<text x="{x + 8:.1f}" y="{first + 13 * number - 4:.1f}" class="label">{escape(text)}</text>'
