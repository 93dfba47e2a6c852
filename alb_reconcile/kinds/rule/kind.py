"""Drives rules of listeners (ELBv2 CreateRule, ModifyRule, SetRulePriorities, DeleteRule)."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._attached import is_attached
from alb_reconcile.kinds._elb import is_ours
from alb_reconcile.kinds._health import wait_for_shift
from alb_reconcile.kinds.base import Adopted, Around, Entry, IamActions, Intent, Keep, Kind, Named, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.listener import secrets
from alb_reconcile.kinds.listener.actions import actions_from_aws, call_with_actions, read_action, write_action
from alb_reconcile.kinds.listener.providers import check_providers
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.recognition import Candidate, Evidence, Known
from alb_reconcile.kinds.rule import checks, redirects, unreachable
from alb_reconcile.kinds.rule.conditions import (
    conditions_from_aws,
    conditions_to_aws,
    read_conditions,
    read_transforms,
    transforms_from_aws,
    transforms_to_aws,
    write_conditions,
    write_transforms,
)
from alb_reconcile.kinds.rule.probe import rule_for_header
from alb_reconcile.kinds.secret_versions import READ
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import tell_unsupported
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import Decisions
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.requests.conditions import Condition, Transform
from alb_reconcile.model.requests.shadows import find_shadows
from alb_reconcile.model.resource import Desired, Lookups, Observed, bind, each_of
from alb_reconcile.model.service import RoutingRule
from alb_reconcile.model.steps import SetPriorities, Shift


@dataclass(frozen=True, kw_only=True)
class Rule(RoutingRule):
    """A rule. Its priority is no slot, since one call changes the priorities of several rules (`RuleKind.set_order`)."""

    kind = "rule"
    service = "elbv2"
    missed = 2
    replaced_on = frozenset({"listener"})
    parent = "listener"
    action_field = "action"
    moves = frozenset({"action", "conditions", "priority"})

    listener: Ref
    priority: int
    conditions: tuple[Condition, ...]
    action: Action
    transforms: tuple[Transform, ...] | None = None

    def unsupported(self) -> dict[str, tuple[str, ...]]:
        found = {
            "conditions": tuple(item.unsupported for item in self.conditions if item.unsupported),
            "action": self.action.unsupported,
            "transforms": tuple(item.unsupported for item in self.transforms or () if item.unsupported),
        }
        return {name: words for name, words in found.items() if words}

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        if observed is None or not isinstance(observed.state, Rule):
            return self
        found = observed.state
        action = self.action.settle(found.action, lookups.addresses).with_secret(secrets.version_in(observed))
        if not lookups.keeps_unsupported:
            return replace(self, action=action)
        further = [item for item in found.conditions if item.unsupported]
        transforms = self.transforms
        if transforms is not None:
            transforms = tuple(sorted([*transforms, *(item for item in found.transforms or () if item.unsupported)]))
        return replace(
            self,
            action=action.keep_unsupported(found.action),
            conditions=tuple(sorted([*self.conditions, *further])),
            transforms=transforms,
        )


class RuleKind(Kind[Rule]):
    """Drives rules."""

    properties = Rule
    noun = "a rule"
    position = 100
    section = "rules"
    entry_checks = (checks.check_entries,)
    use_checks = (unreachable.check, redirects.check)
    arn_type = "listener-rule/app"
    missing = ("RuleNotFound",)
    quotas = (Quota("rules-per-application-load-balancer", "rules", 100, ("listener", "load_balancer")),)
    ordered_by = "priority"
    iam_actions = IamActions(
        read=("elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags", *READ),
        look=("elasticloadbalancing:DescribeAccountLimits",),
        create=("elasticloadbalancing:CreateRule", "elasticloadbalancing:AddTags", *secrets.WRITE),
        update=(
            "elasticloadbalancing:ModifyRule", "elasticloadbalancing:SetRulePriorities",
            "elasticloadbalancing:AddTags", *secrets.WRITE,
        ),
        delete=("elasticloadbalancing:DeleteRule",),
        on={
            "elasticloadbalancing:CreateRule": "listener/app",
            "elasticloadbalancing:SetRulePriorities": "listener-rule/app*",
        },
    )  # fmt: skip

    def grants(self, wanted: Rule, scope: Scope) -> Iterable[Grant]:
        yield from secrets.secret_grants(scope, wanted.action)

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Rule:
        read = {
            "conditions": read_conditions(entry["conditions"]),
            "action": read_action(entry["action"], around),
            "transforms": read_transforms(entry.get("transforms")),
        }
        return Rule(**{**fields, **read})

    def write_entry(self, observed: Observed, entry: Entry, named: Named) -> Entry:
        state = self.of(observed)
        found = {**entry, "conditions": write_conditions(state.conditions, named)}
        if transforms := write_transforms(state.transforms or (), named):
            found["transforms"] = transforms
        return {**found, "action": write_action(state.action, named)}

    def suggest_name(self, state: Rule) -> str:
        values = [
            text for item in state.conditions if not item.unsupported for text in (*item.values, *item.regex_values)
        ]
        return values[0] if values else f"rule-{state.priority}"

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        checks = (secrets.check_secret(aws, item, "action") for item in intents)
        found = await asyncio.gather(*checks, check_providers(aws, intents, "action"))
        return [finding for part in found for finding in part]

    def check_plan(self, decisions: Decisions, discovery: Discovery) -> Iterable[Finding]:
        """Rules that no request reaches, since others' rules that stay in the listener take all requests first. `validate` has reported
        rules that the spec's own rules shadow."""
        strangers: dict[Ref, list[Rule]] = defaultdict(list)
        for item, rule in each_of(decisions.live, Rule):
            if item.owner != decisions.stack and item.id not in decisions.to_delete:
                strangers[rule.listener].append(rule)
        for decision, rule in each_of(decisions.desired.values(), Rule) if strangers else ():
            before = sorted(strangers[bind(rule.listener, decisions.ids)], key=lambda item: item.priority)
            earlier = [(str(item.priority), item.conditions) for item in before if item.priority < rule.priority]
            if found := find_shadows(rule.conditions, earlier):
                noun = "the rule of others with priority" if len(found) == 1 else "the rules of others with priorities"
                text = f"no request reaches it: {noun} {' and '.join(found)} before it"
                text += " takes all of its requests" if len(found) == 1 else " take all of its requests"
                yield Finding(decision.desired, "priority", text, warning=True)

    async def adopt(self, aws: Aws, item: Adopted, known: Known, keep: Keep) -> Adopted:
        return await secrets.adopt_secret(aws, item, keep)

    def evidence(self, desired: Desired, item: Candidate, known: Known) -> Evidence | None:
        wanted, found = known.bound(desired), self.of(item.found)
        if wanted.conditions == found.conditions:
            return Evidence(int(wanted.priority != found.priority), "its conditions")
        return Evidence(2, f"its priority {wanted.priority}") if wanted.priority == found.priority else None

    async def discover(self, reader: Reader) -> list[Observed]:
        balancers = [item["LoadBalancerArn"] for item in await reader.load_balancers() if reader.ours(item["Tags"])]
        found = await asyncio.gather(*(reader.listeners(arn) for arn in balancers))
        listeners = [item for part in found for item in part]
        rules = await asyncio.gather(*(reader.rules(item["ListenerArn"]) for item in listeners))
        pairs = [(listener, item) for listener, part in zip(listeners, rules, strict=True) for item in part]
        return list(await asyncio.gather(*(self._observe(reader, *pair) for pair in pairs)))

    async def _observe(self, reader: Reader, listener: dict[str, Any], item: dict[str, Any]) -> Observed:
        own = tags.address_of(item["Tags"], "rule") if reader.ours(item["Tags"]) else None
        parent = tags.address_of(listener["Tags"], "listener")
        address = own or Address("rule", f"{parent.name if parent else listener['Port']}/#{item['Priority']}")
        action, version = await secrets.observe_secret(
            reader, reader.desired.get(address), actions_from_aws(item["Actions"]), item["Tags"]
        )
        state = Rule(
            listener=listener["ListenerArn"],
            priority=int(item["Priority"]),
            conditions=conditions_from_aws(item["Conditions"]),
            action=action,
            transforms=transforms_from_aws(item.get("Transforms") or ()),
        )
        return Observed(
            address, item["RuleArn"], state, item["Tags"], item["Tags"].get(tags.STACK), details=version,
            reason=tell_unsupported(state),
        )  # fmt: skip

    async def create(self, run: Run, wanted: Rule, desired: Desired) -> str:
        await wait_for_shift(run, run.step.detail(Shift))
        told, secret_tags = await secrets.action_with_secret(run, wanted.action)
        made = {**_told(wanted), "Actions": told, "Tags": [*run.tag_list(desired), *tags.to_list(secret_tags)]}
        made |= {"ListenerArn": wanted.listener, "Priority": wanted.priority}
        try:
            answer = await call_with_actions(run.aws, "create_rule", **made)
        except AwsError as error:
            if error.code != "PriorityInUse":
                raise
            return await self._find(run, wanted, desired, error)
        return str(answer["Rules"][0]["RuleArn"])

    async def _find(self, run: Run, wanted: Rule, desired: Desired, error: AwsError) -> str:
        """The ARN of the rule with the priority, if this stack made it and the reply was lost; else RefusedError. Reads may be behind."""

        async def read() -> str:
            for item in await run.aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=wanted.listener):
                if item["Priority"] == str(wanted.priority) and await is_ours(run, desired, item["RuleArn"]):
                    return str(item["RuleArn"])
            return ""

        found = await repeat_until(run.aws, read, bool, waits.LAG)
        if not found:
            raise RefusedError(
                f"priority {wanted.priority} was taken meanwhile by a rule outside this stack; run again ({error.code})"
            )
        return found

    async def update(self, run: Run, wanted: Rule, observed: Observed, fields: frozenset[str]) -> None:
        if await is_attached(run):
            return
        await wait_for_shift(run, run.step.detail(Shift))
        changed = {name: value for name, value in _told(wanted).items() if name.lower() in fields}
        secret_tags: dict[str, str] = {}
        if "action" in fields:
            changed["Actions"], secret_tags = await secrets.action_with_secret(run, wanted.action, observed)
        if changed.get("Transforms") == []:
            del changed["Transforms"]
            changed["ResetTransforms"] = True
        if changed:
            await call_with_actions(run.aws, "modify_rule", RuleArn=observed.id, **changed)
        if secret_tags:
            await run.tag(observed.id, secret_tags)

    def leading(
        self, aws: Aws, stack: str, listener: str, group: str, header: tuple[str, str]
    ) -> AbstractAsyncContextManager[None]:
        return rule_for_header(aws, stack, listener, group, header)

    def conditions_in(self, row: Mapping[str, Any]) -> tuple[Condition, ...]:
        return conditions_from_aws(row["Conditions"])

    async def set_order(self, run: Run, order: SetPriorities) -> None:
        """Set the order in one call, so that no request meets a missing rule or an order between the old and the new one."""
        pairs = [{"RuleArn": arn, "Priority": priority} for arn, priority in order.priorities]
        await run.aws.call("elbv2", "set_rule_priorities", RulePriorities=pairs)


def _told(wanted: Rule) -> dict[str, Any]:
    """The parameters of CreateRule and ModifyRule but for the actions."""
    told: dict[str, Any] = {"Conditions": conditions_to_aws(wanted.conditions)}
    if wanted.transforms is not None:
        told["Transforms"] = transforms_to_aws(wanted.transforms)
    return told


KIND: Final = RuleKind()
