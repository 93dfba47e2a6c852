"""A plan as text: what is made, changed, replaced and deleted, and why."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.cli.render.style import Style
from alb_reconcile.kinds._conditions import Condition, Transform
from alb_reconcile.kinds.route_table import Route
from alb_reconcile.kinds.security_group_rules import Permission
from alb_reconcile.model.actions import Forward
from alb_reconcile.model.address import Address
from alb_reconcile.model.lookup import FoundId
from alb_reconcile.model.plan import Plan, Step, plain
from alb_reconcile.model.resource import Change, field_names
from alb_reconcile.model.text import printable

_SIGNS: Final = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "replace": ("-/+", "yellow"),
    "delete": ("-", "red"),
}


def render_plan(plan: Plan, style: Style, *, notice: str = "Nothing has been changed.") -> str:
    """The whole plan. `notice` ends the summary line."""
    return "\n".join(_lines(plan, style, notice))


def _lines(plan: Plan, style: Style, notice: str) -> Iterator[str]:
    yield style.paint(f"{plan.stack} · {plan.region} · account {plan.account}", "bold")
    yield ""
    for step in plan.steps:
        if step.part_of is None:
            yield from _step(plan, step, style)
    if plan.steps:
        yield ""
    for warning in plan.warnings:
        yield style.paint(f"Warning: {printable(warning)}", "yellow")
    for note in plan.kept:
        yield style.paint(f"Note: {printable(note)}", "dim")
    yield summarize(plan, notice)
    if plan.seconds:
        least, most = show_duration(plan.takes[0] // 10 * 10 or 1), show_duration(-(-plan.takes[1] // 10) * 10)
        yield f"Takes about {least} to {most}; up to {show_duration(plan.seconds)} of it by the spec's own settings (health checks, draining, settling)."


def show_duration(seconds: int) -> str:
    """As in `2m 10s`."""
    return " ".join(f"{number}{unit}" for number, unit in zip(divmod(seconds, 60), "ms", strict=True) if number)


def summarize(plan: Plan, notice: str = "") -> str:
    """The summary line."""
    if plan.is_empty:
        why = f"all {plan.total} resources match the spec" if plan.total else "the stack has no resources"
        return f"No changes: {why}."
    words = ", ".join(f"{number} to {action}" for action, number in plan.count().items())
    return f"Plan: {words}. {notice}".rstrip()


def _step(plan: Plan, step: Step, style: Style) -> Iterator[str]:
    sign, color = _SIGNS[step.action]
    remark = f"   ({printable(step.reason)})" if step.reason else ""
    if step.action == "replace":
        remark = f"   {_replacement_order(plan, step)}"
    known = f"  {short_id(step.id)}" if step.id and step.action != "create" else ""
    yield f"  {style.paint(f'{sign} {step.address}', color)}{style.paint(known, 'dim')}{remark}"
    if step.action == "create":
        yield from _properties(plan, step)
    forces = _forces(step)
    width = max((len(change.path) for change in step.changes), default=0)
    for change in step.changes:
        yield from _change(plan, change, width, style, forced=change.path in forces)
    companions = [step, *(other for other in plan.steps if other.part_of == step.key)]
    for text in dict.fromkeys(f"waits until {wait}" for part in companions for wait in part.waits):
        yield f"      {text}"
    for text in dict.fromkeys(effect for part in companions for effect in part.effects):
        yield f"      {text}"


def _replacement_order(plan: Plan, step: Step) -> str:
    old = next((other for other in plan.steps if other.part_of == step.key), None)
    first = old is not None and plan.steps.index(old) < plan.steps.index(step)
    order = "the old one is deleted first" if first else "created before the old one is deleted"
    return f"{order} ({step.reason})" if step.reason and not step.changes else order


def _forces(step: Step) -> set[str]:
    if step.action != "replace" or step.state is None:
        return set()
    return {change.path for change in step.changes if change.path.partition(".")[0] in step.state.replaced_on}


def _properties(plan: Plan, step: Step) -> Iterator[str]:
    if step.state is None:
        return
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
    width = max((len(name) for name, _ in found), default=0)
    for name, value in found:
        yield f"      {name:<{width}}  {_member(name, value, plan)}"


def _change(plan: Plan, change: Change, width: int, style: Style, *, forced: bool) -> Iterator[str]:
    mark = "   forces replacement" if forced else ""
    # a collection; neither a reference nor the parts of an action
    if type(change.after) is tuple and "." not in change.path:
        before, after = list(change.before or ()), list(change.after)
        texts = {_member(change.path, item, plan) for item in after}
        for item in [item for item in before if item not in after]:
            text = _member(change.path, item, plan)
            # the same address: what is there now, and what takes its place
            text = _member(change.path, item, replace(plan, names={})) if text in texts else text
            yield style.paint(f"      - {change.path} {text}", "red") + mark
        for item in [item for item in after if item not in before]:
            yield style.paint(f"      + {change.path} {_member(change.path, item, plan)}", "green") + mark
        return
    old, new = show(change.before, plan), show(change.after, plan)
    if old == new:  # as above
        old = show(change.before, replace(plan, names={}))
    yield f"      {change.path:<{width}}  {old} → {new}{mark}"


def _member(name: str, value: Any, plan: Plan) -> str:
    """A member of the property of that name; what a permission's source means depends on it."""
    if isinstance(value, Permission):
        return _permission(value, "to" if name == "egress" else "from", plan)
    return show(value, plan)


def show(value: Any, plan: Plan) -> str:
    """A property as a user reads it: ids of the stack by their addresses."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, FoundId):
        return printable(f"{short_id(value)} ({value.words})")
    if isinstance(value, str):
        return printable(str(plan.names.get(value) or short_id(value))) if value else '""'
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "(not set)"
    if isinstance(value, Forward):
        # beside the one that it replaces
        new = isinstance(value.target_group, Address) and value.target_group in plan.names.values()
        return f"{'the new ' if new else ''}{show(value.target_group, plan)} at {value.weight}"
    if isinstance(value, Route):
        return f"{value.destination} → {show(value.target, plan)}"
    if isinstance(value, Condition | Transform):
        return printable(str(value))
    if isinstance(value, tuple):
        return ", ".join(show(item, plan) for item in value) or "(none)"
    if hasattr(value, "forward"):
        return _action(value, plan)
    return printable(str(plain(value)))


def _permission(item: Permission, way: str, plan: Plan) -> str:
    ports = item.from_port if item.from_port == item.to_port else f"{item.from_port}-{item.to_port}"
    traffic = "all traffic" if item.protocol == "-1" else f"{item.protocol} {ports}"
    description = f" ({printable(item.description)})" if item.description else ""
    return f"{traffic} {way} {show(item.source, plan)}{description}"


def _action(value: Any, plan: Plan) -> str:
    if value.authentication:
        return f"{printable(str(value.authentication))}, then {_action(replace(value, authentication=None), plan)}"
    if value.unsupported:
        others = printable(", ".join(value.unsupported))
        rest = replace(value, unsupported=())
        return f"{others}, {_action(rest, plan)}" if plain(rest) else others
    if value.forward:
        single = len(value.forward) == 1
        groups = show(value.forward[0].target_group, plan) if single else show(value.forward, plan)
        sticky = f", sticky for {value.stickiness_seconds} s" if value.stickiness_seconds else ""
        return f"forward to {groups}{sticky}"
    name, pairs = ("redirect", value.redirect) if value.redirect else ("answer", value.fixed_response)
    return printable(f"{name} {', '.join(f'{key} {item}' for key, item in pairs)}")


def short_id(physical_id: str) -> str:
    """An id as it is; of an ARN, what tells it from others; of a registration, its target."""
    arn, _, member = physical_id.partition("|")
    return printable(member.replace("|", ":") or (arn.rpartition(":")[2] if arn.startswith("arn:") else arn))
