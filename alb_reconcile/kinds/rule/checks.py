"""Checks rules of a spec: how many values AWS allows in a rule, and ranges, hosts and regular expressions that AWS refuses."""

import ipaddress
import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.listener.checks import check_unique
from alb_reconcile.model.nodes import Path

_ONCE: Final = ("host_header", "path_pattern", "http_request_method", "source_ip")
"""The fields on which a rule has one condition at most (ELBv2, RuleCondition)."""
_UNSUPPORTED: Final = (
    (r"\(\?<?[=!]", "lookaheads and lookbehinds"),
    (r"\(\?>", "atomic groups"),
    (r"\(\?(R|[0-9+&]|P[>=])|\\g|\\k|\\[1-9]", "backreferences, subroutines and recursion"),
    (r"[*+?}]\+", "possessive quantifiers"),
    (r"\\[pPX]", "Unicode classes"),
)
"""Constructs that AWS's regular expressions don't have (Application Load Balancers, 'Transforms for listener rules')."""
_PART: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
"""A part of a regular expression: a character with a backslash, a class, or another character."""
_SPECIAL: Final = re.compile(r"\\[gkpPX1-9]")


def check_entries(around: Around) -> None:
    """Report rules that AWS would refuse."""
    check_unique(around, "rule", "priority", "number")
    for path, rule in around.all_of("rule"):
        conditions = [item for item in rule.get("conditions") or () if isinstance(item, dict)]
        _check_amount(around, path, conditions)
        _check_once(around, (*path, "conditions"), conditions, _ONCE, "put the values into one list")
        transforms = [item for item in rule.get("transforms") or () if isinstance(item, dict)]
        names = ("url_rewrite", "host_header_rewrite")
        _check_once(around, (*path, "transforms"), transforms, names, "keep one of them")
        for place, text in texts_of(around, path, "source_ip"):
            _check_range(around, place, text)
        for place, text in texts_of(around, path, "host_header"):
            if re.search(r"[*?][^.]*$", text):
                around.warn(
                    place,
                    f'"{text}" has a wildcard after its last dot, where AWS documents letters only; public stacks have such rules, but it hasn\'t been measured whether AWS takes them; write out what follows the dot, or use regex_values, to be sure',
                )
        for place, text in _expressions(around, path):
            _check_expression(around, place, text)


def _values(given: Any) -> Iterator[str | dict[str, str]]:
    """The values of one condition, in each of the forms that a spec can give them."""
    if isinstance(given, dict) and "value" not in given:
        parts = (given.get(key) for key in ("values", "regex_values"))
        given = [item for part in parts if isinstance(part, list) for item in part]
    yield from (
        item for item in (given if isinstance(given, list) else [given]) if item and isinstance(item, str | dict)
    )


def _check_amount(around: Around, path: Path, conditions: list[Entry]) -> None:
    """Report rules with more condition values or wildcards than AWS takes (ELB, 'Quotas for your Application Load Balancers'). Regular
    expressions and methods have no wildcards."""
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
            around.error((*path, "conditions"), problem)


def _check_once(around: Around, path: Path, items: list[Entry], names: tuple[str, ...], advice: str) -> None:
    for name in names:
        if sum(name in item for item in items) > 1:
            around.error(path, f"{name} is given twice, and AWS allows one in a rule; {advice}")


def texts_of(around: Around, path: Path, field: str) -> list[tuple[Path, str]]:
    """The values of a rule's conditions on a field, with their paths."""
    place = (*path, "conditions", ..., field)
    return [*around.texts(*place), *around.texts(*place, ...), *around.texts(*place, "values", ...)]


def _check_range(around: Around, path: Path, text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        around.error(path, f"{text} is no range of addresses ({error}); correct it")


def _expressions(around: Around, path: Path) -> Iterator[tuple[Path, str]]:
    yield from around.texts(*path, "conditions", ..., ..., "regex_values", ...)
    yield from around.texts(*path, "transforms", ..., ..., "regex")


def _bare(part: str) -> str:
    """A part of an expression, with x instead of an escaped character that stands for itself, or of a class of characters."""
    if part[0] == "[":
        return "x" + "".join(item for item in re.findall(r"\\.", part) if item in (r"\p", r"\P"))
    return "x" if part[0] == "\\" and not _SPECIAL.match(part) else part


def _check_expression(around: Around, path: Path, text: str) -> None:
    plain = "".join(_bare(part) for part in _PART.findall(text))
    for pattern, name in _UNSUPPORTED:
        if re.search(pattern, plain):
            around.error(path, f"has {name}, which AWS's regular expressions don't have; write it without")
            return
    try:
        with warnings.catch_warnings():  # Python warns of [[:alpha:]], which it reads otherwise than AWS
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        around.error(path, f"is no regular expression: {error}; correct it")
