"""Pages: one HTML file each, without scripts and without anything from elsewhere; a browser is told to run and fetch nothing.

Every text goes through `html.escape`, in the few helpers below; that is less to know than a template engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from alb_reconcile.cli.pictures.layout import WORDS, arrange
from alb_reconcile.cli.pictures.scene import Node, Scene
from alb_reconcile.cli.pictures.svg import COLORS, anchor, render_svg
from alb_reconcile.cli.render.acts import Part, read_in_acts
from alb_reconcile.cli.render.plan import (
    estimate,
    forces_replacement,
    part_time,
    properties_of,
    summarize,
)
from alb_reconcile.kinds.shown import short_id, show_change
from alb_reconcile.model.advice import advised
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.text import printable

_MOST_STEPS: Final = 500
_STYLE: Final = """
* { box-sizing: border-box; } body { margin: 0 auto; padding: 1rem clamp(.8rem, 3vw, 2.5rem) 3rem; max-width: 90rem;
  background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
ul { margin: .3rem 0; padding-left: 1.4rem; }
p { margin: .4rem 0; } a { color: var(--focus); } code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.dim { color: var(--dim); } .create { color: var(--create); } .update { color: var(--update); }
.replace { color: var(--replace); } .delete, .bad { color: var(--delete); } .good { color: var(--create); }
.word { font-weight: 600; white-space: nowrap; } .count { font-size: 1.05rem; }
.notice { border: 1px solid var(--edge); border-left: 6px solid var(--edge); border-radius: 5px; padding: .6rem .9rem; margin: .8rem 0; }
.notice.refused { border-color: var(--delete); } .notice.warned { border-color: var(--update); }
.scroll { overflow-x: auto; } .scroll svg { display: block; width: 100%; height: auto; min-width: 46rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
ul.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; list-style: none; padding: 0; margin: .6rem 0; }
details { border: 1px solid var(--edge); border-radius: 5px; margin: .4rem 0; background: var(--box); }
summary { padding: .45rem .8rem; cursor: pointer; overflow-wrap: anywhere; } details > div { padding: 0 .8rem .7rem 1.9rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--zone); overflow-wrap: break-word; }
.scroll th, .scroll td { min-width: 5.5rem; max-width: 34rem; } details td { overflow-wrap: anywhere; } th { font-weight: 600; } details th { overflow-wrap: normal; padding-right: 1.2rem; } tr:target { background: var(--zone); }
dl.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl.tiles div { border: 1px solid var(--edge); border-radius: 5px; padding: .5rem .8rem; background: var(--box); }
th .dim { font-weight: 400; } dl.tiles dt { color: var(--dim); } dl.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; overflow-wrap: anywhere; }
.bar { display: flex; height: 1.1rem; border-radius: 5px; overflow: hidden; border: 1px solid var(--edge); margin: .5rem 0; }
.bar i { min-width: 3px; } .bar i.create { background: var(--create); } .bar i.update { background: var(--update); }
.bar i.delete { background: var(--delete); } .bar i.dim { background: var(--edge); }
.gone { text-decoration: line-through; } .steps td:first-child { white-space: nowrap; }
"""


def plan_page(plan: Plan, scene: Scene, refusal: str = "", note: str = "") -> str:
    """A plan, with the picture of what it makes."""
    title = f"Plan of {plan.stack}"
    parts = [f"<p class=count><strong>{escaped(summarize(plan))}</strong></p>"]
    if took := estimate(plan):
        parts.append(f"<p class=dim>{took}.</p>")
    if refusal:
        parts.append(notice("refused", "Refused: apply would end with exit code 4 and change nothing", refusal))
    if plan.warnings:
        parts.append(notice("warned", "Warnings", "\n".join(plan.warnings)))
    if notes := [*plan.kept, *([note] if note else [])]:
        parts.append(notice("", "Notes", "\n".join(notes)))
    parts += _picture(scene)
    parts += _steps(plan)
    return page(title, scene.place, [*parts, *_tables(scene)])


def error_page(file: str, error: str, exit_code: int) -> str:
    """Why there is no plan."""
    return page(f"No plan of {file}", "", [notice("refused", f"Exit code {exit_code}", error)])


def scene_page(scene: Scene) -> str:
    """A stack's picture with the table of what is in it."""
    return page(f"Stack {scene.stack}", scene.place, [*_picture(scene), *_tables(scene)])


def page(title: str, place: str, parts: Iterable[str]) -> str:
    """A whole document."""
    head = (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
        f"<title>{escaped(title)}</title><style>{COLORS}{_STYLE}</style></head><body>"
    )
    body = f"<header><h1>{escaped(title)}</h1><p class=dim>{escaped(place)}</p></header><main>"
    return "\n".join([head, body, *parts, "</main></body></html>"])


def notice(style: str, title: str, text: str) -> str:
    """Something to be read first."""
    shown = "\n".join(printable(line) for line in text.splitlines())
    return f'<section class="notice {style}"><strong>{escaped(title)}</strong><pre>{escape(shown)}</pre></section>'


def table(name: str, heads: Sequence[str], rows: Iterable[str]) -> str:
    """A table that scrolls by itself where it is too wide. `rows` are markup."""
    head = "".join(f"<th scope=col>{escaped(item)}</th>" for item in heads)
    label = escape(name, quote=True)
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{label}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def escaped(text: str) -> str:
    """A text in a page: in one line, and no markup."""
    return escape(printable(text))


def _picture(scene: Scene) -> Iterator[str]:
    yield "<h2>Picture</h2>"
    yield '<p><a class=skip href="#resources">Skip the picture: a table below says the same</a></p>'
    changed = {node.change for node in scene.nodes() if node.change}
    if changed:
        legend = "".join(
            f"<li class='word {name}'>{escaped(word)}</li>" for name, word in WORDS.items() if name in changed
        )
        yield f"<ul class=legend>{legend}</ul>"
    drawing = arrange(scene)
    yield '<div class=scroll tabindex=0 role=region aria-label="Picture of the stack">'
    yield render_svg(scene, drawing, linked=True)
    yield "</div>"
    yield from (f"<p class=dim>{escaped(note)}</p>" for note in drawing.notes)


def _tables(scene: Scene) -> Iterator[str]:
    yield "<h2 id=resources>Resources</h2>"
    yield table("Resources", ("Resource", "What it is", "How it is", "In the plan"), map(_row, scene.nodes()))
    if scene.others:
        yield "<h2>Beside them</h2><ul>"
        for kind, (count, changing) in scene.others.items():
            more = f", {changing} of them in the plan" if changing else ""
            yield f"<li>{count} × {escaped(kind.replace('_', ' '))}{more}</li>"
        yield "</ul>"


def _row(node: Node) -> str:
    word = f"<span class='word {node.change}'>{escaped(WORDS[node.change])}</span>" if node.change else ""
    told = "".join(f"<br><code>{escaped(line)}</code>" for line in node.told)
    well = "" if node.is_well else " class=bad"
    return (
        f"<tr id={anchor(node)}><th scope=row>{escaped(node.key)}</th><td>{escaped(', '.join(node.lines))}</td>"
        f"<td{well}>{escaped(node.status or 'present')}</td><td>{word}{told}</td></tr>"
    )


def _steps(plan: Plan) -> Iterator[str]:
    if plan.steps:
        yield "<h2 id=steps>Steps, in their order</h2>"
    left = _MOST_STEPS
    for part in read_in_acts(plan):
        if part.awaited:
            yield f"<p>Wait until {escaped(', and until '.join(part.awaited))}</p>"
        if part.name:
            told = " · ".join(filter(None, [part.counts, part_time(part)]))
            yield f"<h3>{part.number} {escaped(part.name)} <span class=dim>{escaped(told)}</span></h3>"
        yield from (_step(plan, part, step) for step in part.entries[:left])
        if len(part.entries) > left:
            yield f"<p>{len(part.entries) - left} more steps are left out here; {escaped(advised('plan'))} shows them.</p>"
        left = max(left - len(part.entries), 0)


def _step(plan: Plan, part: Part, step: Step) -> str:
    known = short_id(step.id) if step.id and step.action != "create" else ""
    head = (
        f"<span class='word {step.action}'>{escaped(WORDS[step.action])}</span> <strong>{escaped(str(step.address))}</strong> "
        f"<span class=dim>{escaped(known)} {escaped(part.remark(step))}</span>"
    )
    rows = list(_changes(plan, step))
    along = [f"also deletes {address}" for address in part.also_deletes(step)]
    rest = "".join(f"<p>{escaped(text)}</p>" for text in (*along, *part.said(step)))
    body = (f"<table>{''.join(rows)}</table>" if rows else "") + rest
    is_open = " open" if body and (part.number == "2" or step.action in ("replace", "delete")) else ""
    return f"<details{is_open}><summary>{head}</summary><div>{body or '<p class=dim>No further details.</p>'}</div></details>"


def _changes(plan: Plan, step: Step) -> Iterator[str]:
    if step.action == "create":
        for name, text in properties_of(plan, step):
            yield f"<tr><th scope=row>{escaped(name)}</th><td>{escaped(text)}</td></tr>"
    forces = forces_replacement(step)
    for change in plan.shown(step):
        why = " <span class='word replace'>forces replacement</span>" if change.path in forces else ""
        for sign, text in show_change(change, plan.names):
            word = {"+": "<span class=create>added: ", "-": "<span class=delete>removed: "}.get(sign, "<span>")
            yield f"<tr><th scope=row>{escaped(change.path)}</th><td>{word}{escaped(text)}</span>{why}</td></tr>"
