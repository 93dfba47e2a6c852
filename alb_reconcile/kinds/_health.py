"""Reads the health of a target group's targets, and waits until targets are healthy or drained (ELBv2 DescribeTargetHealth)."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, Watch
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._targets import target_name
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import RefusedError, ignoring
from alb_reconcile.model.resource import bind
from alb_reconcile.model.steps import Shift, Wanted

_ZONE: Final = "Availability Zone"
"""In AWS's description of a target that isn't in use because the load balancer isn't in the target's zone."""
_NEVER: Final = ("Target.InvalidState", "Target.NotRegistered")
"""AWS's reasons why a target can't get healthy by itself: its instance doesn't run, or the target isn't registered."""
Health = dict[str, Any]
"""What AWS says about a target: its state, and the reason."""
Targets = dict[str, Health]
"""The health of a group's targets, by the targets' names."""


def target_key(group: str, target: str, port: int | None) -> str:
    """The id that this tool gives a registration; AWS gives it none."""
    return f"{group}|{target_name(target, port)}"


def as_checked(health: Health) -> Health:
    """A target's health, where a target without a health check (a function, by default) counts as healthy: it gets requests, too."""
    unchecked = health["State"] == "unavailable" and health.get("Reason") == "Target.HealthCheckDisabled"
    return {**health, "State": "healthy"} if unchecked else health


async def read_health(run: Run, group: str) -> Targets:
    """The health of a group's targets by `target:port`; for a function, by its ARN."""
    with ignoring("TargetGroupNotFound"):
        found = await run.aws.pages("elbv2", "describe_target_health", "TargetHealthDescriptions", TargetGroupArn=group)
        health = {
            target_name(item["Target"]["Id"], item["Target"].get("Port")): as_checked(item["TargetHealth"])
            for item in found
        }
        for name in (name for name, item in health.items() if item["State"] == "healthy"):
            run.targets.ready.setdefault(f"{group}|{name}", run.aws.now())
        return health
    return {}


async def _wait_for_group(run: Run, group: str, check: Callable[[Targets], str], timeout: float) -> None:
    """Wait, with a separate poll, until `check` of the health of all targets of a group returns an empty text."""

    async def fetch(_: set[str]) -> Mapping[str, Targets]:
        return {group: await read_health(run, group)}

    await Watch(run.aws, fetch).until(group, lambda health: check(health or {}), timeout, run.say)


async def wait_until_healthy(
    run: Run, group: str, target: str, port: int | None, timeout: float, min_ready: float = 0
) -> None:
    """Wait until a target has passed the group's health check, and has stayed healthy for `min_ready` seconds.

    Raises WaitError with the target's health: after the time-out; as soon as two reads show a target unhealthy that was healthy before;
    and as soon as a read that can't be stale shows that the target isn't registered any more, or that its instance doesn't run.
    """
    began, ready, relapsed, missing = run.aws.now(), 0.0, 0, 0
    name = target_name(target, port)

    def check(health: Health | None) -> str:
        nonlocal ready, relapsed, missing
        if health and health["State"] == "healthy":
            if relapsed or not ready:
                ready, relapsed = run.aws.now(), 0
            is_ready = run.aws.now() - ready >= min_ready
            return "" if is_ready else f"target {name} to stay healthy for {min_ready:.0f} s"
        # nothing forwards to the group any more, so the target is never checked; a stale read may say so, too
        if health and _is_unasked(health) and run.aws.now() - began > waits.LAG:
            return ""
        now = _words(health or {"State": "unknown"})
        missing = 0 if health and health["State"] != "draining" and _may_run(run, name, health) else missing + 1
        if missing > 1 and run.aws.now() - began > waits.LAG:
            raise WaitError(
                f"target {name} can't get healthy (now {now}): someone has deregistered it, or its instance has been stopped or has ended; run again"
            )
        relapsed += bool(ready and health and health["State"] == "unhealthy")
        if relapsed > 1:  # a single read may be from before the target got healthy
            raise WaitError(f"target {name} was healthy and isn't any more (now {now})")
        return f"target {name} to be healthy (now {now})"

    await run.wait(f"health {group}", lambda _: read_health(run, group), name, check, timeout + min_ready)


def _words(health: Mapping[str, Any]) -> str:
    return " ".join(filter(None, map(health.get, ("State", "Reason", "Description"))))


async def stop_if_ill(run: Run, groups: Iterable[str]) -> None:
    """Raise WaitError if a target that this run has registered in one of the groups isn't healthy any more. One read a group if all are."""
    for group in groups:
        if run.targets.proven(group):
            await _wait_for_group(run, group, _relapse(run, group), waits.LAG)


def _relapse(run: Run, group: str) -> Callable[[Targets], str]:
    """A check that says in words which targets aren't healthy any more of those that this run has registered and that were healthy.
    The second read that shows the same target ill raises WaitError."""
    before: set[str] = set()

    def check(targets: Targets) -> str:
        nonlocal before
        ill = {name for name in run.targets.proven(group) & targets.keys() if targets[name]["State"] == "unhealthy"}
        for name in sorted(ill & before):
            raise WaitError(
                f"target {name}, which this run has registered, was healthy and isn't any more (now {_words(targets[name])}), so the run "
                "replaces no others"
            )
        before = ill
        return f"{', '.join(sorted(ill))} to be healthy again" if ill else ""

    return check


def may_serve(run: Run, group: str, targets: Targets) -> Targets:
    """The targets of a group that are healthy or may get healthy: no targets that leave, and none of instances that don't run."""
    return {
        name: item
        for name, item in targets.items()
        if item["State"] != "draining" and not run.targets.is_out(f"{group}|{name}") and _may_run(run, name, item)
    }


def _may_run(run: Run, name: str, health: Health) -> bool:
    """Whether a target's instance runs, or may start: another step of the run is still to change the instance."""
    changing = (run.ids.get(step.address) for step in run.others.coming() if step.address.kind == "instance")
    return health.get("Reason") not in _NEVER or name.partition(":")[0] in changing


class Hope:
    """Whether a run may still get enough healthy targets. A read may be stale, so hope ends `waits.LAG` seconds after the last read
    that left hope."""

    def __init__(self, run: Run) -> None:
        self._run, self._last = run, run.aws.now()

    def is_lost(self, groups: Collection[str], *, enough: bool) -> bool:
        """Whether hope is over. `enough`: whether the targets that may get healthy (`may_serve`) would be enough."""
        now = self._run.aws.now()
        self._last = now if enough or is_to_grow(self._run, groups) else self._last
        return now - self._last > waits.LAG


def _is_unasked(health: Health) -> bool:
    return is_unasked(health.get("Reason", ""), health.get("Description", ""))


def is_unasked(reason: str, description: str) -> bool:
    """Whether a target isn't checked because nothing forwards to its group, rather than because the load balancer isn't in its zone."""
    return reason == "Target.NotInUse" and _ZONE not in description


async def wait_until_drained(run: Run, group: str, target: str, port: int | None) -> None:
    """Wait until a deregistered target has left. Raises WaitError if another user registers the target again."""
    seen, name = run.aws.now(), target_name(target, port)

    def check(health: Health | None) -> str:
        if health is None or health["State"] == "unused":
            return ""
        if health["State"] != "draining" and run.aws.now() - seen > waits.LAG:
            raise WaitError(f"target {name} was registered again by someone else; run again")
        return f"target {name} to drain"

    await run.wait(f"health {group}", lambda _: read_health(run, group), name, check, waits.TARGET_DRAINED)


async def keep_capacity(run: Run, group: str, target: str, port: int | None, timeout: float) -> None:
    """Wait until a healthy target may leave: while the others are healthy that must stay (`run.targets.staying`). Raises WaitError after the time-out; as soon as there are
    certainly fewer others; and where a target that this run has registered turns unhealthy.

    The plan's reads are past: an earlier run may have been killed, a target may have become unhealthy. Targets that wait at the
    same time are judged by one read, one after another; a target that may leave counts as taken out for the next target.

    Where a read doesn't show the target itself, or shows its first check, the read may be from before the target served.
    While the run is young, a read may be from before a killed run's last call: others count then only if this run registered them.
    """
    own, began = target_name(target, port), run.aws.now()
    relapse, hope = _relapse(run, group), Hope(run)
    doubts, young = min(waits.LAG, timeout / 2), min(waits.EARLIER_RUN, timeout / 2)

    async def fetch(waiting: set[str]) -> Mapping[str, Targets]:
        return dict.fromkeys(waiting, await read_health(run, group))

    def check(targets: Targets) -> str:
        now, state = run.aws.now(), targets.get(own, {}).get("State", "initial")
        if state not in ("healthy", "initial") or (state == "initial" and now - began >= doubts):
            return ""
        if told := relapse(targets):
            return told
        others = {name: item for name, item in targets.items() if name != own}
        able = may_serve(run, group, others)
        healthy = [f"{group}|{name}" for name, item in able.items() if item["State"] == "healthy"]
        certain = [key for key in healthy if now - run.began >= young or run.targets.is_new(key)]
        must = run.targets.staying_with(f"{group}|{own}", run.ids)
        if must.are_among(certain):
            run.targets.take_out(f"{group}|{own}")
            return ""
        if must.are_among(healthy):
            return f"this run to be {waits.EARLIER_RUN} s old: until then AWS's word on older targets may be stale"
        if hope.is_lost([group], enough=must.are_among([f"{group}|{name}" for name in able])):
            few = f"only {len(able)} are there" if len(able) < must.least else f"none is there in {must.zone}"
            raise WaitError(
                f"{own} can't be deregistered: {must.least} other targets must stay, and {few}; someone has deregistered some, or their instances "
                "have been stopped or have ended: run again"
            )
        return f"{must.words} before {own} may be deregistered (now {len(certain)}{_tell_ill(others)})"

    await run.wait(f"capacity {group}", fetch, own, check, timeout)


def is_to_grow(run: Run, groups: Collection[str]) -> bool:
    """Whether another step is still to register a target in one of the groups."""
    states = (step.state for step in run.others.coming() if step.address.kind == "registration")
    return any(bind(getattr(state, "target_group", None), run.ids) in groups for state in states)


def _tell_ill(targets: Targets) -> str:
    """The targets that won't get healthy by themselves, and what to do about them, in words."""
    said = {name: f"{item['State']}, {item.get('Reason')}" for name, item in targets.items()}
    ill = [f"{name} is {it}" for name, it in said.items() if it.startswith("unhealthy") or "InvalidState" in it]
    then = "If it is to be replaced, run again, which replaces it first; else mend it, or correct the spec"
    return f"; {', '.join(ill)}. {then}" if ill else ""


async def wait_for_shift(run: Run, shift: Shift) -> None:
    """Wait until target groups have enough healthy targets to get requests that other groups serve now.

    `shift.hopes` are waited for, and not needed. Raises RefusedError where a group has too few healthy targets, and its unhealthy
    targets had the time of their checks; WaitError if the targets that are being checked don't get healthy in time.
    """
    with suppress(WaitError, RefusedError):
        for wanted in shift.hopes:
            await _wait_for_wanted(run, wanted, shift)
    awaited = [wanted for wanted in shift.awaits if wanted.healthy]
    if not awaited:
        return
    now = await asyncio.gather(*(read_health(run, group) for group in shift.serving))
    away = run.targets.restarting().intersection(shift.serving)
    if away or any(item["State"] == "healthy" for part in now for item in part.values()):
        for wanted in awaited:
            await _wait_for_wanted(run, wanted, shift)
        return
    # where no target serves there are no requests to lose, but other targets may take over, or come back, in a moment
    with suppress(WaitError, RefusedError):
        for wanted in awaited:
            if wanted.running:
                await _wait_for_wanted(run, wanted._replace(healthy=1, enough=1), replace(shift, recovery=0))


async def _wait_for_wanted(run: Run, wanted: Wanted, shift: Shift) -> None:
    """Wait until a group has the wanted number of healthy targets, or has enough healthy targets and can't get more."""
    began, group = run.aws.now(), str(bind(wanted.group, run.ids))

    def check(targets: Targets) -> str:
        staying = {f"{group}|{name}": item for name, item in targets.items() if item["State"] != "draining"}
        there = {key: item for key, item in staying.items() if not run.targets.is_going(key)}
        healthy = sum(item["State"] == "healthy" for item in there.values())
        if healthy >= wanted.healthy:
            return ""
        waited = run.aws.now() - began
        if there and waited > waits.LAG and all(map(_is_unasked, there.values())):
            return ""  # nothing forwards to the group, so that its targets are never checked
        started = {run.ids.get(address) for address in wanted.running}
        able = sum(
            item["State"] != "unhealthy" and (item.get("Reason") not in _NEVER or key in started)
            for key, item in there.items()
        )
        # a stale read may not show all targets yet
        settled = len(there) >= wanted.healthy or waited > waits.LAG
        if settled and able < wanted.healthy:
            if healthy >= wanted.enough:
                return ""
            if able < wanted.enough and waited >= shift.recovery:
                raise RefusedError(
                    f"{wanted.group} has {healthy} healthy targets, and needs {wanted.enough} before it gets requests that "
                    "others serve now; fix its targets and run again"
                )
        return f"{wanted.healthy} healthy targets in {wanted.group}, which takes over (now {healthy})"

    await _wait_for_group(run, group, check, shift.health_timeout)
