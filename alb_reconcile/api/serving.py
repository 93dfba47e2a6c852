"""Where a stack answers, and what of it doesn't yet."""

from collections import defaultdict
from collections.abc import Mapping

from alb_reconcile.engine.stack import awaited
from alb_reconcile.kinds import is_in_order
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import Entrance
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Observed, each_of
from alb_reconcile.model.text import printable


def urls(discovery: Discovery, local: Mapping[str, str]) -> list[str]:
    """Where the stack's listeners answer: in the sandbox at their local URLs, which `local` has by listener ARN."""
    return [local.get(arn, url) for arn, url in listeners(discovery)]


def listeners(discovery: Discovery) -> list[tuple[str, str]]:
    """Each listener's ARN and URL, sorted by this."""
    hosts = {
        item.id: item.detail(Entrance).dns_name for item in discovery.resources if item.address.kind == "load_balancer"
    }
    found = []
    for item, state in each_of(discovery.resources, Listener):
        if state.load_balancer in hosts:
            scheme, port = state.protocol.lower(), state.port
            default = {"http": 80, "https": 443}[scheme]
            host = hosts[str(state.load_balancer)]
            found.append((item.id, f"{scheme}://{host}{'' if port == default else f':{port}'}/"))
    return sorted(found, key=lambda pair: pair[1])


def unready(discovery: Discovery) -> list[str]:
    """What of the stack doesn't answer requests: each load balancer, and the targets of each group."""
    names = {item.id: item.address for item in discovery.resources}
    found: dict[str, list[Observed]] = defaultdict(list)
    for item in awaited(discovery):
        found[item.parent_id or item.id].append(item)
    lines = []
    for key, items in found.items():
        ill = [item.status for item in items if not is_in_order(item)]
        if ill and items[0].parent_id:
            verb, why = "isn't" if len(ill) == 1 else "aren't", ", ".join(sorted(set(ill)))
            lines.append(f"{len(ill)} of {len(items)} targets of {names.get(key, key)} {verb} healthy yet ({why})")
        elif ill:
            lines.append(f"{names.get(key, key)} is {ill[0]}")
    return [printable(line) for line in lines]
