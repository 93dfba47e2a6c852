"""Describes a gap in a plan: which requests aren't answered, from which step until which one, and how to avoid that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from alb_reconcile.engine.plan.rehearsal import Gap
from alb_reconcile.engine.plan.zero_downtime.costs import times
from alb_reconcile.engine.safety import ALONE
from alb_reconcile.model.plan import Plan, Step
from alb_reconcile.model.resource import Properties
from alb_reconcile.model.service import Frontend, Member, RoutingRule

_IN_TWO: Final = "make it in two applies, the first one with"
_BESIDE: Final[Mapping[type[Properties], str]] = {
    Member: f"{_IN_TWO} a higher count, so that others answer meanwhile",
    RoutingRule: f"{_IN_TWO} another rule for the same conditions, which answers meanwhile",
    Frontend: "without a gap the listener that has the port keeps it, and its action changes instead",
}
"""How to avoid a gap if the step that ends it can't come first, by the part in the service of that step's resource."""


def tell_gap(plan: Plan, gap: Gap) -> str:
    """The gap in words: how long it takes, and how to avoid it."""
    return f"{gap.text}, {_how_long(plan, gap)}; {_way_out(gap)}"


def _how_long(plan: Plan, gap: Gap) -> str:
    begin, end = gap.begin, gap.end
    if end is None:
        return f"from {_name(begin)} until the end of this plan"
    spans = (
        times(plan.steps, lambda step: step.seconds + step.takes[0]),
        times(plan.steps, lambda step: step.seconds + step.takes[1]),
    )
    least, most = (max(span[end.key][1] - span[begin.key][0] - begin.pause[0], 0) for span in spans)
    about = f"about {most} s" if least == most else f"about {least} to {most} s" if least else f"up to {most} s"
    return f"{f'for {about}, ' * bool(most)}from {_name(begin)} until {_name(end)} is done"


def _name(step: Step) -> str:
    return f'"{step.action} {step.address}"'


def _way_out(gap: Gap) -> str:
    """How to avoid the gap: two applies, of which the first makes a resource that answers meanwhile."""
    if ALONE in gap.text:
        return f"{'set max_surge, or ' * bool(gap.end and gap.end.plays(Member))}make it with cross-zone load balancing on, and switch that off in a second apply"
    found = (text for part, text in _BESIDE.items() if gap.end and gap.end.plays(part))
    return next(found, f"{_IN_TWO} what is new beside what there is")
