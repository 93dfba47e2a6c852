"""Imitates AWS's rules for the conditions and transforms of listener rules."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from .rule import refuse

CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
BOTH_FORMS = ("host-header", "path-pattern")
REGEX = ("host-header", "path-pattern", "http-header")
REPEATED = ("http-header", "query-string")
MOST_VALUES, MOST_WILDCARDS, LONGEST, LONGEST_REWRITE = 5, 6, 128, 1024
HOST = re.compile(r"[A-Za-z0-9.*?-]*\.[A-Za-z*?]+")
PATH = re.compile(r"[A-Za-z0-9_.$/~\"'@:+&*?-]+")
METHOD = re.compile(r"[A-Z_-]{1,40}")
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}")
LITERAL = re.compile(r"\\[^gkpPX1-9]|\[\^?\]?(?:\\[^pP]|[^\]\\])*\]")  # an escaped literal, or a character class
NO_REGEX = re.compile(r"\(\?<?[=!]|\(\?>|\\[1-9]|[*+?}]\+|\\p\{|\(\?R\)")


def complete_condition(condition: Any) -> dict[str, Any]:
    """A condition as DescribeRules shows it: host and path values both directly and in the condition's config."""
    whole = dict(condition)
    config = CONFIGS[whole["Field"]] if whole.get("Field") in BOTH_FORMS else None
    for key in ("Values", "RegexValues") if config else ():
        if values := (whole.get(config) or {}).get(key) or whole.get(key):
            whole |= {key: values, config: {**(whole.get(config) or {}), key: values}}
    return whole


def only_config(condition: Any) -> dict[str, Any]:
    """A condition in the form that moto takes: moto allows one value in `Values`, refuses both forms together, and doesn't know
    `RegexValues`."""
    whole = complete_condition(condition)
    if whole.get("Field") not in REGEX:
        return whole
    config = CONFIGS[whole["Field"]]
    values = (whole.get(config) or {}).get("Values") or ["*"]
    return {"Field": whole["Field"], config: {**(whole.get(config) or {}), "Values": values}}


def check_conditions(conditions: list[Any]) -> None:
    """CreateRule: ValidationError for more values or wildcards than AWS ELB's 'Quotas' allow in a rule, and for two
    conditions where 'RuleCondition' says 'up to one of each'."""
    count, wildcards = 0, 0
    fields = [condition.get("Field") for condition in conditions]
    for condition in conditions:
        field, whole = str(condition.get("Field")), complete_condition(condition)
        if field in CONFIGS and field not in REPEATED and fields.count(field) > 1:
            refuse("ValidationError", f"A rule can only have one '{field}' condition")
        config: Mapping[str, Any] = whole.get(CONFIGS.get(field, "")) or {}
        values, regex = config.get("Values") or [], config.get("RegexValues") or []
        if field in CONFIGS and not values and not regex:
            refuse("ValidationError", "A condition value must be specified")
        count += len(values) + len(regex)
        if field in CHECKS:
            for value in values:
                CHECKS[field](value)
        if field == "http-header":
            check_name(str(config.get("HttpHeaderName", "")))
        for expression in regex:
            check_regex(expression, LONGEST)
        texts = [text for value in values for text in (value.values() if isinstance(value, dict) else [value])]
        if any(len(text) > LONGEST for text in texts):
            refuse("ValidationError", f"Condition values can be at most {LONGEST} characters long")
        if field not in ("http-request-method", "source-ip"):
            wildcards += sum(len(re.findall(r"(?<!\\)[*?]", text)) for text in texts)
    if count > MOST_VALUES:
        refuse("ValidationError", "Rules can have a maximum of 5 condition values")
    if wildcards > MOST_WILDCARDS:
        refuse("ValidationError", f"Rules can have a maximum of {MOST_WILDCARDS} condition wildcards")


def check_host(value: str) -> None:
    """HostHeaderConditionConfig: 'You must include at least one "." character. You can include only alphabetical
    characters after the final "." character'. Public stacks have wildcards there, too."""
    if not HOST.fullmatch(value):
        refuse("ValidationError", f"Condition value '{value}' is not a valid host name")


def check_path(value: str) -> None:
    """RuleCondition: the characters that a path pattern can have."""
    if not PATH.fullmatch(value):
        refuse("ValidationError", f"Condition value '{value}' contains a character that is not valid")


def check_method(value: str) -> None:
    """HttpRequestMethodConditionConfig: 40 characters, 'A-Z, hyphen (-), and underscore (_)'."""
    if not METHOD.fullmatch(value):
        refuse("ValidationError", f"Condition value '{value}' is not a valid HTTP request method")


def check_range(value: str) -> None:
    """SourceIpConditionConfig: 'The source IP addresses, in CIDR format'."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        value = ""
    if "/" not in value:
        refuse("ValidationError", f"Condition value '{value}' is not a valid CIDR block")


def check_name(name: str) -> None:
    """HttpHeaderConditionConfig: 40 characters as in RFC 7230, and 'You can't use an HTTP header condition to specify the host
    header'."""
    if name.lower() == "host" or not HEADER.fullmatch(name):
        refuse("ValidationError", f"HTTP header name '{name}' is not valid")


def check_regex(text: str, longest: int) -> None:
    """AWS ELB, 'Transforms for listener rules': no lookaheads, lookbehinds, backreferences, atomic groups, possessive
    quantifiers, recursion and Unicode classes. RuleCondition, RewriteConfig: how long an expression can be."""
    try:
        re.compile(text)
        is_valid = not NO_REGEX.search(LITERAL.sub("x", text)) and len(text) <= longest
    except re.error:
        is_valid = False
    if not is_valid:
        refuse("ValidationError", f"The regular expression '{text[:100]}' is not valid")


def check_transforms(transforms: list[Any]) -> None:
    """CreateRule: 'You can add one host header rewrite transform and one URL rewrite transform'."""
    types = [item.get("Type") for item in transforms]
    if len(set(types)) < len(types):
        refuse("ValidationError", "A rule can only have one transform of each type")
    for item in transforms:
        for key in ("HostHeaderRewriteConfig", "UrlRewriteConfig"):
            for rewrite in (item.get(key) or {}).get("Rewrites", []):
                check_regex(rewrite["Regex"], LONGEST_REWRITE)


CHECKS: dict[str, Callable[[str], None]] = {
    "host-header": check_host,
    "path-pattern": check_path,
    "http-request-method": check_method,
    "source-ip": check_range,
}
