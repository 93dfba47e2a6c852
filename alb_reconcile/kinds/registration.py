"""Registrations of instances in target groups (ELBv2 RegisterTargets, DeregisterTargets)."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from alb_reconcile.aws.polling import WaitError, Watch
from alb_reconcile.kinds.base import Kind
from alb_reconcile.kinds.context import NOT_YET
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.diff import bind
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader

_UNKNOWN: Final = {"TargetGroupNotFound": NOT_YET, "InvalidTarget": NOT_YET}
_DRAIN_TIMEOUT: Final = 3600 + 120.0
"""AWS's longest deregistration delay, and some."""


@dataclass(frozen=True, kw_only=True)
class Registration(Kind):
    """One target in one group on one port."""

    kind: ClassVar[str] = "registration"
    service: ClassVar[str] = ""
    replaced_on: ClassVar[frozenset[str]] = frozenset({"target_group", "target", "port"})
    parent: ClassVar[str | None] = "target_group"

    target_group: Ref
    target: Ref
    port: int

    @classmethod
    async def discover(cls, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.target_groups() if reader.ours(item["Tags"])]
        names: dict[str, str] = {}
        for reservation in await reader.tagged("describe_instances", "Reservations"):
            for instance in reservation["Instances"]:
                address = tags.address_of(tags.from_list(instance.get("Tags")), "instance")
                if address:
                    names[instance["InstanceId"]] = address.name
        found = await asyncio.gather(*(reader.health(item["TargetGroupArn"]) for item in ours))
        return [
            cls._observe(reader, group, names, item)
            for group, part in zip(ours, found, strict=True)
            for item in part
        ]

    @classmethod
    def _observe(
        cls, reader: Reader, group: dict[str, Any], names: dict[str, str], item: dict[str, Any]
    ) -> Observed:
        parent = tags.address_of(group["Tags"], "target_group") or tags.unnamed(
            "target_group", group["TargetGroupArn"]
        )
        target, port = item["Target"]["Id"], int(item["Target"].get("Port") or group["Port"])
        address = Address("registration", f"{parent.name}/{names.get(target, target)}:{port}")
        state = cls(target_group=group["TargetGroupArn"], target=target, port=port)
        health = item["TargetHealth"]
        facts = {"reason": health.get("Reason", ""), "description": health.get("Description", "")}
        return Observed(
            address,
            target_key(group["TargetGroupArn"], target, port),
            state,
            {},
            reader.stack,
            health["State"],
            facts=facts,
        )

    async def create(self, run: Run, desired: Desired, salt: str) -> str:
        group, target = str(self.target_group), str(self.target)
        await run.aws.call(
            "elbv2",
            "register_targets",
            retry=_UNKNOWN,
            TargetGroupArn=group,
            Targets=[{"Id": target, "Port": self.port}],
        )
        run.departed.discard(target_key(group, target, self.port))
        if run.notes.get("checked"):
            await self.wait_until_healthy(run, float(run.notes.get("health_timeout", 600)))
        return target_key(group, target, self.port)

    async def wait_until_healthy(self, run: Run, timeout: float) -> None:
        """Wait for the group's own health check to pass. Raises WaitError with what the target says."""

        began = run.aws.now()

        def check(health: Any) -> str:
            if health and health["State"] == "healthy":
                return ""
            # nothing forwards to the group any more, so nobody will ever check it; a read that lags may say so, too
            if health and health.get("Reason") == "Target.NotInUse" and run.aws.now() - began > _LAG:
                return ""
            said = (
                " ".join(filter(None, (health["State"], health.get("Reason"), health.get("Description"))))
                if health
                else "unknown"
            )
            return f"target {self.target}:{self.port} to be healthy (now {said})"

        watch = _watch(run, str(self.target_group))
        await watch.until(f"{self.target}:{self.port}", check, timeout, run.say)

    async def update(self, run: Run, observed: Observed, fields: frozenset[str]) -> None:
        """A registration has nothing that could be changed."""

    @classmethod
    async def delete(cls, run: Run, observed: Observed) -> None:
        state = observed.state
        assert isinstance(state, cls)  # noqa: S101 (for mypy: a kind only ever deletes its own)
        group, target = str(state.target_group), str(state.target)
        if not observed.is_leaving:
            settle = float(run.notes.get("settle", 0))
            if settle:
                run.say(f"{settle:.0f} s for the switch to reach every node of the load balancer")
                await run.aws.sleep(settle)
            async with run.lock(group):
                await state._keep_capacity(run)
                there = await run.gone(
                    "elbv2", "deregister_targets", missing=("TargetGroupNotFound", "InvalidTarget"),
                    TargetGroupArn=group, Targets=[{"Id": target, "Port": state.port}],
                )  # fmt: skip
                run.departed.add(observed.id)
            if not there:
                return
        seen = run.aws.now()

        def check(health: Any) -> str:
            if health is None or health["State"] == "unused":
                return ""
            if health["State"] != "draining" and run.aws.now() - seen > _LAG:
                raise WaitError(
                    f"target {target}:{state.port} was registered again by somebody else; run again"
                )
            return f"target {target}:{state.port} to drain"

        await _watch(run, group).until(f"{target}:{state.port}", check, _DRAIN_TIMEOUT, run.say)

    async def _keep_capacity(self, run: Run) -> None:
        """Let a healthy target leave only while enough others are healthy. Raises WaitError if they never are.

        What the plan saw is past: an earlier run may have been killed, a target may have fallen ill.
        """
        least = int(run.notes.get("least", 0))
        if not least:
            return
        group, own = str(self.target_group), f"{self.target}:{self.port}"

        def check(health: Any) -> str:
            targets: dict[str, dict[str, Any]] = health or {}
            if targets.get(own, {}).get("State") != "healthy":
                return ""
            others = [
                key
                for key, item in targets.items()
                if item["State"] == "healthy" and key != own and f"{group}|{key}" not in run.departed
            ]
            return (
                ""
                if len(others) >= least
                else f"{least} other healthy targets before {own} may leave (now {len(others)})"
            )

        async def fetch(_: set[str]) -> Mapping[str, Any]:
            return {own: await read_health(run, group)}

        await Watch(run.aws, fetch).until(own, check, float(run.notes.get("health_timeout", 600)), run.say)


async def wait_for_groups(run: Run, awaited: Iterable[tuple[Ref, int]], serving: Iterable[str]) -> None:
    """Let groups get requests that others serve now (by ARN) only with so many healthy targets each.

    Where no group that serves now has a healthy target there is nothing to lose, and nothing is waited for. Raises
    RefusedError where a group is too far from it, WaitError if those that are being checked don't get there in
    `health_timeout`.
    """
    now = await asyncio.gather(*(read_health(run, group) for group in serving))
    if not any(item["State"] == "healthy" for part in now for item in part.values()):
        return
    for group, least in awaited:
        arn = str(bind(group, run.ids))

        async def fetch(_: set[str], arn: str = arn) -> Mapping[str, Any]:
            return {arn: await read_health(run, arn)}

        await Watch(run.aws, fetch).until(
            arn, _enough(run, group, least), float(run.notes.get("health_timeout") or 600), run.say
        )


def _enough(run: Run, group: Ref, least: int) -> Callable[[Any], str]:
    began = run.aws.now()

    def check(health: Any) -> str:
        states = Counter(item["State"] for item in (health or {}).values())
        if states["healthy"] >= least:
            return ""
        registered = states.total() - states["draining"]
        # of those that aren't shown yet a read may be behind
        settled = registered >= least or run.aws.now() - began > _LAG
        if settled and registered - states["unhealthy"] < least:
            raise RefusedError(
                f"{group} has {states['healthy']} healthy targets, and must have {least} before it gets requests that others "
                "serve now; mend its targets and run again, or set its min_healthy"
            )
        return f"{least} healthy targets in {group}, which takes over (now {states['healthy']})"

    return check


_LAG: Final = 120.0
"""Seconds for which a read may still show what was before."""


def target_key(group: str, target: str, port: int) -> str:
    """The id of a registration, which AWS gives none."""
    return f"{group}|{target}:{port}"


def _watch(run: Run, group: str) -> Watch:
    """The one poll of a target group's health."""

    async def fetch(_: set[str]) -> Mapping[str, Any]:
        return await read_health(run, group)

    return run.watch(f"health {group}", fetch)


async def read_health(run: Run, group: str) -> dict[str, dict[str, Any]]:
    """The health of a group's targets by `target:port`."""
    try:
        found = await run.aws.pages(
            "elbv2", "describe_target_health", "TargetHealthDescriptions", TargetGroupArn=group
        )
    except AwsError as error:
        if error.code != "TargetGroupNotFound":
            raise
        return {}
    return {f"{item['Target']['Id']}:{item['Target'].get('Port')}": item["TargetHealth"] for item in found}
