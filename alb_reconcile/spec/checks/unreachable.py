"""Warns of rules that no request reaches: earlier rules take all of theirs, or no request can meet their conditions."""

from collections.abc import Sequence
from typing import Final

from alb_reconcile.kinds.rule.conditions import Condition, read_conditions
from alb_reconcile.kinds.rule.patterns import find_text, parse
from alb_reconcile.kinds.rule.shadows import find_shadows
from alb_reconcile.model.nodes import Path
from alb_reconcile.spec.outline import Outline

_MOST_PAIRS: Final = 40_000
"""Pairs of rules that are compared: those of two listeners of 200 rules. AWS takes 100 in a load balancer by default."""
_VALUES: Final[tuple[tuple[str, ...] | tuple[()], ...]] = ((), ("values",))
"""Where the values of a condition are, below it."""

Ordered = list[tuple[Path, tuple[Condition, ...]]]


def check(outline: Outline) -> None:
    """Report rules in vain, where all else is right."""
    if not outline.is_sound:
        return
    pairs = 0
    for listener, _ in outline.listeners:
        rules = rules_in_order(outline, listener)
        for index, (path, conditions) in enumerate(rules):
            pairs += index
            if pairs > _MOST_PAIRS:
                return
            if not _is_never_met(outline, path):
                _check_shadows(outline, path, conditions, rules[:index])


def rules_in_order(outline: Outline, listener: Path) -> Ordered:
    """The rules of a listener as requests meet them, with their conditions."""
    found = sorted(outline.mappings(*listener, "rules", ...), key=lambda item: int(item[1]["priority"]))
    return [(path, read_conditions(rule["conditions"])) for path, rule in found]


def _check_shadows(outline: Outline, path: Path, conditions: Sequence[Condition], earlier: Ordered) -> None:
    found = find_shadows(conditions, earlier)
    if found:
        priorities = [outline.mappings(*place)[0][1]["priority"] for place in found]
        names = " and ".join(f"{place[-1]} ({number})" for place, number in zip(found, priorities, strict=True))
        verb = "takes" if len(found) == 1 else "take"
        outline.warn(
            path,
            f"no request reaches it: {names} {verb} all of its requests before; give it a priority below {min(priorities)}, or remove it",
            at_key=True,
        )


def _is_never_met(outline: Outline, path: Path) -> bool:
    """Report values that no request has. Returns whether that leaves nothing to meet a condition by."""
    paths, ranges = (_values_of(outline, path, field) for field in ("path_pattern", "source_ip"))
    vain = [
        place for place, text in paths if (tokens := parse(text)) is not None and find_text(tokens, start="/") is None
    ]
    for place, text in paths:
        if place in vain:
            outline.warn(place, f'no path fits "{text}", since each begins with /; write "/{text}"')
    balancer = outline.entries("load_balancers")[str(path[1])]
    is_ipv4 = balancer.get("ip_address_type", "ipv4") == "ipv4"
    unseen = [place for place, text in ranges if is_ipv4 and ":" in text]
    for place in unseen:
        outline.warn(
            place,
            f"no client has such an address, since load_balancer.{path[1]} takes IPv4 only; set ip_address_type: dualstack, or name IPv4 addresses",
        )
    return bool(vain and len(vain) == len(paths)) or bool(unseen and len(unseen) == len(ranges))


def _values_of(outline: Outline, path: Path, field: str) -> list[tuple[Path, str]]:
    place = (*path, "conditions", ..., field)
    return [item for below in _VALUES for last in ((), (...,)) for item in outline.texts(*place, *below, *last)]
