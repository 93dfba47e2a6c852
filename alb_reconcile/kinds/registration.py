"""Registrations of instances in target groups (ELBv2 RegisterTargets, DeregisterTargets)."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._health import keep_capacity, target_key, wait_until_drained, wait_until_healthy
from alb_reconcile.kinds.base import IamActions, Kind
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import ignoring
from alb_reconcile.model.resource import Desired, Observed, Properties
from alb_reconcile.model.steps import Deregister, Register

_MOST: Final = 200
"""Targets of one call; AWS documents no limit."""
_GONE: Final = "TargetGroupNotFound"


@dataclass(frozen=True, kw_only=True)
class Registration(Properties):
    """One target in one group on one port."""

    kind = "registration"
    service = ""
    leaving = frozenset({"draining"})
    replaced_on = frozenset({"target_group", "target", "port"})
    parent = "target_group"

    target_group: Ref
    target: Ref
    port: int


class RegistrationKind(Kind[Registration]):
    """Drives registrations."""

    properties = Registration
    noun = "a registration"
    position = 75
    ready = frozenset({"healthy"})
    quotas = (
        Quota("targets-per-target-group", "targets", 1000, ("target_group",)),
        Quota("targets-per-application-load-balancer", "targets", 1000, ("target_group", "load_balancer")),
    )
    iam_actions = IamActions(
        read=("elasticloadbalancing:DescribeTargetHealth",),
        look=("elasticloadbalancing:DescribeAccountLimits",),
        create=("elasticloadbalancing:RegisterTargets",),
        delete=("elasticloadbalancing:DeregisterTargets",),
    )

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Until health checks have begun; what a look may be behind."""
        return 0, 30 if action == "create" else 15

    async def discover(self, reader: Reader) -> list[Observed]:
        ours = [item for item in await reader.target_groups() if reader.ours(item["Tags"])]
        names: dict[str, str] = {}
        for instance in await reader.instances():
            if address := tags.address_of(tags.from_list(instance.get("Tags")), "instance"):
                names[instance["InstanceId"]] = address.name
        found = await asyncio.gather(*(reader.health(item["TargetGroupArn"]) for item in ours))
        return [
            self._observe(reader, group, names, item) for group, part in zip(ours, found, strict=True) for item in part
        ]

    def _observe(self, reader: Reader, group: dict[str, Any], names: dict[str, str], item: dict[str, Any]) -> Observed:
        parent = tags.own_address(group["Tags"], "target_group", group["TargetGroupArn"])
        target, port = item["Target"]["Id"], int(item["Target"].get("Port") or group["Port"])
        address = Address("registration", f"{parent.name}/{names.get(target, target)}:{port}")
        state = Registration(target_group=group["TargetGroupArn"], target=target, port=port)
        health = item["TargetHealth"]
        return Observed(
            address,
            target_key(group["TargetGroupArn"], target, port),
            state,
            {},
            reader.stack,
            health["State"],
            reason=health.get("Reason", ""),
            description=health.get("Description", ""),
        )

    async def create(self, run: Run, wanted: Registration, desired: Desired) -> str:
        group, target, port = _place(wanted)
        await _together(run, "register_targets", group, f"{target} {port}", waits.TARGET_UNKNOWN)
        key = target_key(group, target, port)
        run.departed.discard(key)
        how = run.detail(Register)
        if how.is_checked:
            await wait_until_healthy(run, group, target, port, how.health_timeout, how.min_ready)
        return key

    async def wait_until_serving(self, run: Run, observed: Observed, timeout: float) -> None:
        await wait_until_healthy(run, *_place(self.of(observed)), timeout)

    async def update(self, run: Run, wanted: Registration, observed: Observed, fields: frozenset[str]) -> None:
        """A registration has nothing that could be changed."""

    async def delete(self, run: Run, observed: Observed) -> None:
        group, target, port = _place(self.of(observed))
        how = run.detail(Deregister)
        if not observed.is_leaving:
            if how.least:
                await keep_capacity(run, group, f"{target}:{port}", how.least, how.health_timeout)
            run.departed.add(observed.id)
            there = False
            with ignoring(_GONE, "InvalidTarget"):
                await _together(run, "deregister_targets", group, f"{target} {port}")
                there = True
            if not there:
                return
        await wait_until_drained(run, group, target, port)


async def _together(run: Run, operation: str, group: str, member: str, retry: waits.Codes | None = None) -> None:
    """One call for all of a group's targets that the same happens to at the same time."""

    async def send(members: Sequence[str]) -> None:
        places = (member.split() for member in members)
        targets = [{"Id": target, "Port": int(port)} for target, port in places]
        await run.aws.call("elbv2", operation, TargetGroupArn=group, Targets=targets)

    await run.together(f"{operation} {group}", member, send, most=_MOST, retry=retry, of_all=[_GONE])


def _place(state: Registration) -> tuple[str, str, int]:
    """The group, the target and the port."""
    return str(state.target_group), str(state.target), state.port


KIND: Final = RegistrationKind()
