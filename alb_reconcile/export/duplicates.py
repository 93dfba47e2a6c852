"""Keeps one of several resources at one address of a stack, as half a roll leaves them: the one that a plan keeps."""

from collections import defaultdict
from collections.abc import Collection

from alb_reconcile.engine.plan.cascade_deletes import lineage
from alb_reconcile.engine.plan.decide import Ranking
from alb_reconcile.export.scope import FoundResources
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.abilities import fixed
from alb_reconcile.model.address import Address
from alb_reconcile.model.decisions import named_ids
from alb_reconcile.model.resource import Observed
from alb_reconcile.model.service import Entrance


def take_out_doubles(found: FoundResources, stack: str) -> dict[str, str]:
    """Take the resources that aren't kept, and what registers them, out of what was found. Returns the id of the kept resource, by the id
    of each that isn't."""
    known = {key: item.found for key, item in found.all.items()}
    # a plan sees what is the stack's, and what is in that
    own = [item for item in known.values() if not found.addresses.keys().isdisjoint(lineage(item, known))]
    ranking = Ranking(stack, own, {})
    places: dict[Address, list[Observed]] = defaultdict(list)
    for key, address in found.addresses.items():
        places[address].append(known[key])
    doubles: dict[str, str] = {}
    # a network comes before the resources in it
    for items in sorted(places.values(), key=lambda items: load_kinds()[items[0].state.kind].position):
        best, *rest = sorted(items, key=lambda item: ranking.of(item, is_replaced=_is_replaced(item, doubles)))
        doubles |= {item.id: best.id for item in rest}
    found.chosen -= doubles.keys()
    for key, item in known.items():
        if key in doubles or not (item.state.service or doubles.keys().isdisjoint(named_ids(item.state))):
            del found.all[key]
    return doubles


def _is_replaced(item: Observed, doubles: Collection[str]) -> bool:
    """Whether a plan replaces a resource, whatever else the spec says: AWS can't take it out of a resource that goes."""
    values = [getattr(item.state, name, None) for name in fixed(item.state, item)]
    if isinstance(item.details, Entrance):  # a load balancer's VPC is known by its subnets alone
        values.append(item.details.vpc)
    return any(text in doubles for text in named_ids(tuple(values)))
