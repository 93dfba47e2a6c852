"""Rules of listener rules: priorities, conditions and their order."""

import re
from collections.abc import Callable
from typing import Any

from .elb_listeners import check_actions, complete_actions
from .rule import Call, after, around, refuse

CONFIGS = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}
MOST_VALUES, MOST_WILDCARDS = 5, 6
HOST = re.compile(r"[A-Za-z0-9.*?-]*\.[A-Za-z]+")


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


def complete_condition(condition: Any) -> dict[str, Any]:
    """A condition as DescribeRules shows it: host and path patterns in both of their forms."""
    whole = dict(condition)
    config = CONFIGS.get(whole.get("Field", ""))
    for key in ("Values", "RegexValues") if config else ():
        if values := (whole.get(config) or {}).get(key) or whole.get(key):
            whole |= {key: values, config: {**(whole.get(config) or {}), key: values}}
    return whole


def only_config(condition: Any) -> dict[str, Any]:
    """The form that moto takes: it limits `Values` to one, refuses both forms together, and knows no `RegexValues`."""
    whole = complete_condition(condition)
    config = CONFIGS.get(whole.get("Field", ""))
    return {"Field": whole["Field"], config: {"Values": whole.get("Values") or ["*"]}} if config else whole


def check_conditions(conditions: list[Any]) -> None:
    """CreateRule: ValidationError for more values or wildcards than AWS ELB's 'Quotas' allow in a rule, and for host
    names that aren't as in 'HostHeaderConditionConfig': 'You must include at least one "." character. You can include
    only alphabetical characters after the final "." character'."""
    count, wildcards = 0, 0
    for condition in conditions:
        whole = complete_condition(condition)
        lists = [item for value in whole.values() if isinstance(value, dict) for item in value.values()]
        values = [value for part in lists if isinstance(part, list) for value in part] or whole.get("Values", [])
        count += len(values)
        wildcards += sum(value.count("*") + value.count("?") for value in values)
        for value in values if whole.get("Field") == "host-header" else ():
            if not HOST.fullmatch(value):
                refuse("ValidationError", f"Condition value '{value}' is not a valid host name")
    if count > MOST_VALUES:
        refuse("ValidationError", "Rules can have a maximum of 5 condition values")
    if wildcards > MOST_WILDCARDS:
        refuse("ValidationError", f"Rules can have a maximum of {MOST_WILDCARDS} condition wildcards")


@around("CreateRule")
def priority_is_free(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateRule: PriorityInUse; ListenerNotFound; the answer shows conditions and actions completed."""
    listener = next((li for li in call.world.listeners() if li.arn == call.given("ListenerArn")), None)
    if listener is None:
        refuse("ListenerNotFound", f"Listeners '{call.given('ListenerArn')}' not found")
    priority = int(call.given("Priority", 0))
    if any(rule.priority == priority for rule in listener.rules.values()):
        refuse("PriorityInUse", f"Priority '{priority}' is currently in use")
    conditions = prepare(call, listener)
    return complete(call, proceed(), conditions)


@around("ModifyRule")
def rule_keeps_what_is_not_given(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyRule: 'Any existing properties that you do not modify retain their current values'; never the
    default rule (OperationNotPermitted). 'If you specify ResetTransforms, you can't specify Transforms'."""
    rule = rule_of(call)
    refuse_default(rule)
    listener = listener_with(call, rule)
    if call.given("ResetTransforms") and call.given("Transforms"):
        refuse("ValidationError", "You cannot specify both transforms and reset transforms")
    if not call.given("Actions"):
        call.params["Conditions"] = call.given("Conditions") or rule.conditions  # moto wants one of the two
    conditions = prepare(call, listener)
    return complete(call, proceed(), conditions)


def prepare(call: Call, listener: Any) -> list[Any]:
    """Check what is asked for and put it as moto takes it. Returns the conditions as they were given."""
    balancer = call.world.elb.load_balancers[listener.load_balancer_arn]
    conditions, actions = call.given("Conditions", []), complete_actions(call.given("Actions", []))
    check_conditions(conditions)
    check_actions(call, actions, balancer, listener.protocol, int(listener.port))
    if actions:
        call.params["Actions"] = actions
    if conditions:
        call.params["Conditions"] = [only_config(condition) for condition in conditions]
    return list(conditions)


def complete(call: Call, result: Any, conditions: list[Any]) -> Any:
    """The rule with all that was given, of which moto doesn't know everything."""
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
    """SetRulePriorities: all at once, so rules may swap; PriorityInUse for what is taken afterwards."""
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
