"""Says where a stack answers, and which parts don't answer yet."""

from collections.abc import Mapping

from alb_reconcile.engine.standing import Standing
from alb_reconcile.kinds import is_in_order
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.service import Balancer, Entrance, Frontend, Member
from alb_reconcile.model.text import printable


def urls(discovery: Discovery, local: Mapping[str, str]) -> list[str]:
    """The URLs at which the stack's listeners answer: in the sandbox their local URLs, which `local` has by listener ARN."""
    return [local.get(arn, url) for arn, url in listeners(discovery)]


def listeners(discovery: Discovery) -> list[tuple[str, str]]:
    """Each listener's ARN and URL, sorted by URL."""
    hosts = {
        item.id: item.detail(Entrance).dns_name for item in discovery.resources if isinstance(item.state, Balancer)
    }
    found = []
    for item, state in each_of(discovery.resources, Frontend):
        if state.load_balancer in hosts:
            scheme, port = state.protocol.lower(), state.port
            default = {"http": 80, "https": 443}[scheme]
            host = hosts[str(state.load_balancer)]
            found.append((item.id, f"{scheme}://{host}{'' if port == default else f':{port}'}/"))
    return sorted(found, key=lambda pair: pair[1])


def not_ready(discovery: Discovery, standing: Standing) -> list[str]:
    """What serves no requests, in words, and then what isn't in order yet, or isn't as it should be: targets, load balancers, instances."""
    service = standing.service
    balancers = [item for item in discovery.resources if isinstance(item.state, Balancer) and not is_in_order(item)]
    others = [item for item in standing.ill if not isinstance(item.state, Balancer | Member)]
    ill = [printable(f"{item.address} is {item.status}") for item in (*balancers, *others)]
    return [*service.nobody, *service.off, *service.partly, *service.beside, *ill]
