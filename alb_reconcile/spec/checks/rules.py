"""Rules: how much AWS takes in one, and ranges, hosts and regular expressions that it refuses."""

import ipaddress
import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline

_ONCE: Final = ("host_header", "path_pattern", "http_request_method", "source_ip")
"""The fields of which a rule has one condition at most (ELBv2, RuleCondition)."""
_UNSUPPORTED: Final = (
    (r"\(\?<?[=!]", "lookaheads and lookbehinds"),
    (r"\(\?>", "atomic groups"),
    (r"\(\?(R|[0-9+&]|P[>=])|\\g|\\k|\\[1-9]", "backreferences, subroutines and recursion"),
    (r"[*+?}]\+", "possessive quantifiers"),
    (r"\\[pPX]", "Unicode classes"),
)
"""What AWS's regular expressions don't have (Application Load Balancers, 'Transforms for listener rules')."""
_PART: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
"""A character with a backslash, a class, or another character."""
_SPECIAL: Final = re.compile(r"\\[gkpPX1-9]")


def check(outline: Outline) -> None:
    """Report rules that AWS would refuse."""
    for path, rule in outline.rules:
        conditions = [item for item in rule.get("conditions") or () if isinstance(item, dict)]
        _check_amount(outline, path, conditions)
        _check_once(outline, (*path, "conditions"), conditions, _ONCE, "put the values into one list")
        transforms = [item for item in rule.get("transforms") or () if isinstance(item, dict)]
        names = ("url_rewrite", "host_header_rewrite")
        _check_once(outline, (*path, "transforms"), transforms, names, "keep one of them")
        for place, text in _texts(outline, path, "source_ip"):
            _check_range(outline, place, text)
        for place, text in _texts(outline, path, "host_header"):
            if re.search(r"[*?][^.]*$", text):
                outline.warn(
                    place,
                    f'"{text}" has a wildcard after its last dot, where AWS documents letters only; public stacks have such rules, but it hasn\'t been measured whether AWS takes them; write out what follows the dot, or use regex_values, to be sure',
                )
        for place, text in _expressions(outline, path):
            _check_expression(outline, place, text)


def _values(given: Any) -> Iterator[str | dict[str, str]]:
    """The values of one condition, however they are given."""
    if isinstance(given, dict) and "value" not in given:
        parts = (given.get(key) for key in ("values", "regex_values"))
        given = [item for part in parts if isinstance(part, list) for item in part]
    yield from (
        item for item in (given if isinstance(given, list) else [given]) if item and isinstance(item, str | dict)
    )


def _check_amount(outline: Outline, path: Path, conditions: list[Entry]) -> None:
    """ELB, 'Quotas for your Application Load Balancers': condition values and wildcards for each rule. Regular expressions
    and methods have no wildcards."""
    values = [item for condition in conditions for given in condition.values() for item in _values(given)]
    wild = [
        text
        for condition in conditions
        for field, given in condition.items()
        if field not in ("http_request_method", "source_ip")
        for item in _values(given.get("values") if isinstance(given, dict) else given)
        for text in (item.values() if isinstance(item, dict) else [item])
        if isinstance(text, str)
    ]
    wildcards = sum(len(re.findall(r"(?<!\\)[*?]", text)) for text in wild)
    for number, noun, most in ((len(values), "values", 5), (wildcards, "wildcards", 6)):
        if number > most:
            problem = f"these are {number} {noun}, and AWS allows {most} in a rule; split the rule"
            outline.error((*path, "conditions"), problem)


def _check_once(outline: Outline, path: Path, items: list[Entry], names: tuple[str, ...], advice: str) -> None:
    for name in names:
        if sum(name in item for item in items) > 1:
            outline.error(path, f"{name} is given twice, and AWS allows one in a rule; {advice}")


def _texts(outline: Outline, path: Path, field: str) -> Iterator[tuple[Path, str]]:
    place = (*path, "conditions", ..., field)
    yield from [*outline.texts(*place), *outline.texts(*place, ...), *outline.texts(*place, "values", ...)]


def _check_range(outline: Outline, path: Path, text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        outline.error(path, f"{text} is no range of addresses ({error}); correct it")


def _expressions(outline: Outline, path: Path) -> Iterator[tuple[Path, str]]:
    yield from outline.texts(*path, "conditions", ..., ..., "regex_values", ...)
    yield from outline.texts(*path, "transforms", ..., ..., "regex")


def _bare(part: str) -> str:
    """A part of an expression, with an x for what stands for itself or for one of several characters."""
    if part[0] == "[":
        return "x" + "".join(item for item in re.findall(r"\\.", part) if item in (r"\p", r"\P"))
    return "x" if part[0] == "\\" and not _SPECIAL.match(part) else part


def _check_expression(outline: Outline, path: Path, text: str) -> None:
    plain = "".join(_bare(part) for part in _PART.findall(text))
    for pattern, name in _UNSUPPORTED:
        if re.search(pattern, plain):
            outline.error(path, f"has {name}, which AWS's regular expressions don't have; write it without")
            return
    try:
        with warnings.catch_warnings():  # of [[:alpha:]], which Python reads otherwise than AWS
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        outline.error(path, f"is no regular expression: {error}; correct it")
