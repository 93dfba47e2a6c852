"""Decides whether the security groups of a spec let one side in to the other side, or out to it."""

from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.kinds.networks import network, network_of


def allows(around: Around, holder: Entry, direction: str, port: int, other: Entry) -> bool:
    """Whether the holder's groups allow the other side. Groups with rules that the spec doesn't show count as allowing it."""
    rules = rules_of(around, holder, direction)
    return rules is None or any(covers(rule, port) and _matches(around, rule, other) for rule in rules)


def rules_of(around: Around, holder: Entry, direction: str) -> list[Entry] | None:
    """The rules of the holder's groups; None where one may have others: a foreign, unmanaged or wrong group, or `others: keep`."""
    known = around.entries("security_groups")
    names = [name if isinstance(name, str) else "" for name in holder.get("security_groups") or ()]
    # a look-up, or a value that isn't a name, counts as a foreign group
    groups = [{} if around.is_wrong(("security_groups", name)) else known.get(name, {}) for name in names]
    if not groups or any(direction not in entry or entry.get("others") == "keep" for entry in groups):
        return None
    return [rule for entry in groups for rule in entry[direction] if rule]


def covers(rule: Entry, port: int) -> bool:
    """Whether a rule is for a port."""
    first, last = ports_of(rule)
    return rule.get("protocol") == "all" or (rule.get("protocol") == "tcp" and first <= port <= last)


def ports_of(rule: Entry) -> tuple[int, int]:
    """The first and last port of a rule."""
    if "port" in rule:
        return rule["port"], rule["port"]
    return rule.get("from_port", 0), rule.get("to_port", 65535)


def _matches(around: Around, rule: Entry, other: Entry) -> bool:
    if "security_group" in rule:
        named, known = rule["security_group"], around.entries("security_groups")
        given = [name for name in other.get("security_groups") or () if isinstance(name, str)]
        # a name without an entry is reported elsewhere; it may be meant for this group
        return any(name == named or not (name in known or is_aws_id(name)) for name in given)
    if "prefix_list_id" in rule:
        return True  # the spec doesn't show the list's members
    allowed = network(rule.get("cidr_block"))
    blocks = (network_of(around, "subnets", subnet) for subnet in other.get("subnets") or ())
    return allowed is not None and all(block.subnet_of(allowed) for block in blocks if block)
