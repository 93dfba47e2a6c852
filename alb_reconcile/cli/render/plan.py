"""Renders a plan as text: what is created, changed, replaced and deleted, and why."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from alb_reconcile.cli.render.acts import ActPart, read_in_acts
from alb_reconcile.cli.render.style import Style, show_seconds
from alb_reconcile.engine.plan.decide import forcing
from alb_reconcile.kinds.display import id_and_name, short_id, show, show_change, show_member
from alb_reconcile.model.decisions import DUPLICATE
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.plan import VERSION, Plan, Step
from alb_reconcile.model.resource import Change, Properties, field_names
from alb_reconcile.model.service import Member, Server
from alb_reconcile.model.text import printable

_SOON: Final = 60
"""Seconds below which a duration isn't shown, where the spec has none of its own."""
_SIGNS: Final = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "replace": ("-/+", "yellow"),
    "delete": ("-", "red"),
}


def render_plan(
    plan: Plan, style: Style, *, notice: str = "Nothing has been changed.", head: Sequence[str] = ()
) -> str:
    """The whole plan as text. `head` is below its title, `notice` at the end of the summary line."""
    return "\n".join(_lines(plan, style, notice, head))


def _lines(plan: Plan, style: Style, notice: str, head: Sequence[str]) -> Iterator[str]:
    yield style.paint(f"{plan.stack} · {plan.region} · account {plan.account}", "bold")
    yield from head
    yield ""
    parts = read_in_acts(plan)
    for part in parts:
        if part is not parts[0]:
            yield ""
        yield from (f"   {'and' if number else 'wait'} until {text}" for number, text in enumerate(part.awaited))
        if part.name:
            took = style.paint(part_time(part), "dim")
            yield f"{style.paint(f'{part.number}  {part.name}', 'bold')}   {part.counts}   {took}".rstrip()
        yield from _entries(plan, part, style)
    if plan.steps:
        yield ""
    for warning in plan.warnings:
        yield style.paint(f"Warning: {printable(warning)}", "yellow")
    for note in plan.kept:
        yield style.paint(f"Note: {printable(note)}", "dim")
    yield summarize(plan, notice)
    if took := estimate(plan):
        own = (
            f"; up to {show_seconds(plan.seconds)} of it by the spec's own settings (health checks, draining, settling)"
        )
        yield f"{took}{own if plan.seconds else ''}."


def _entries(plan: Plan, part: ActPart, style: Style) -> Iterator[str]:
    groups = group_steps(part.entries)
    members = {step.key for steps in groups.values() for step in steps}
    for step in part.entries:
        if step.key in groups:
            yield f"  {headline(plan, step, groups[step.key])}"
            for item in (step, *groups[step.key]):
                yield from (f"  {line}" for line in _step(plan, part, item, style, is_member=item is not step))
        elif step.key not in members:
            yield from _step(plan, part, step, style)


def estimate(plan: Plan) -> str:
    """How long the plan takes, as in "Takes about 1m to 4m"; empty if less than a minute."""
    return f"Takes {_about(*plan.takes)}" if plan.seconds or plan.takes[1] >= _SOON else ""


def part_time(part: ActPart) -> str:
    """How long one part takes, as in "about 1m to 4m"."""
    return _about(*part.takes) if part.takes[1] >= _SOON else ""


def _about(least: int, most: int) -> str:
    return f"about {show_seconds(least // 10 * 10 or 1)} to {show_seconds(-(-most // 10) * 10)}"


def summarize(plan: Plan, notice: str = "") -> str:
    """The summary line."""
    if plan.is_empty:
        why = f"all {plan.total} resources match the spec" if plan.total else "the stack has no resources"
        return f"No changes: {why}."
    words = ", ".join(f"{number} to {action}" for action, number in plan.count().items())
    return f"Plan: {words}. {notice}".rstrip()


def differing_steps(saved: str, now: str) -> list[str] | None:
    """The steps that only the saved one of two JSON plans has, and those that only the present plan has; empty if the saved one isn't a
    plan. None if both plans are the same, even if warnings differ: their commands have the options of the user that planned. Raises
    RefusedError for a saved plan in another version's form."""
    try:
        plans = [json.loads(text) for text in (saved, now)]
        if isinstance(form := plans[0]["version"], int) and form != VERSION:
            told = f"this version of alb-reconcile reads form {VERSION}; nothing was changed. Plan again"
            raise RefusedError(f"the saved plan is in form {form}, and {told}")
        then, here = ({**plan, "warnings": len(plan["warnings"])} for plan in plans)
        if then == here:
            return None
        steps = [{_told(step): step for step in plan["steps"]} for plan in plans]
        apart = [
            [told for told, step in here.items() if there.get(told) != step] for here, there in (steps, steps[::-1])
        ]
        other = [f"otherwise: {key}" for key in plans[1] if plans[0].get(key) != plans[1][key]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    lines = [[*told[:3], *([f"{len(told) - 3} more"] if told[3:] else [])] for told in apart]
    return [f"{when}: {line}" for when, told in zip(_APART, lines, strict=True) for line in told] or other[:1]


_APART: Final = ("only in the saved plan", "only in a new plan")


def is_of_destroy(saved: str) -> bool:
    """Whether a plan in JSON deletes a whole stack: only then its steps have no reason."""
    with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {(step["action"], step["reason"]) for step in json.loads(saved)["steps"]} == {("delete", "")}
    return False


def _told(step: Mapping[str, Any]) -> str:
    changes = "; ".join(f"{item['path']} {item['before']} → {item['after']}" for item in step["changes"])
    return printable(f"{step['action']} {step['address']}" + f" ({changes})" * bool(changes))[:200]


def last_run_lines(told: str, warning: str, style: Style) -> list[str]:
    """Which run changed the stack last, and what is remarkable about it, below a plan's title."""
    return [
        *([style.paint(told, "dim")] if told else []),
        *([style.paint(f"Warning: {warning}", "yellow")] if warning else []),
    ]


def group_steps(entries: Iterable[Step]) -> dict[str, list[Step]]:
    """With each instance's step, by key, the steps of its registrations that have the same action: a reader takes both for one thing."""
    owners = {_key(step, step.id): step for step in entries if step.plays(Server)}
    groups: dict[str, list[Step]] = {}
    for step in entries:
        if step.plays(Member):
            owner = owners.get(_key(step, _target(step)))
            if owner is not None:
                groups.setdefault(owner.key, []).append(step)
    return groups


def _key(step: Step, known: object) -> tuple[str, object]:
    """What an instance's and its registration's steps have in common: the address if new, else the id, since two resources may have one
    address."""
    if step.action == "create":
        return step.action, _target(step) if step.plays(Member) else step.address
    return step.action, known


def _target(step: Step) -> object:
    return state.target if isinstance(state := _state(step), Member) else None


def _state(step: Step) -> Properties | None:
    return step.state if step.action == "create" else step.observed.state if step.observed else None


def headline(plan: Plan, step: Step, targets: Sequence[Step]) -> str:
    """A line on what becomes of an instance and its registrations."""
    name = step.address.name
    pools = (state.target_group for item in targets if isinstance(state := _state(item), Member))
    behind = ", ".join(dict.fromkeys(show(pool, plan.names) for pool in pools))
    if step.action == "create":
        size = getattr(step.state, step.state.size_field, None) if step.state else None
        return f"{name} is created: {size or 'an instance'}, in {behind}"
    if step.action == "delete":
        old, stays = short_id(step.id or ""), plan.ids.get(step.address) if step.reason == DUPLICATE else None
        who = f"{name} is there twice: {short_id(stays)} stays, and {old}" if stays else f"{name} ({old})"
        who = f"the old {who}" if step.part_of else who
        return f"{who} is deleted, and leaves {behind}"
    forces = forces_replacement(step)
    changes = [change for change in plan.shown(step) if change.path in forces]
    if len(changes) == 1 and changes[0].path in ("instance_type", "image_id", "user_data"):
        ((_, text),) = show_change(changes[0], plan.names)
        if not text.startswith("sha256:"):
            return f"{name} is replaced: {text}"
    why = ", ".join(change.path for change in changes) or printable(step.reason)
    return f"{name} is replaced: {why}" if why else f"{name} is replaced"


def _step(plan: Plan, part: ActPart, step: Step, style: Style, *, is_member: bool = False) -> Iterator[str]:
    """A step, with its changes; for a registration that is shown with its instance, without its target."""
    sign, color = _SIGNS[step.action]
    said = printable(part.remark(step))
    remark = f"   {said}" if step.action == "replace" else f"   ({said})" if said else ""
    known = ""
    if step.id and step.action != "create":
        own = step.observed.tags if step.observed else {}
        known = f"  {id_and_name(step.id, own, step.address, plan.stack)}"
    yield f"  {style.paint(f'{sign} {step.address}', color)}{style.paint(known, 'dim')}{remark}"
    if step.action == "create":
        yield from _properties(plan, step)
    forces = forces_replacement(step)
    changes = [change for change in plan.shown(step) if not (is_member and change.path == "target")]
    width = max((len(change.path) for change in changes), default=0)
    for change in changes:
        yield from _change(plan, change, width, style, forced=change.path in forces)
    for address in part.also_deletes(step):
        yield f"    {style.paint(f'- {address}', _SIGNS['delete'][1])}   (deleted with it)"
    yield from (f"      {text}" for text in part.said(step))


def forces_replacement(step: Step) -> tuple[str, ...]:
    """The paths of the changes that force a step to replace."""
    if step.action != "replace" or step.state is None or step.desired is None or step.observed is None:
        return ()
    return forcing(step.desired, step.state, step.observed, step.changes)


def _properties(plan: Plan, step: Step) -> Iterator[str]:
    found = properties_of(plan, step)
    width = max((len(name) for name, _ in found), default=0)
    for name, text in found:
        yield f"      {name:<{width}}  {text}"


def properties_of(plan: Plan, step: Step) -> list[tuple[str, str]]:
    """The properties of a new resource, each with its text."""
    if step.state is None:
        return []
    found = []
    for name in [name for name in field_names(type(step.state)) if name not in type(step.state).said_elsewhere]:
        value = getattr(step.state, name)
        if value is None:
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{key}", item) for key, item in value.items()]
        elif name in ("ingress", "egress"):
            found += [(name, item) for item in value]
        else:
            found.append((name, value))
    return [(name, show_member(name, plan.redact(value), plan.names)) for name, value in found]


def _change(plan: Plan, change: Change, width: int, style: Style, *, forced: bool) -> Iterator[str]:
    mark = "   forces replacement" if forced else ""
    for sign, text in show_change(change, plan.names):
        path = f"{change.path} " if sign else f"{change.path:<{width}}  "
        line = f"      {sign}{' ' if sign else ''}{path}{text}"
        yield style.paint(line, _SIGNS["create" if sign == "+" else "delete"][1]) + mark if sign else line + mark
