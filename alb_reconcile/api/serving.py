"""Where a stack answers, and what of it doesn't yet."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from alb_reconcile.engine.stack import Standing, awaited
from alb_reconcile.engine.unserved import is_down, unserved
from alb_reconcile.kinds import is_in_order
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import Entrance
from alb_reconcile.model.abilities import action_of
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


def not_ready(discovery: Discovery, standing: Standing) -> list[str]:
    """What serves nobody, and what doesn't answer requests yet, in words. Who comes in where isn't said by listeners and rules
    that couldn't be read."""
    is_known = discovery.unread.keys().isdisjoint(("listener", "rule"))
    gone = [f"{item} is missing, so it serves nobody" for item in standing.missing if item.kind == "load_balancer"]
    return [*gone, *(unserved(discovery.resources) if is_known else ()), *unready(discovery, standing)]


def unready(discovery: Discovery, standing: Standing | None = None) -> list[str]:
    """What of the stack doesn't answer requests: each load balancer, the targets of each group, and what else the spec wants
    in order. What serves nobody comes first. Without `standing`, what is stopped is as somebody wants it."""
    asked = {str(part.target_group) for item in discovery.resources for part in action_of(item.state).receiving}
    known = standing or Standing()
    names = _names(discovery, known, asked)
    found: dict[str, list[Observed]] = defaultdict(list)
    for item in awaited(discovery, resting=() if standing else None):
        found[item.parent_id or item.id].append(item)
    nobody, lines = list(known.emptied), []
    for key, items in found.items():
        seen = [item.status for item in items]
        ill = [item.status for item in items if not is_in_order(item) and _target(item) not in known.resting]
        if items[0].parent_id and key in asked and set(seen) == {"unused"}:
            nobody.append(
                f"{len(seen)} of {len(seen)} targets of {names.get(key, key)} are unused, so it serves nobody"
            )
        elif ill and items[0].parent_id:
            verb, why = "isn't" if len(ill) == 1 else "aren't", ", ".join(sorted(set(ill)))
            yet = " yet" * ("initial" in ill)
            if key in asked and is_down(seen):
                nobody.append(f"no target of {names.get(key, key)} is healthy ({why})")
            else:
                lines.append(f"{len(ill)} of {len(items)} targets of {names.get(key, key)} {verb} healthy{yet} ({why})")
        elif ill:
            lines.append(f"{names.get(key, key)} is {ill[0]}")
    apart = ("load_balancer", "registration")
    lines += [f"{item.address} is {item.status}" for item in known.ill if item.address.kind not in apart]
    return [printable(line) for line in (*nobody, *lines)]


def _names(discovery: Discovery, known: Standing, asked: Collection[str]) -> dict[str, str]:
    """What each resource is called; of two target groups at an address, as after a swap that failed, each apart."""
    number = Counter(item.address for item in discovery.resources)
    names = {}
    for item in discovery.resources:
        names[item.id] = name = str(item.address)
        if item.address.kind == "target_group" and number[item.address] > 1:
            is_left = known.fates.get(item.id) == "deletes"
            word, then = ("leftover", ", which apply deletes,") if is_left else ("new", ", at weight 0,")
            word, then = ("serving", "") if item.id in asked else (word, then)
            names[item.id] = f"the {word} {name} ({item.id.split('/')[1]}){then}"
    return names


def _target(item: Observed) -> str:
    return str(getattr(item.state, "target", ""))
