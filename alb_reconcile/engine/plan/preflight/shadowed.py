"""Rules that no request reaches, which is probably not meant."""

from collections import defaultdict
from collections.abc import Iterator

from alb_reconcile.engine.plan.decide import Decisions
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.rule.shadows import find_shadows
from alb_reconcile.model.address import Ref
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import bind, each_of


def shadowed_rules(decisions: Decisions, _: Discovery) -> Iterator[Finding]:
    """Rules all of whose requests are taken by others' rules that stay in the listener. What the spec's own rules take
    from each other `validate` has said."""
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
