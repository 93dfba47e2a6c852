"""Of several resources at one address of a stack, as half a roll leaves them, the one that is meant."""

from collections import Counter, defaultdict

from alb_reconcile.engine.plan.decide import named_ids
from alb_reconcile.export.scope import Found
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed, each_of


def take_out_doubles(found: Found) -> dict[str, str]:
    """Those that aren't meant, by id, and the one that is: what serves, then what others use, then the oldest. They, and what
    registers them, are taken out of what was found."""
    live = [item.found for item in found.all.values() if not (item.found.is_gone or item.found.is_leaving)]
    healthy = {str(state.target) for item, state in each_of(live, Registration) if item.status == "healthy"}
    uses = Counter(text for item in live for text in set(named_ids(item.state)))
    places: dict[Address, list[Observed]] = defaultdict(list)
    for item in live:
        if address := found.addresses.get(item.id):
            places[address].append(item)
    doubles: dict[str, str] = {}
    for items in places.values():
        best, *rest = sorted(items, key=lambda item: (item.id not in healthy, -uses[item.id], item.created, item.id))
        doubles |= {item.id: best.id for item in rest}
    found.chosen -= doubles.keys()
    for key, other in list(found.all.items()):
        if key in doubles or not (other.found.state.service or doubles.keys().isdisjoint(named_ids(other.found.state))):
            del found.all[key]
    return doubles
