"""Finds resources of the stack that the spec names by id, or looks up, though the plan deletes them."""

from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import Decisions, named_ids
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import Observed, each_of, field_names, texts
from alb_reconcile.model.service import Routes


def own_by_id(decisions: Decisions, _: Discovery) -> list[Finding | str]:
    """Findings at each place in the spec that uses a resource which would be deleted, with how to forget that resource."""
    gone = (found for found, _ in decisions.to_delete.values())
    replaced = (item.found for item in decisions.desired.values() if item.found and item.forces)
    going = {found.id: found for found in (*gone, *replaced) if found.owner == decisions.stack}
    by_name = {(found.state.known_in, found.state.own_name): found for found in going.values()}
    found: list[Finding | str] = []
    named: set[str] = set()
    for item in decisions.desired.values() if going else ():
        for field in field_names(type(item.desired.state)):
            for text in sorted(set(texts(getattr(item.desired.state, field)))):
                own = going.get(text) or by_name.get((field, text))
                if own is not None:
                    how = "would be deleted" if own.id in decisions.to_delete else "would be replaced"
                    said = f"{text} is this stack's own {own.address}, and {how}; name its entry, or let the stack forget it first"
                    found.append(Finding(item.desired, field, said))
                    named.add(own.id)
    if named:
        file = next(iter(decisions.desired.values())).desired.file
        whole = sorted(str(going[known].address) for known in _with_ways(named, going))
        found.append(f"to let go of what the spec uses and no longer declares, run: {advised('forget', file, *whole)}")
    return found


def _with_ways(named: set[str], going: dict[str, Observed]) -> set[str]:
    """These resources, and the resources that they need: those that they name, and routes out of subnets, so that nothing is cut off."""
    found = set(named)
    while (
        more := {
            *(text for known in found for text in named_ids(going[known].state)),
            *(table.id for table, state in each_of(going.values(), Routes) if found.intersection(state.subnets or ())),
        }
        & going.keys() - found
    ):
        found |= more
    return found
