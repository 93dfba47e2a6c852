"""Renders plans and errors as single HTML files without scripts and external content; a browser is told to run and fetch nothing.

Every text goes through `html.escape`, in the few helpers below; that is less to know than a template engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from alb_reconcile.cli.pictures.things import WORDS, Thing, Things
from alb_reconcile.cli.render.acts import ActPart, read_in_acts
from alb_reconcile.cli.render.plan import (
    estimate,
    forces_replacement,
    part_time,
    properties_of,
    summarize,
)
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.kinds.display import short_id, show_change
from alb_reconcile.model.advice import advised
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.text import printable

_MOST: Final = 500
"""The most steps, and the most resources, that one page lists."""
_COLORS: Final = """
:root { color-scheme: light dark; --page: #ffffff; --box: #ffffff; --zone: #e7ecf1; --edge: #8794a1; --text: #17202a; --dim: #4d5a66;
  --create: #11692f; --update: #7d4e00; --replace: #8f3b00; --delete: #b3181f; --focus: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --page: #12171d; --box: #1c242d; --zone: #202a34; --edge: #6f7f8e; --text: #e9eef3; --dim: #aeb9c4;
  --create: #67d28a; --update: #eebd57; --replace: #ff9f66; --delete: #ff8d87; --focus: #8ab4f8; } }
"""
"""Colours, each with a contrast of 4.5 or more on its ground."""
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
.scroll { overflow-x: auto; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
ul.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; list-style: none; padding: 0; margin: .6rem 0; }
details { border: 1px solid var(--edge); border-radius: 5px; margin: .4rem 0; background: var(--box); }
summary { padding: .45rem .8rem; cursor: pointer; overflow-wrap: anywhere; } details > div { padding: 0 .8rem .7rem 1.9rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--zone); overflow-wrap: break-word; }
.scroll th, .scroll td { min-width: 5.5rem; max-width: 34rem; } details td { overflow-wrap: anywhere; } th { font-weight: 600; } details th { overflow-wrap: normal; padding-right: 1.2rem; }
dl.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin: 1rem 0; }
dl.tiles div { border: 1px solid var(--edge); border-radius: 5px; padding: .5rem .8rem; background: var(--box); }
th .dim { font-weight: 400; } dl.tiles dt { color: var(--dim); } dl.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; overflow-wrap: anywhere; }
.bar { display: flex; height: 1.1rem; border-radius: 5px; overflow: hidden; border: 1px solid var(--edge); margin: .5rem 0; }
.bar i { min-width: 3px; } .bar i.create { background: var(--create); } .bar i.update { background: var(--update); }
.bar i.delete { background: var(--delete); } .bar i.dim { background: var(--edge); }
.gone { text-decoration: line-through; } .steps td:first-child { white-space: nowrap; }
"""


def plan_page(planned: StackPlan, refusal: str = "", note: str = "") -> str:
    """A page with a plan, and all resources of the stack."""
    plan = planned.plan
    parts = [f"<p class=count><strong>{escaped(summarize(plan))}</strong></p>"]
    if took := estimate(plan):
        parts.append(f"<p class=dim>{took}.</p>")
    if refusal:
        parts.append(notice("refused", "Refused: apply would end with exit code 4 and change nothing", refusal))
    if plan.warnings:
        parts.append(notice("warned", "Warnings", "\n".join(plan.warnings)))
    if notes := [*plan.kept, *([note] if note else [])]:
        parts.append(notice("", "Notes", "\n".join(notes)))
    parts += _steps(plan)
    return page(f"Plan of {plan.stack}", f"{plan.region} · account {plan.account}", [*parts, *_resources(planned)])


def error_page(file: str, error: str, exit_code: int) -> str:
    """A page that says why there is no plan."""
    return page(f"No plan of {file}", "", [notice("refused", f"Exit code {exit_code}", error)])


def page(title: str, place: str, parts: Iterable[str]) -> str:
    """A whole HTML document."""
    head = (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
        f"<title>{escaped(title)}</title><style>{_COLORS}{_STYLE}</style></head><body>"
    )
    body = f"<header><h1>{escaped(title)}</h1><p class=dim>{escaped(place)}</p></header><main>"
    return "\n".join([head, body, *parts, "</main></body></html>"])


def notice(style: str, title: str, text: str) -> str:
    """A notice to be read first."""
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
    """A text in a page: on one line, and without markup."""
    return escape(printable(text))


def _resources(planned: StackPlan) -> Iterator[str]:
    things = Things(planned)
    every = sorted(things, key=lambda thing: not thing.action)
    if every:
        yield "<h2>Resources</h2>"
        heads = ("Resource", "In the plan", "How it is", "Requests, and what it refers to", "Id")
        yield table("Resources", heads, [_row(things, thing) for thing in every[:_MOST]])
    if len(every) > _MOST:
        yield f"<p>{len(every) - _MOST} more resources are left out here.</p>"


def _row(things: Things, thing: Thing) -> str:
    word = f"<span class='word {thing.action}'>{escaped(WORDS[thing.action])}</span>" if thing.action else ""
    whose = "<br><span class=dim>not this stack's</span>" if thing.is_strange else ""
    known = short_id(thing.found.id) if thing.found else ""
    shares = [f"{share.part:.0%} to {share.group}" for share in things.shares(thing)]
    refers = [] if thing.state.action_field else map(str, dict.fromkeys(things.refers(thing.state)))
    told = ", ".join(filter(None, [things.decides(thing), *shares, *refers]))
    return (
        f"<tr><th scope=row>{escaped(str(thing.address))}{whose}</th><td>{word}</td>"
        f"<td{'' if thing.is_well else ' class=bad'}>{escaped(thing.status)}</td><td>{escaped(told)}</td><td>{escaped(known)}</td></tr>"
    )


def _steps(plan: Plan) -> Iterator[str]:
    if plan.steps:
        yield "<h2 id=steps>Steps, in their order</h2>"
    left = _MOST
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


def _step(plan: Plan, part: ActPart, step: Step) -> str:
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
