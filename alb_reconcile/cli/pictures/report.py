"""Renders many stacks as one HTML page: state, drift, how requests are distributed, and the last runs of each stack."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from alb_reconcile.api.serving import not_ready, urls
from alb_reconcile.cli.pictures.page import escaped, notice, page, table
from alb_reconcile.cli.pictures.things import Thing, Things
from alb_reconcile.cli.render.history import done_counts, result_word
from alb_reconcile.engine.stack import StackPlan
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.journal.record import RunRecord
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.advice import advised
from alb_reconcile.model.counting import total
from alb_reconcile.model.plan import Step
from alb_reconcile.sync.drift import find_causes

_MOST: Final = 25
"""The most steps of one stack that are named, and the most shares."""


@dataclass(frozen=True)
class Subject:
    """One stack: what was read and planned, or why that wasn't possible; and its last runs, the newest first."""

    name: str
    file: str
    region: str = ""
    planned: StackPlan | None = None
    error: str = ""
    runs: Sequence[RunRecord] = ()


@dataclass(frozen=True)
class _Judged:
    """A stack with conclusions: `ill` says in words what isn't in order, `idle` which groups have no targets by the spec, `drift` and
    `pending` are the steps that the account and the spec have caused."""

    subject: Subject
    things: Things | None
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
        subject, Things(found), not_ready(found.discovery, standing), standing.service.unfilled, drift, pending
    )


def _row(number: int, item: _Judged) -> str:
    subject = item.subject
    name = f'<th scope=row><a href="#s-{number}">{escaped(subject.name)}</a></th>'
    last = f"<td>{_run(subject.runs[0])}</td>" if subject.runs else "<td class=dim>none recorded here</td>"
    if item.things is None:
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


def _run(record: RunRecord) -> str:
    style = {"failed": "bad", "refused": "bad", "left": "update"}.get(record.result, "")
    counts = ", ".join(done_counts(record))
    when = record.started.replace("T", " ")
    who = f"{record.command} by {record.user}@{record.host}"
    return f"<span class='{style}'>{escaped(result_word(record))}</span> {escaped(', '.join(filter(None, [when, who, counts])))}"


def _section(number: int, item: _Judged) -> Iterator[str]:
    subject, things = item.subject, item.things
    place = f"{things.plan.region} · account {things.plan.account}" if things else subject.region
    yield f"<h2 id=s-{number}>{escaped(subject.name)}</h2>"
    yield f"<p class=dim>{escaped(' · '.join(filter(None, [subject.file, place])))}</p>"
    if subject.error:
        yield notice("refused", "This stack couldn't be read", subject.error)
    if things is not None:
        yield from (f"<p><code>{escaped(url)}</code></p>" for url in urls(things.planned.discovery, {}))
        if item.ill:
            yield notice("warned", "Not in order", "\n".join(item.ill))
        if item.idle:
            yield notice("warned", "No targets", "\n".join(item.idle))
        yield from _shares(subject.name, things)
        yield from _steps("Drift: the account was changed", item.drift)
        yield from _steps("In the spec, and not applied yet", item.pending)
    if subject.runs:
        rows = "".join(f"<li>{_run(record)}{_error(record)}</li>" for record in subject.runs)
        yield f"<h3>Last runs</h3><ul>{rows}</ul>"


def _error(record: RunRecord) -> str:
    lines = record.error.split(r"\n") if record.error else ()  # the record has it on one line
    return "".join(f"<br><code>{escaped(line)}</code>" for line in lines)


def _shares(name: str, things: Things) -> Iterator[str]:
    health = _health(things)
    asked = sorted((thing for thing in things if thing.state.action_field), key=lambda item: item.address.name)
    rows = [
        f"<tr><th scope=row>{escaped(str(thing.address))}<br><span class=dim>{escaped(things.decides(thing))}</span></th>"
        f"<td>{escaped(goes)}</td><td>{part}</td><td>{escaped(targets)}</td></tr>"
        for thing in asked
        for goes, part, targets in _answers(things, thing, health)
    ]
    if rows:
        heads = ("Listener or rule", "Who answers", "Part of the requests", "Targets")
        yield table(f"Shares of requests of {name}", heads, rows[:_MOST])
    if len(rows) > _MOST:
        yield f"<p class=dim>{len(rows) - _MOST} further lines are left out here.</p>"


def _health(things: Things) -> Mapping[str, str]:
    """The health of each group's targets, by the group's address."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for thing in things:
        parent = things.parent(thing)
        if thing.state.is_target and parent:
            found[str(parent.address)]["to come" if thing.found is None else thing.status] += 1
    return {group: ", ".join(f"{number} {word}" for word, number in told.items()) for group, told in found.items()}


def _answers(things: Things, thing: Thing, health: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The groups that answer a listener's or rule's requests, each with its share and its targets' health; if it doesn't forward, its
    own answer."""
    for share in things.shares(thing):
        group = str(share.group)
        yield group, f"{share.part:.0%}", health.get(group, "none" if share.group in things.by_address else "not known")
    if not action_of(thing.state).forward:
        yield "itself", "100%", ""


def _steps(title: str, steps: Sequence[Step]) -> Iterator[str]:
    if not steps:
        return
    items = "".join(f"<li>{step.action} {escaped(str(step.address))}</li>" for step in islice(steps, _MOST))
    more = (
        f"<li>… and {len(steps) - _MOST} more; {escaped(advised('plan'))} shows them</li>" if len(steps) > _MOST else ""
    )
    yield f"<h3>{escaped(title)}</h3><ul>{items}{more}</ul>"
