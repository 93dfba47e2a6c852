"""Renders a stack's state: its resources, the health of its targets, its URLs, and the processes that carry the sandbox's traffic."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from alb_reconcile.api.serving import listeners, not_ready, urls
from alb_reconcile.cli.render.plan import last_run_lines
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.standing import Standing
from alb_reconcile.journal.record import DESTROY_BEGUN
from alb_reconcile.kinds import is_in_order
from alb_reconcile.kinds.display import id_and_name
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.service import Member
from alb_reconcile.model.text import printable
from alb_reconcile.sandbox.client import Process, Traffic
from alb_reconcile.sync.drift import is_ending

_MISSING: Final = "missing"
_MOST: Final = 5
"""The most differing addresses that are named; the rest is counted."""


@dataclass(frozen=True)
class StatusView:
    """A stack as it was seen, its listeners' local URLs in the sandbox by ARN, and how it differs from its spec."""

    stack: str
    region: str
    discovery: Discovery
    local: Mapping[str, str]
    standing: Standing = field(default_factory=Standing)
    clock: str = ""
    """The clock by which times are, if it isn't the world's, in brackets."""
    traffic: Traffic | None = None
    """The processes that carry the sandbox's traffic, if there are any."""
    spec_file: str = ""
    told: str = ""
    warning: str = ""
    """The head and the warning on a stack without resources, as in `last_run_lines`."""

    @property
    def not_ready(self) -> list[str]:
        """What is missing or doesn't answer requests, in words."""
        number = len(self.standing.new)
        verb = "resource isn't" if number == 1 else "resources aren't"
        lines = [f"{number} {verb} there yet; plan shows what apply would make"] if number else []
        if is_ending(self.stack, self.discovery):
            lines = [DESTROY_BEGUN]
        return [*not_ready(self.discovery, self.standing), *lines]

    @property
    def unknown(self) -> Mapping[str, list[str]]:
        """What couldn't be read, by reason."""
        by_error: dict[str, list[str]] = defaultdict(list)
        for name, error in self.discovery.unread.items():
            by_error[error].append(name)
        return by_error

    @property
    def is_there(self) -> bool:
        """Whether the stack has resources."""
        return bool(_visible(self.discovery))

    @property
    def differing(self) -> str:
        """The resources that exist and that the spec wants otherwise, in words; empty if all are as the spec says."""
        differs = self.standing.differs
        named = [*map(str, differs[:_MOST]), *([f"{len(differs) - _MOST} more"] if len(differs) > _MOST else [])]
        plan = f"`{advised('plan', self.spec_file)}`" if self.spec_file else "plan"
        return printable(f"Differs from the spec: {', '.join(named)}; {plan} shows how") if named else ""


def url_lines(discovery: Discovery, local: Mapping[str, str], traffic: Traffic | None) -> list[str]:
    """The URLs as text: a local URL with the one that it stands for, and before it what keeps it from answering."""
    held_up = [f"Traffic is held up: {traffic.problem}"] if traffic and traffic.problem else []
    later = "  (a local URL comes when the load balancer is active; status shows it)" if traffic and not held_up else ""
    return [
        *held_up,
        *(f"{local[arn]}  (here, for {url})" if arn in local else f"{url}{later}" for arn, url in listeners(discovery)),
    ]


class _Row(NamedTuple):
    """A line of the text."""

    address: Address
    status: str
    color: str
    known: str = ""
    reason: str = ""


def _row(item: Observed, fate: str, health: Collection[str], view: StatusView) -> _Row:
    """`health`: the status of the target that the resource is, or of each of its targets."""
    # for one of two resources at an address, and for an unhealthy target, the reader needs the id
    since = f"since {item.created[:19].replace('T', ' ')}Z{view.clock}" if fate and item.created else ""
    then = f"apply {fate} it" if fate else ""
    if fate == "deletes" and "healthy" in health:
        then += " once enough others are healthy"
    elif fate == "keeps" and "unhealthy" in health:
        then += " and waits until it is healthy"
    whose = "" if item.owner == view.stack else f"the stack {item.owner}'s" if item.owner else "not this stack's"
    told = [item.reason, item.description, since, then, whose]
    reason = printable("; ".join(filter(None, [" ".join(filter(None, told[:2])), *told[2:]])))
    is_named = not isinstance(item.state, Member) or fate or not is_in_order(item)
    known = id_and_name(item.id, item.tags, item.address, view.stack) if is_named else ""
    color = "green" if is_in_order(item) else "yellow"
    return _Row(item.address, printable(item.status or "present"), color, known, reason)


def _visible(discovery: Discovery) -> list[Observed]:
    shown = [item for item in discovery.resources if not item.is_gone]
    return sorted(shown, key=lambda item: (item.address.kind, item.address.name, item.id))


def status_json(view: StatusView) -> str:
    """The documented form."""
    fates = view.standing.fates
    resources = [
        {"address": str(item.address), "id": item.id, "status": item.status or "present"}
        | ({"reason": item.reason} if item.reason else {})
        | ({"apply": fates[item.id]} if item.id in fates else {})
        for item in _visible(view.discovery)
    ]
    resources += [{"address": str(address), "id": "", "status": _MISSING} for address in view.standing.missing]
    resources.sort(key=lambda item: item["address"].partition("."))
    return json.dumps(
        {
            "version": 1,
            "stack": view.stack,
            "region": view.region,
            "account": view.discovery.account,
            "resources": resources,
            "not_ready": view.not_ready,
            "differs": [str(address) for address in view.standing.differs],
            "unknown": [{"kinds": kinds, "error": error} for error, kinds in view.unknown.items()],
            "urls": urls(view.discovery, view.local),
            "warnings": [*view.discovery.warnings, *filter(None, [view.warning])],
        },
        indent=2,
    )


def status_text(view: StatusView, style: Style) -> str:
    """The view as text."""
    return "\n".join(_lines(view, style))


def _lines(view: StatusView, style: Style) -> Iterator[str]:
    yield style.paint(f"{view.stack} · {view.region} · account {view.discovery.account}", "bold")
    yield ""
    shown = _visible(view.discovery)
    for warning in view.discovery.warnings:
        yield style.paint(f"Warning: {printable(warning)}", "yellow")
    if not shown:
        yield "The stack has no resources here: run apply, or adopt if they exist already."
        yield from last_run_lines(view.told, view.warning, style)
        yield f"If that surprises you: `{advised('stacks', ('--region', view.region))}` lists the stacks that have some."
        return
    health: dict[str, list[str]] = defaultdict(list)
    for item, state in each_of(shown, Member):
        health[item.id].append(item.status)
        health[str(state.target)].append(item.status)
    rows = [_row(item, view.standing.fates.get(item.id, ""), health[item.id], view) for item in shown]
    rows += [_Row(address, _MISSING, "yellow") for address in view.standing.missing]
    width = max(len(str(row.address)) for row in rows)
    broad = max(len(row.status) for row in rows)
    for row in sorted(rows, key=lambda row: row.address):
        status = style.paint(f"{row.status:<{broad}}", row.color)
        line = f"  {row.address!s:<{width}}  {status}  {style.paint(row.known, 'dim')}"
        yield (f"{line}  {row.reason}" if row.reason else line).rstrip()
    told = [
        *(f"Not ready: {item}" for item in view.not_ready),
        *filter(None, [view.differing]),
        *(f"Unknown: {', '.join(kinds)}: {error}" for error, kinds in view.unknown.items()),
    ]
    if told:
        yield ""
        yield from (style.paint(line, "yellow") for line in told)
    if found := url_lines(view.discovery, view.local, view.traffic):
        yield ""
        yield from found


@dataclass(frozen=True)
class StacksView:
    """How many resources each stack has in a region."""

    region: str
    counts: Mapping[str, int]
    warnings: Sequence[str] = ()


def stacks_text(view: StacksView, _: Style) -> str:
    """A line for each stack."""
    lines = [
        f"{name}  {count} resource{'' if count == 1 else 's'}, not counting listeners, rules and targets"
        for name, count in sorted(view.counts.items())
    ]
    return "\n".join(lines) or f"No stack has resources in {view.region}."


def stacks_json(view: StacksView) -> str:
    """The documented form."""
    stacks = [{"stack": name, "resources": count} for name, count in sorted(view.counts.items())]
    return json.dumps(
        {"version": 1, "region": view.region, "stacks": stacks, "warnings": list(view.warnings)}, indent=2
    )


def traffic_text(traffic: Traffic) -> str:
    """What `sandbox status` says of listeners and instances."""
    lines = [
        "Listeners:",
        *(
            f"  {door.url}  {door.protocol} {door.port} of {door.load_balancer_arn.split('/')[2]}"
            + ("" if door.is_open else ", shut: no security group of it lets anybody in")
            for door in traffic.doors
        ),
    ]
    if not traffic.doors:
        lines = ["No load balancer has a listener."]
    if traffic.processes:
        lines += ["Instances:", *(_process(item) for item in traffic.processes)]
    else:
        lines.append("No instances are running.")
    if traffic.gaps:
        lines += ["Not imitated:", *(f"  {arn.split('/')[2]}: {text}" for arn, text in traffic.gaps)]
    if traffic.problem:
        lines += ["", f"Traffic is held up: {traffic.problem}"]
    return "\n".join(lines)


def _process(item: Process) -> str:
    runs = f"process {item.pid}" if item.pid else "no process"
    ports, owner = ", ".join(map(str, item.ports)), f"  {item.owner}" if item.owner else ""
    told = f"  {item.instance_id}{owner}  {item.state:<7}  port {item.local_port} for {ports}  {runs}"
    if item.restarts:
        told += f"  restarts {item.restarts}, the last after: {item.note}"
    elif item.note:
        told += f"  {item.note}"
    return told
