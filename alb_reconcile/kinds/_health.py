"""The health of a target group's targets, and who waits for it (ELBv2 DescribeTargetHealth)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, Watch
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._targets import target_name
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import RefusedError, ignoring
from alb_reconcile.model.resource import Properties, bind
from alb_reconcile.model.steps import Shift, Wanted

_ZONE: Final = "Availability Zone"
"""In AWS's description of a target that isn't in use for the zone that it is in, which the load balancer doesn't have."""


def target_key(group: str, target: str, port: int | None) -> str:
    """The id of a registration, which AWS gives none."""
    return f"{group}|{target_name(target, port)}"


def as_checked(health: dict[str, Any]) -> dict[str, Any]:
    """A target's health. One that nobody checks (a function, by default) gets requests like one that is healthy."""
    unchecked = health["State"] == "unavailable" and health.get("Reason") == "Target.HealthCheckDisabled"
    return {**health, "State": "healthy"} if unchecked else health


async def read_health(run: Run, group: str) -> dict[str, dict[str, Any]]:
    """The health of a group's targets by `target:port`; of a function, by its ARN."""
    with ignoring("TargetGroupNotFound"):
        found = await run.aws.pages("elbv2", "describe_target_health", "TargetHealthDescriptions", TargetGroupArn=group)
        health = {
            target_name(item["Target"]["Id"], item["Target"].get("Port")): as_checked(item["TargetHealth"])
            for item in found
        }
        for name in (name for name, item in health.items() if item["State"] == "healthy"):
            run.ready.setdefault(f"{group}|{name}", run.aws.now())
        return health
    return {}


def _watch(run: Run, group: str) -> Watch:
    """The one poll of a target group's health."""

    async def fetch(_: set[str]) -> Mapping[str, Any]:
        return await read_health(run, group)

    return run.watch(f"health {group}", fetch)


async def _wait_for_group(
    run: Run, group: str, check: Callable[[dict[str, dict[str, Any]]], str], timeout: float
) -> None:
    """Wait for something that all targets of a group decide, with a poll of its own."""

    async def fetch(_: set[str]) -> Mapping[str, Any]:
        return {group: await read_health(run, group)}

    await Watch(run.aws, fetch).until(group, lambda health: check(health or {}), timeout, run.say)


async def wait_until_healthy(
    run: Run, group: str, target: str, port: int | None, timeout: float, min_ready: float = 0
) -> None:
    """Wait for the group's own health check to pass, and to have passed for `min_ready` seconds.

    Raises WaitError with what the target says, where it was healthy before as soon as two looks say so; and where it isn't registered
    any more, as soon as a read can't be from before it was.
    """
    began, ready, relapsed, missing = run.aws.now(), 0.0, 0, 0
    name = target_name(target, port)

    def check(health: Any) -> str:
        nonlocal ready, relapsed, missing
        if health and health["State"] == "healthy":
            if relapsed or not ready:
                ready, relapsed = run.aws.now(), 0
            is_ready = run.aws.now() - ready >= min_ready
            return "" if is_ready else f"target {name} to stay healthy for {min_ready:.0f} s"
        # nothing forwards to the group any more, so nobody will ever check it; a read that lags may say so, too
        unused = health and is_unasked(health.get("Reason", ""), health.get("Description", ""))
        if unused and run.aws.now() - began > waits.LAG:
            return ""
        missing = missing + 1 if health is None or health["State"] == "draining" else 0
        if missing > 1 and run.aws.now() - began > waits.LAG:
            raise WaitError(
                f"target {name} isn't registered any more: someone has deregistered it, or its instance has ended; run again"
            )
        now = _words(health or {"State": "unknown"})
        relapsed += bool(ready and health and health["State"] == "unhealthy")
        if relapsed > 1:  # one look may show what was before it got healthy
            raise WaitError(f"target {name} was healthy and isn't any more (now {now})")
        return f"target {name} to be healthy (now {now})"

    await _watch(run, group).until(name, check, timeout + min_ready, run.say)


def _words(health: Mapping[str, Any]) -> str:
    return " ".join(filter(None, map(health.get, ("State", "Reason", "Description"))))


async def stop_if_ill(run: Run, groups: Iterable[str]) -> None:
    """Raise WaitError if a target that this run has registered in one of the groups isn't healthy any more. One read a group, where all are."""
    for group in groups:
        if any(key.startswith(f"{group}|") for key in run.passed):
            await _wait_for_group(run, group, _relapse(run, group), waits.LAG)


def _relapse(run: Run, group: str) -> Callable[[Mapping[str, Any]], str]:
    """Looks at targets that this run has registered and that were healthy: which of them aren't any more, in words. The second such
    look raises WaitError."""
    before: set[str] = set()

    def check(targets: Mapping[str, Any]) -> str:
        nonlocal before
        ill = {
            name for name, item in targets.items() if item["State"] == "unhealthy" and f"{group}|{name}" in run.passed
        }
        for name in sorted(ill & before):
            raise WaitError(
                f"target {name}, which this run has registered, was healthy and isn't any more (now {_words(targets[name])}), so the run "
                "replaces no others"
            )
        before = ill
        return f"{', '.join(sorted(ill))} to be healthy again" if ill else ""

    return check


def is_unasked(reason: str, description: str) -> bool:
    """Whether a target isn't checked since nothing forwards to its group, rather than since the load balancer isn't in its zone."""
    return reason == "Target.NotInUse" and _ZONE not in description


async def wait_until_drained(run: Run, group: str, target: str, port: int | None) -> None:
    """Wait until a deregistered target has left. Raises WaitError if somebody registers it again."""
    seen, name = run.aws.now(), target_name(target, port)

    def check(health: Any) -> str:
        if health is None or health["State"] == "unused":
            return ""
        if health["State"] != "draining" and run.aws.now() - seen > waits.LAG:
            raise WaitError(f"target {name} was registered again by someone else; run again")
        return f"target {name} to drain"

    await _watch(run, group).until(name, check, waits.TARGET_DRAINED, run.say)


async def keep_capacity(run: Run, group: str, target: str, port: int | None, least: int, timeout: float) -> None:
    """Let a healthy target leave only while `least` others are healthy. Raises WaitError if they never are: also as soon as it is certain
    that there are fewer, and where one that this run has registered turns unhealthy.

    What the plan saw is past: an earlier run may have been killed, a target may have become unhealthy. Those who wait at the
    same time are judged by one read, one after another; who may leave counts as departed for the next one.

    Where a read doesn't show the target itself, or only as checked for the first time, it may be from before the target served.
    While the run is young, a read may be from before a killed run's last call: others count then only if this run registered them.
    """
    own, began = target_name(target, port), run.aws.now()
    relapse, enough = _relapse(run, group), began
    doubts, of_others = min(waits.LAG, timeout / 2), min(waits.EARLIER_RUN, timeout / 2)

    async def fetch(waiting: set[str]) -> Mapping[str, Any]:
        return dict.fromkeys(waiting, await read_health(run, group))

    def check(targets: dict[str, dict[str, Any]]) -> str:
        nonlocal enough
        state = targets.get(own, {}).get("State", "initial")
        if state not in ("healthy", "initial") or (state == "initial" and run.aws.now() - began >= doubts):
            return ""
        if told := relapse(targets):
            return told
        there = {
            key: item["State"]
            for key, item in targets.items()
            if item["State"] != "draining"
            and key != own
            and run.departed.isdisjoint((f"{group}|{key}", key.split(":")[0]))
        }
        healthy = [key for key, state in there.items() if state == "healthy"]
        is_young = run.aws.now() - run.began < of_others
        others = [key for key in healthy if not is_young or f"{group}|{key}" in run.arrived]
        if len(others) >= least:
            run.departed.add(f"{group}|{own}")
            return ""
        if len(healthy) >= least:
            return f"this run to be {waits.EARLIER_RUN} s old: until then AWS's word on older targets may be stale"
        if len(there) >= least or any(map(joins, run.coming())):
            enough = run.aws.now()
        elif run.aws.now() - enough > waits.LAG:
            raise WaitError(
                f"{own} can't be deregistered: {least} other targets must stay, and only {len(there)} are there; someone has deregistered some, or "
                "their instances have ended: run again"
            )
        words = {key: f"{item['State']}, {item.get('Reason')}" for key, item in targets.items() if key != own}
        ill = {key: text for key, text in words.items() if text.startswith("unhealthy") or "InvalidState" in text}
        told = ", ".join(f"{key} is {text}" for key, text in ill.items())
        hint = (
            f"; {told}. If it is to be replaced, run again, which replaces it first; else mend it, or correct the spec"
            if ill
            else ""
        )
        return f"{least} other healthy targets before {own} may be deregistered (now {len(others)}{hint})"

    def joins(state: Properties) -> bool:
        return state.kind == "registration" and bind(getattr(state, "target_group", None), run.ids) == group

    await run.watch(f"capacity {group}", fetch).until(own, check, timeout, run.say)


async def wait_for_shift(run: Run, shift: Shift) -> None:
    """Let target groups get requests that others serve now only when they have enough healthy targets.

    What is only hoped for is waited for, and does without. Raises RefusedError where a group is too far from it, and its unhealthy
    targets had the time of their checks; WaitError if the targets that are being checked don't get there in time.
    """
    with suppress(WaitError, RefusedError):
        for wanted in shift.hopes:
            await _wait_for_wanted(run, wanted, shift)
    awaited = [wanted for wanted in shift.awaits if wanted.healthy]
    if not awaited:
        return
    now = await asyncio.gather(*(read_health(run, group) for group in shift.serving))
    # who served, and has left to be restarted, comes back
    away = {key.partition("|")[0] for key in run.departed & run.resting}
    if any(item["State"] == "healthy" for part in now for item in part.values()) or away.intersection(shift.serving):
        for wanted in awaited:
            await _wait_for_wanted(run, wanted, shift)
        return
    # where nobody serves there is nothing to lose, but others may take over, or come back, in a moment
    with suppress(WaitError, RefusedError):
        for wanted in awaited:
            if wanted.running:
                await _wait_for_wanted(run, wanted._replace(healthy=1, enough=1), replace(shift, recovery=0))


async def _wait_for_wanted(run: Run, wanted: Wanted, shift: Shift) -> None:
    await _wait_for_group(run, str(bind(wanted.group, run.ids)), _enough(run, wanted, shift), shift.health_timeout)


def _enough(run: Run, wanted: Wanted, shift: Shift) -> Callable[[dict[str, dict[str, Any]]], str]:
    group, least, enough, running = wanted
    began, prefix = run.aws.now(), f"{bind(group, run.ids)}|"

    def check(health: dict[str, dict[str, Any]]) -> str:
        own = {run.ids.get(address) for address in running}
        gone = (run.leaving | run.departed) - run.arrived
        staying = {key: item for name, item in health.items() if (key := prefix + name) not in gone}
        there = {key: item for key, item in staying.items() if item["State"] != "draining"}
        healthy = sum(item["State"] == "healthy" for item in there.values())
        if healthy >= least:
            return ""
        waited = run.aws.now() - began
        if (
            there
            and waited > waits.LAG
            and all(is_unasked(item.get("Reason", ""), item.get("Description", "")) for item in there.values())
        ):
            return ""  # nothing forwards to the group, so that nobody will ever check it
        # of those that aren't shown yet a read may be behind
        settled = len(there) >= least or waited > waits.LAG
        able = sum(
            item["State"] != "unhealthy" and (item.get("Reason") != "Target.InvalidState" or key in own)
            for key, item in there.items()
        )
        if settled and able < least:
            if healthy >= enough:
                return ""
            if able < enough and waited >= shift.recovery:
                raise RefusedError(
                    f"{group} has {healthy} healthy targets, and needs {enough} before it gets requests that "
                    "others serve now; fix its targets and run again"
                )
        return f"{least} healthy targets in {group}, which takes over (now {healthy})"

    return check
