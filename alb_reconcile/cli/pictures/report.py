"""Many stacks on one page: how each is, what has drifted, how its requests are shared out, and what was run last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from alb_reconcile.api.serving import not_ready
from alb_reconcile.cli.pictures.compose import make_scene
from alb_reconcile.cli.pictures.page import escaped, notice, page, table
from alb_reconcile.cli.pictures.scene import Route, Scene
from alb_reconcile.cli.render.history import done_counts, result_word
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.journal.record import Record
from alb_reconcile.model.advice import advised
from alb_reconcile.model.counting import total
from alb_reconcile.model.plan import Step
from alb_reconcile.sync.drift import find_causes

_MOST: Final = 25
"""Steps of one stack that are named, and shares."""


@dataclass(frozen=True)
class Subject:
    """One stack: what was read and planned, or why that wasn't possible; and its last runs, the newest first."""

    name: str
    file: str
    region: str = ""
    planned: StackPlan | None = None
    error: str = ""
    runs: Sequence[Record] = ()


@dataclass(frozen=True)
class _Judged:
    """A stack with what follows from what was read: `ill` says in words what isn't in order, `idle` which groups have no targets by the
    spec, `drift` and `pending` are the steps that the account and the spec have caused."""

    subject: Subject
    scene: Scene | None
    ill: Sequence[str] = ()
    idle: Sequence[str] = ()
    drift: Sequence[Step] = ()
    pending: Sequence[Step] = ()


def report_page(place: str, subjects: Sequence[Subject], when: str) -> str:
    """The whole page."""
    judged = [_judge(item) for item in subjects]
    well = sum(not (item.ill or item.idle or item.drift or item.pending or item.subject.error) for item in judged)
    parts = [f"<p class=count><strong>{well} of {len(judged)} stacks are as their specs say, and healthy.</strong></p>"]
    heads = ("Stack", "Health", "Drift", "Not applied", "Last run")
    parts.append(table("Stacks", heads, [_row(number, item) for number, item in enumerate(judged)]))
    for number, item in enumerate(judged):
        parts += _section(number, item)
    return page(f"Stacks in {place}", f"read at {when}", parts)


def _judge(subject: Subject) -> _Judged:
    found = subject.planned
    if found is None:
        return _Judged(subject, None)
    causes: Mapping[str, str] = find_causes(found)
    steps = [step for step in found.plan.steps if step.part_of is None]
    drift = [step for step in steps if causes.get(step.key) == "drift"]
    pending = [step for step in steps if causes.get(step.key) != "drift"]
    standing = find_standing(found.situation)
    return _Judged(
        subject, make_scene(found), not_ready(found.discovery, standing), standing.service.unfilled, drift, pending
    )


def _row(number: int, item: _Judged) -> str:
    subject = item.subject
    name = f'<th scope=row><a href="#s-{number}">{escaped(subject.name)}</a></th>'
    last = f"<td>{_run(subject.runs[0])}</td>" if subject.runs else "<td class=dim>none recorded here</td>"
    if item.scene is None:
        return f"<tr>{name}<td class=bad colspan=3>couldn't be read</td>{last}</tr>"
    if subject.planned is None or all(found.is_gone for found in subject.planned.discovery.resources):
        health = "<td class=dim>nothing is there</td>"
    elif item.ill:
        health = "<td class=bad>not in order</td>"
    else:
        health = "<td class=update>no targets</td>" if item.idle else "<td class=good>in order</td>"
    return f"<tr>{name}{health}{_count(item.drift)}{_count(item.pending)}{last}</tr>"


def _count(steps: Sequence[Step]) -> str:
    number = total(steps)
    return f"<td class=bad>{number} resource{'s' * (number != 1)}</td>" if number else "<td class=good>none</td>"


def _run(record: Record) -> str:
    style = {"failed": "bad", "refused": "bad", "left": "update"}.get(record.result, "")
    counts = ", ".join(done_counts(record))
    when = record.started.replace("T", " ")
    who = f"{record.command} by {record.user}@{record.host}"
    return f"<span class='{style}'>{escaped(result_word(record))}</span> {escaped(', '.join(filter(None, [when, who, counts])))}"


def _section(number: int, item: _Judged) -> Iterator[str]:
    subject, scene = item.subject, item.scene
    yield f"<h2 id=s-{number}>{escaped(subject.name)}</h2>"
    yield f"<p class=dim>{escaped(' · '.join(filter(None, [subject.file, scene.place if scene else subject.region])))}</p>"
    if subject.error:
        yield notice("refused", "This stack couldn't be read", subject.error)
    if scene is not None:
        for balancer in scene.balancers:
            yield f"<p>{escaped(balancer.node.key)}: <code>{escaped(balancer.dns_name or 'no DNS name yet')}</code></p>"
        if item.ill:
            yield notice("warned", "Not in order", "\n".join(item.ill))
        if item.idle:
            yield notice("warned", "No targets", "\n".join(item.idle))
        yield from _shares(subject.name, scene)
        yield from _steps("Drift: the account was changed", item.drift)
        yield from _steps("In the spec, and not applied yet", item.pending)
    if subject.runs:
        rows = "".join(f"<li>{_run(record)}{_error(record)}</li>" for record in subject.runs)
        yield f"<h3>Last runs</h3><ul>{rows}</ul>"


def _error(record: Record) -> str:
    lines = record.error.split(r"\n") if record.error else ()  # as it is recorded, on one line
    return "".join(f"<br><code>{escaped(line)}</code>" for line in lines)


def _shares(name: str, scene: Scene) -> Iterator[str]:
    health = {group.node.key: str(group.tally) for group in scene.groups}
    rows = [
        f"<tr><th scope=row>{escaped(' '.join([*door.node.lines, *(route.node.lines[:1] or ('default',))]))}</th>"
        f"<td>{escaped(goes)}</td><td>{part}</td><td>{escaped(targets)}</td></tr>"
        for balancer in scene.balancers
        for door in balancer.doors
        for route in door.routes
        for goes, part, targets in _answers(route, health)
    ]
    if rows:
        heads = ("Listener and rule", "Who answers", "Part of the requests", "Targets")
        yield table(f"Shares of requests of {name}", heads, rows[:_MOST])
    if len(rows) > _MOST or scene.left_out:
        yield "<p class=dim>Further rules are left out here.</p>"


def _answers(route: Route, health: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Who answers its requests, which part of them, and how the targets are; what doesn't forward answers itself."""
    for share in route.shares:
        yield share.group, f"{share.part:.0%}", health.get(share.group, "not known")
    if not route.shares:
        yield route.what, "100%", ""


def _steps(title: str, steps: Sequence[Step]) -> Iterator[str]:
    if not steps:
        return
    items = "".join(f"<li>{step.action} {escaped(str(step.address))}</li>" for step in islice(steps, _MOST))
    more = (
        f"<li>… and {len(steps) - _MOST} more; {escaped(advised('plan'))} shows them</li>" if len(steps) > _MOST else ""
    )
    yield f"<h3>{escaped(title)}</h3><ul>{items}{more}</ul>"
