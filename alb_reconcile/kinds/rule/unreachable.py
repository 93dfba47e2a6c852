"""Warns of rules that no request reaches: earlier rules take all their requests, or no request can meet their conditions."""

from collections.abc import Sequence
from typing import Final

from alb_reconcile.kinds.base import Around
from alb_reconcile.kinds.rule.checks import texts_of
from alb_reconcile.kinds.rule.conditions import read_conditions
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.requests.conditions import Condition
from alb_reconcile.model.requests.patterns import find_text, parse
from alb_reconcile.model.requests.shadows import find_shadows

_MOST_PAIRS: Final = 40_000
"""The most pairs of rules that are compared: those of two listeners of 200 rules. AWS takes 100 in a load balancer by default."""
Ordered = list[tuple[Path, tuple[Condition, ...]]]


def check(around: Around) -> None:
    """Report rules that no request reaches, in a spec without mistakes."""
    if not around.is_sound:
        return
    pairs = 0
    for listener, _ in around.all_of("listener"):
        rules = rules_in_order(around, listener)
        for index, (path, conditions) in enumerate(rules):
            pairs += index
            if pairs > _MOST_PAIRS:
                return
            if not _is_never_met(around, path):
                _check_shadows(around, path, conditions, rules[:index])


def rules_in_order(around: Around, listener: Path) -> Ordered:
    """The rules of a listener by priority, as requests meet them, with their conditions."""
    found = sorted(around.mappings(*listener, "rules", ...), key=lambda item: int(item[1]["priority"]))
    return [(path, read_conditions(rule["conditions"])) for path, rule in found]


def _check_shadows(around: Around, path: Path, conditions: Sequence[Condition], earlier: Ordered) -> None:
    found = find_shadows(conditions, earlier)
    if found:
        priorities = [around.mappings(*place)[0][1]["priority"] for place in found]
        names = " and ".join(f"{place[-1]} ({number})" for place, number in zip(found, priorities, strict=True))
        verb = "takes" if len(found) == 1 else "take"
        text = f"no request reaches it: {names} {verb} all of its requests before; give it a priority below {min(priorities)}, or remove it"
        around.warn(path, text, at_key=True)


def _is_never_met(around: Around, path: Path) -> bool:
    """Report values of conditions that no request has. Returns whether a condition is left without other values."""
    paths, ranges = (texts_of(around, path, field) for field in ("path_pattern", "source_ip"))
    vain = [
        place for place, text in paths if (tokens := parse(text)) is not None and find_text(tokens, start="/") is None
    ]
    for place, text in paths:
        if place in vain:
            around.warn(place, f'no path fits "{text}", since each begins with /; write "/{text}"')
    balancer = around.entries("load_balancers")[str(path[1])]
    is_ipv4 = balancer.get("ip_address_type", "ipv4") == "ipv4"
    unseen = [place for place, text in ranges if is_ipv4 and ":" in text]
    for place in unseen:
        told = f"no client has such an address, since load_balancer.{path[1]} takes IPv4 only; set ip_address_type: dualstack, or name IPv4 addresses"
        around.warn(place, told)
    return bool(vain and len(vain) == len(paths)) or bool(unseen and len(unseen) == len(ranges))
