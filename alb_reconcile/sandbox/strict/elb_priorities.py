"""Imitates AWS's rules for listener rules: priorities, and their order."""

from collections.abc import Callable
from typing import Any

from .elb_conditions import check_conditions, check_transforms, complete_condition, only_config
from .elb_listeners import check_actions, complete_actions
from .rule import Call, after, around, refuse


def rule_of(call: Call, arn: str | None = None) -> Any:
    arn = arn or call.given("RuleArn")
    found = next((rule for rule in call.world.rules() if rule.arn == arn), None)
    if found is None:
        refuse("RuleNotFound", f"Rules '{arn}' not found")
    return found


def listener_with(call: Call, rule: Any) -> Any:
    return next(listener for listener in call.world.listeners() if listener.arn == rule.listener_arn)


def refuse_default(rule: Any) -> None:
    if rule.is_default:
        refuse("OperationNotPermitted", f"Default rule '{rule.arn}' cannot be modified or deleted")


@around("CreateRule")
def priority_is_free(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateRule: PriorityInUse; ListenerNotFound; the answer has complete conditions and actions."""
    listener = next((li for li in call.world.listeners() if li.arn == call.given("ListenerArn")), None)
    if listener is None:
        refuse("ListenerNotFound", f"Listeners '{call.given('ListenerArn')}' not found")
    priority = int(call.given("Priority", 0))
    if any(rule.priority == priority for rule in listener.rules.values()):
        refuse("PriorityInUse", f"Priority '{priority}' is currently in use")
    conditions = prepare(call, listener, [])
    return complete(call, proceed(), conditions)


@around("ModifyRule")
def rule_keeps_what_is_not_given(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyRule: 'Any existing properties that you do not modify retain their current values'; the default
    rule can't be modified (OperationNotPermitted). 'If you specify ResetTransforms, you can't specify Transforms'."""
    rule = rule_of(call)
    refuse_default(rule)
    listener = listener_with(call, rule)
    if call.given("ResetTransforms") and call.given("Transforms"):
        refuse("ValidationError", "You cannot specify both transforms and reset transforms")
    if not call.given("Actions"):
        call.params["Conditions"] = call.given("Conditions") or rule.conditions  # moto needs actions or conditions
    conditions = prepare(call, listener, [action.data for action in rule.actions])
    return complete(call, proceed(), conditions)


def prepare(call: Call, listener: Any, held: list[Any]) -> list[Any]:
    """Check a request's conditions, transforms and actions, and convert them to the form that moto takes. `held` are the rule's current
    actions. Returns the conditions as they were given."""
    balancer = call.world.elb.load_balancers[listener.load_balancer_arn]
    conditions, actions = call.given("Conditions", []), complete_actions(call.given("Actions", []), held)
    check_conditions(conditions)
    check_transforms(call.given("Transforms", []))
    check_actions(call, actions, balancer, listener.protocol, int(listener.port))
    if actions:
        call.params["Actions"] = actions
    if conditions:
        call.params["Conditions"] = [only_config(condition) for condition in conditions]
    return list(conditions)


def complete(call: Call, result: Any, conditions: list[Any]) -> Any:
    """Put conditions and transforms, which moto doesn't fully know, into the rules of moto's answer."""
    for rule in result["Rules"]:
        rule.conditions = [complete_condition(condition) for condition in conditions or rule.conditions]
        kept = [] if call.given("ResetTransforms") else getattr(rule, "transforms", [])
        rule.transforms = call.given("Transforms") or kept
    return result


@around("DeleteRule")
def rule_must_exist(call: Call, proceed: Callable[[], Any]) -> Any:
    """DeleteRule: RuleNotFound; OperationNotPermitted for the default rule (moto ignores both)."""
    rule = rule_of(call)
    refuse_default(rule)
    result = proceed()
    call.world.elb.tagging_service.delete_all_tags_for_resource(rule.arn)
    return result


@around("SetRulePriorities")
def priorities_may_be_swapped(call: Call, _: Callable[[], Any]) -> Any:
    """SetRulePriorities: changes all at once, so rules may swap; PriorityInUse if two rules would have one priority afterwards."""
    wanted = [(rule_of(call, item["RuleArn"]), int(item["Priority"])) for item in call.given("RulePriorities", [])]
    for rule, _priority in wanted:
        refuse_default(rule)
    moved = {rule.arn for rule, _priority in wanted}
    if len(moved) < len(wanted):
        refuse("ValidationError", "A rule cannot be specified more than once")
    taken: dict[str, set[int]] = {}
    for rule, priority in wanted:
        others = listener_with(call, rule).rules.values()
        kept = {o.priority for o in others if o.arn not in moved and not o.is_default}
        used = taken.setdefault(rule.listener_arn, kept)
        if priority in used:
            refuse("PriorityInUse", f"Priority '{priority}' is currently in use")
        used.add(priority)
    for rule, priority in wanted:
        rule.priority = priority
    return {"Rules": [rule for rule, _priority in wanted]}


@after("DescribeRules")
def rules_are_in_order(call: Call, result: Any) -> Any:
    """DescribeRules: by priority, the default rule last (moto: as they were made)."""

    def place(rule: Any) -> tuple[str, bool, int]:
        return rule.listener_arn, rule.is_default, 0 if rule.is_default else int(rule.priority)

    return {**result, "Rules": sorted(result["Rules"], key=place)}
