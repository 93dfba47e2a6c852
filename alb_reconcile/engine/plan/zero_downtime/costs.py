"""Tells what each step costs the clients: how many healthy targets stay, what the step waits for, and for how long."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.engine.plan.graph import Graph
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.plan import Need, Step
from alb_reconcile.model.resource import Properties
from alb_reconcile.model.service import Member, Pool
from alb_reconcile.model.steps import Deregister, Register, Shift, TakeOver

_CHECK: Final = {"interval_seconds": 30, "healthy_threshold_count": 5}
_DELAY: Final = 300
"""AWS's defaults, in seconds, for settings that neither the spec nor the group has (health check, deregistration delay)."""
DRAINED: Final = "drained"
"""The first word of a step's wait for draining targets."""
_SHOWN: Final = 60
"""Seconds until AWS shows what the checks have found."""


def add_costs(graph: Graph) -> None:
    """Add to each step what it waits for, how many healthy targets stay, and how many seconds that takes.

    Assumes that all other passes are done; changes no order.
    """
    for step in list(graph.steps.values()):
        seconds, settled = step.pause
        fields = step.tops
        if kind := load_kinds().get(step.address.kind):  # a step that orders rules has no kind
            least, most = kind.takes(step.action, fields)
            graph.steps[step.key] = replace(step, takes=(step.takes[0] + least, step.takes[1] + most))
        if seconds:
            _cost(graph, step, seconds, f"{settled} ({seconds} s)")
        if step.plays(Member):
            _registration(graph, step)
        for group, least, *_ in (*step.detail(Shift).awaits, *step.detail(TakeOver).shift.awaits):
            if least:
                _cost(graph, step, 0, f"{_name(graph, group)} has {healthy_targets(least)}")


def _registration(graph: Graph, step: Step) -> None:
    if _is_function(step):
        return  # a function doesn't drain and, by default, isn't checked
    if step.action in ("create", "replace"):
        if (joins := step.detail(Register)).is_checked:
            group = group_of(step)
            interval = int(_settings(graph, group, "health_check").get("interval_seconds", _CHECK["interval_seconds"]))
            stays = f", and for {joins.min_ready} s more" if joins.min_ready else ""
            _cost(graph, step, interval + joins.min_ready, f"healthy (one passed check, every {interval} s){stays}")
        return
    if graph.destroy or (step.observed and step.observed.status == "unused") or step.detail(Deregister).unused:
        return
    delay = delay_of(graph, step.observed.state if step.observed else None)
    _cost(graph, step, delay, f"{DRAINED} (up to {delay} s)")
    told = graph.steps[step.key]
    graph.steps[step.key] = replace(
        told, takes=(told.takes[0] - delay, told.takes[1])
    )  # targets of an unused group don't drain


def _is_function(step: Step) -> bool:
    states = (step.desired.state if step.desired else None, step.observed.state if step.observed else None)
    return any(isinstance(state, Member) and state.outlives_parent for state in states)


def _cost(graph: Graph, step: Step, seconds: int, waits: str) -> None:
    graph.say(step.key, waits=waits)
    told = graph.steps[step.key]
    graph.steps[step.key] = replace(told, seconds=told.seconds + seconds)


def healthy_targets(count: int) -> str:
    """A number of healthy targets, in words."""
    return f"{count} healthy target{'' if count == 1 else 's'}"


def group_of(step: Step) -> Ref:
    """The target group of a step that registers or deregisters a target."""
    state = step.desired.state if step.desired else step.observed.state if step.observed else None
    return state.target_group if isinstance(state, Member) else ""


def _name(graph: Graph, group: Ref) -> str:
    return str(graph.addresses.get(str(group), group))


def delay_of(graph: Graph, registration: Properties | None, unknown: int = _DELAY) -> int:
    """How many seconds a target of that registration's group drains; `unknown` if that wasn't read."""
    group = registration.target_group if isinstance(registration, Member) else ""
    found = _settings(graph, group, "attributes", leaving=True)
    return int(found.get("deregistration_delay.timeout_seconds", unknown))


def _settings(graph: Graph, group: Ref, name: str, *, leaving: bool = False) -> Mapping[str, Any]:
    """The settings of a group: those in the spec, else those that the group has now; for a target that leaves, only the latter."""
    address = graph.addresses.get(str(group), group)
    decision = graph.decisions.desired.get(address) if isinstance(address, Address) else None
    wanted = decision.desired.creation if decision and not leaving else None
    found = graph.groups.get(str(group)) or (decision.found if decision else None)
    states = (found.state if found else None, wanted)
    parts = [getattr(state, name) or {} for state in states if isinstance(state, Pool)]
    return {key: value for part in parts for key, value in part.items()}


def recovery_of(graph: Graph, groups: Iterable[Ref]) -> int:
    """The seconds until unhealthy targets of the slowest of these groups have passed enough checks, and AWS shows it."""
    checks = [{**_CHECK, **_settings(graph, group, "health_check")} for group in groups]
    checked = (int(item["interval_seconds"]) * int(item["healthy_threshold_count"]) for item in checks)
    return max(checked, default=0) + _SHOWN


def longest(steps: Iterable[Step], seconds: Callable[[Step], int], departing: int = 0) -> int:
    """The seconds of the longest chain of steps. The steps are in an order that follows `needs`. Targets that need a number of other
    healthy ones leave no sooner than after `departing` seconds."""
    return max((end for _, end in times(steps, seconds, departing).values()), default=0)


def times(steps: Iterable[Step], seconds: Callable[[Step], int], departing: int = 0) -> dict[str, tuple[int, int]]:
    """The seconds after which each step begins and ends, by key, if it waits only for its needs among these steps."""
    found: dict[str, tuple[int, int]] = {}
    for step in steps:
        earlier = (found[key][step.needs[key] is not Need.ANNOUNCED] for key in step.needs if key in found)
        begin = max(earlier, default=0)
        found[step.key] = begin, max(begin, departing if step.detail(Deregister).least else 0) + seconds(step)
    return found
