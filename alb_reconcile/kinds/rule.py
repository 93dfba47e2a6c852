"""Listener rules (ELBv2 CreateRule, ModifyRule, SetRulePriorities, DeleteRule)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from alb_reconcile.kinds._elb import action_from_aws, action_to_aws, is_ours
from alb_reconcile.kinds.base import Kind
from alb_reconcile.kinds.context import NOT_YET
from alb_reconcile.model import tags
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Observed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from alb_reconcile.kinds.context import Run
    from alb_reconcile.kinds.reader import Reader
    from alb_reconcile.model.resource import Facts

_UNKNOWN: Final = {"ListenerNotFound": 60.0, "TargetGroupNotFound": NOT_YET, "RuleNotFound": 60.0}
_PATIENCE: Final = 120.0
"""Seconds for which reads may not show a rule that we made."""
_FIELDS: Final = {
    "host_header": ("host-header", "HostHeaderConfig"),
    "path_pattern": ("path-pattern", "PathPatternConfig"),
}


@dataclass(frozen=True, kw_only=True)
class Rule(Kind):
    """A rule. `conditions` are (field, values) pairs, as in `("path_pattern", ("/v2/*",))`."""

    kind: ClassVar[str] = "rule"
    service: ClassVar[str] = "elbv2"
    replaced_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    parent: ClassVar[str | None] = "listener"

    listener: Ref
    priority: int
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    action: Action

    def slots(self) -> Iterable[Hashable]:
        """None: priorities are moved by one call of their own, before rules are made and deleted."""
        return ()

    def settle(self, observed: Observed | None, facts: Facts) -> Self:
        if observed is None or not isinstance(observed.state, Rule):
            return self
        return replace(self, action=self.action.settle(observed.state.action, facts.addresses))

    @classmethod
    async def discover(cls, reader: Reader) -> list[Observed]:
        balancers = [
            item["LoadBalancerArn"] for item in await reader.load_balancers() if reader.ours(item["Tags"])
        ]
        found = await asyncio.gather(*(reader.listeners(arn) for arn in balancers))
        listeners = [item for part in found for item in part]
        rules = await asyncio.gather(*(reader.rules(item["ListenerArn"]) for item in listeners))
        return [
            cls._observe(reader, listener, item)
            for listener, part in zip(listeners, rules, strict=True)
            for item in part
        ]

    @classmethod
    def _observe(cls, reader: Reader, listener: dict[str, Any], item: dict[str, Any]) -> Observed:
        own = tags.address_of(item["Tags"], "rule") if reader.ours(item["Tags"]) else None
        parent = tags.address_of(listener["Tags"], "listener")
        address = own or Address("rule", f"{parent.name if parent else listener['Port']}/#{item['Priority']}")
        state = cls(
            listener=listener["ListenerArn"],
            priority=int(item["Priority"]),
            conditions=tuple(sorted(map(_condition, item["Conditions"]))),
            action=action_from_aws(item["Actions"]),
        )
        return Observed(address, item["RuleArn"], state, item["Tags"], item["Tags"].get(tags.STACK))

    async def create(self, run: Run, desired: Desired, salt: str) -> str:
        try:
            answer = await run.aws.call(
                "elbv2", "create_rule", retry=_UNKNOWN, ListenerArn=self.listener, Priority=self.priority, Conditions=self._conditions(),
                Actions=action_to_aws(self.action), Tags=run.tag_list(desired),
            )  # fmt: skip
        except AwsError as error:
            if error.code != "PriorityInUse":
                raise
            return await self._find(run, desired, error)
        return str(answer["Rules"][0]["RuleArn"])

    async def _find(self, run: Run, desired: Desired, error: AwsError) -> str:
        """Who has the priority: we ourselves, whose reply got lost, or a stranger. Reads may be behind."""
        started, pause = run.aws.now(), 1.0
        while True:
            for item in await run.aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=self.listener):
                if item["Priority"] == str(self.priority) and await is_ours(run, desired, item["RuleArn"]):
                    return str(item["RuleArn"])
            if run.aws.now() - started > _PATIENCE:
                raise RefusedError(
                    f"{desired.address}: priority {self.priority} was taken meanwhile by a rule that isn't this stack's; run again ({error.code})"
                )
            await run.aws.sleep(pause)
            pause = min(pause * 2, 15)

    def _conditions(self) -> list[dict[str, Any]]:
        return [
            {"Field": _FIELDS[field][0], _FIELDS[field][1]: {"Values": list(values)}}
            for field, values in self.conditions
        ]

    async def update(self, run: Run, observed: Observed, fields: frozenset[str]) -> None:
        if fields & {"conditions", "action"}:
            await run.aws.call(
                "elbv2",
                "modify_rule",
                retry=_UNKNOWN,
                RuleArn=observed.id,
                Conditions=self._conditions(),
                Actions=action_to_aws(self.action),
            )

    @classmethod
    async def delete(cls, run: Run, observed: Observed) -> None:
        await run.gone("elbv2", "delete_rule", missing=("RuleNotFound",), RuleArn=observed.id)


async def set_priorities(run: Run, priorities: Iterable[tuple[str, int]]) -> None:
    """Move rules (by ARN) to priorities, all in one call, so that no request meets a gap or a half-made order."""
    pairs = [{"RuleArn": arn, "Priority": priority} for arn, priority in priorities]
    await run.aws.call("elbv2", "set_rule_priorities", retry=_UNKNOWN, RulePriorities=pairs)


def _condition(item: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    for name, (field, config) in _FIELDS.items():
        if item["Field"] == field:
            values = (item.get(config) or {}).get("Values") or item.get("Values") or ()
            return name, tuple(sorted(values))
    return item["Field"], (str(sorted(item.items(), key=str)),)  # a condition that no spec can say yet
