"""Checks that each subnet has as many free addresses as a plan needs."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from alb_reconcile.model.address import Ref
from alb_reconcile.model.decisions import Decision, Decisions, subnets_of
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.service import Member


def full_subnets(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Findings about subnets with too few free addresses. Resources that the same plan deletes free none, since they may be deleted
    last."""
    needs: dict[Ref, Counter[str]] = defaultdict(Counter)
    entries: dict[str, Decision] = {}
    for subnet, name, item, number in _needs(decisions):
        needs[subnet][name] += number
        entries.setdefault(name, item)
    names = {item.id: item.address for item in decisions.live}
    findings = []
    for subnet, needed in needs.items():
        free = decisions.location_of(subnet, discovery).free
        if free is not None and needed.total() > free:
            most = entries[needed.most_common(1)[0][0]].desired
            parts = ", ".join(f"{number} for {name}" for name, number in needed.most_common())
            text = f"{names.get(str(subnet), subnet)} has {free} free addresses, and this plan needs {needed.total()} there ({parts}); make fewer at a time, or name more or larger subnets"
            path = next(name for name in ("count", most.state.in_subnets) if name in most.declared or name != "count")
            findings.append(Finding(most, path, text))
    return findings


def _needs(decisions: Decisions) -> Iterator[tuple[Ref, str, Decision, int]]:
    """The needs of each subnet: its entry's name, and how many addresses AWS wants to be free for it.

    Of members that are replaced in their own subnet, at most `max_surge` new ones exist in addition to the old ones at a time; if their
    target group is replaced, too, all of them do.
    """
    entries = decisions.desired.values()
    replaced = {item.desired.address for item in entries if item.forces}
    registrations = each_of([item.desired for item in entries], Member)
    moving = {state.target for _, state in registrations if state.target_group in replaced}
    beside: Counter[tuple[str, Ref]] = Counter()
    for item in entries:
        if not item.state.addresses:
            continue
        address, lifecycle = item.desired.address, item.desired.lifecycle
        before = subnets_of(item.found.state) if item.found else ()
        name = f"{address.kind}.{lifecycle.group or address.name}"
        for subnet in subnets_of(item.state):
            if subnet in before:
                is_paced = lifecycle.group and address not in moving
                beside[name, subnet] += bool(item.forces)
                if not item.forces or (is_paced and beside[name, subnet] > lifecycle.rollout.max_surge):
                    continue
            yield subnet, name, item, item.state.addresses
