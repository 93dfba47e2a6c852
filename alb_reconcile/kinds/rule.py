"""Listener rules (ELBv2 CreateRule, ModifyRule, SetRulePriorities, DeleteRule)."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._elb import action_from_aws, action_to_aws, in_words, is_ours, read_action
from alb_reconcile.kinds._health import wait_for_shift
from alb_reconcile.kinds.base import Around, Entry, IamActions, Kind
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.steps import SetPriorities, Shift

_FIELDS: Final = {
    "host_header": ("host-header", "HostHeaderConfig"),
    "path_pattern": ("path-pattern", "PathPatternConfig"),
}


@dataclass(frozen=True, kw_only=True)
class Rule(Properties):
    """A rule. Its priority is no slot: priorities are moved by one call of their own (`RuleKind.set_order`). `conditions` are (field, values) pairs, as in `("path_pattern", ("/v2/*",))`."""

    kind = "rule"
    service = "elbv2"
    missed = 2
    replaced_on = frozenset({"listener"})
    parent = "listener"
    action_field = "action"

    listener: Ref
    priority: int
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    action: Action

    def unsupported(self) -> tuple[str, ...]:
        return (*self.action.unsupported, *(field for field, _ in self.conditions if field not in _FIELDS))

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        if observed is None or not isinstance(observed.state, Rule):
            return self
        return replace(self, action=self.action.settle(observed.state.action, lookups.addresses))


class RuleKind(Kind[Rule]):
    """Drives rules."""

    properties = Rule
    noun = "a rule"
    position = 100
    section = "rules"
    arn_type = "listener-rule/app"
    missing = ("RuleNotFound",)
    quotas = (Quota("rules-per-application-load-balancer", "rules", 100, ("listener", "load_balancer")),)
    ordered_by = "priority"
    iam_actions = IamActions(
        read=("elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags"),
        look=("elasticloadbalancing:DescribeAccountLimits",),
        create=("elasticloadbalancing:CreateRule", "elasticloadbalancing:AddTags"),
        update=(
            "elasticloadbalancing:ModifyRule",
            "elasticloadbalancing:SetRulePriorities",
            "elasticloadbalancing:AddTags",
        ),
        delete=("elasticloadbalancing:DeleteRule",),
    )

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Rule:
        conditions = sorted((field, _values(values)) for item in entry["conditions"] for field, values in item.items())
        return Rule(**{**fields, "conditions": tuple(conditions), "action": read_action(entry["action"])})

    async def discover(self, reader: Reader) -> list[Observed]:
        balancers = [item["LoadBalancerArn"] for item in await reader.load_balancers() if reader.ours(item["Tags"])]
        found = await asyncio.gather(*(reader.listeners(arn) for arn in balancers))
        listeners = [item for part in found for item in part]
        rules = await asyncio.gather(*(reader.rules(item["ListenerArn"]) for item in listeners))
        return [
            self._observe(reader, listener, item)
            for listener, part in zip(listeners, rules, strict=True)
            for item in part
        ]

    def _observe(self, reader: Reader, listener: dict[str, Any], item: dict[str, Any]) -> Observed:
        own = tags.address_of(item["Tags"], "rule") if reader.ours(item["Tags"]) else None
        parent = tags.address_of(listener["Tags"], "listener")
        address = own or Address("rule", f"{parent.name if parent else listener['Port']}/#{item['Priority']}")
        state = Rule(
            listener=listener["ListenerArn"],
            priority=int(item["Priority"]),
            conditions=tuple(sorted(map(_condition, item["Conditions"]))),
            action=action_from_aws(item["Actions"], item.get("Transforms") or ()),
        )
        return Observed(address, item["RuleArn"], state, item["Tags"], item["Tags"].get(tags.STACK))

    async def create(self, run: Run, wanted: Rule, desired: Desired) -> str:
        await wait_for_shift(run, run.detail(Shift))
        try:
            answer = await run.aws.call(
                "elbv2", "create_rule", retry=waits.RULE_UNKNOWN, ListenerArn=wanted.listener, Priority=wanted.priority,
                Tags=run.tag_list(desired), **_to_aws(wanted),
            )  # fmt: skip
        except AwsError as error:
            if error.code != "PriorityInUse":
                raise
            return await self._find(run, wanted, desired, error)
        return str(answer["Rules"][0]["RuleArn"])

    async def _find(self, run: Run, wanted: Rule, desired: Desired, error: AwsError) -> str:
        """Who has the priority: we ourselves, whose reply got lost, or a stranger. Reads may be behind."""

        async def read() -> str:
            for item in await run.aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=wanted.listener):
                if item["Priority"] == str(wanted.priority) and await is_ours(run, desired, item["RuleArn"]):
                    return str(item["RuleArn"])
            return ""

        found = await repeat_until(run.aws, read, bool, waits.LAG)
        if not found:
            raise RefusedError(
                f"{desired.address}: priority {wanted.priority} was taken meanwhile by a rule outside this stack; run again ({error.code})"
            )
        return found

    async def update(self, run: Run, wanted: Rule, observed: Observed, fields: frozenset[str]) -> None:
        await wait_for_shift(run, run.detail(Shift))
        if fields & {"conditions", "action"}:
            changed = _to_aws(wanted)
            if action_of(observed.state).unsupported:  # transforms stay where nothing is said of them
                changed["ResetTransforms"] = True
            await run.aws.call("elbv2", "modify_rule", retry=waits.RULE_UNKNOWN, RuleArn=observed.id, **changed)

    async def set_order(self, run: Run, order: SetPriorities) -> None:
        """In one call, so that no request meets a gap or a half-made order."""
        pairs = [{"RuleArn": arn, "Priority": priority} for arn, priority in order.priorities]
        await run.aws.call("elbv2", "set_rule_priorities", retry=waits.RULE_UNKNOWN, RulePriorities=pairs)


def _values(values: str | list[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(sorted(values))


def _to_aws(wanted: Rule) -> dict[str, Any]:
    """What CreateRule and ModifyRule are told."""
    conditions = []
    for name, values in wanted.conditions:
        field, config = _FIELDS[name]
        conditions.append({"Field": field, config: {"Values": list(values)}})
    return {"Conditions": conditions, "Actions": action_to_aws(wanted.action)}


def _condition(item: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    for name, (field, config) in _FIELDS.items():
        values = item.get(config) or {}
        if item["Field"] == field and not item.get("RegexValues") and not values.get("RegexValues"):
            return name, tuple(sorted(values.get("Values") or item.get("Values") or ()))
    name, _, words = in_words(item).partition(" ")
    return name, (words,)  # no spec can say it


KIND: Final = RuleKind()
