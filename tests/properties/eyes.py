"""What is looked at before each call of a run, beside the health of targets: where names lead, and which addresses have an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.acm.models import acm_backends
from moto.route53.models import route53_backends

from alb_reconcile.sandbox.strict.health import balancer_of
from tests.harness import REGION
from tests.properties.watched import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.properties.watched import WatchedWorld


class Eyes:
    """Looks at a world as long as it is open. What it sees isn't to be at any moment of a run, killed ones included."""

    def __init__(self, world: WatchedWorld, which: frozenset[str]) -> None:
        self.world, self.which = world, which
        self.wrong: set[str] = set()
        self._held = len(holders(world))
        self._is_secure = any(has_certificate for _, has_certificate in self._names())
        self._sample = world.sample
        world.sample = self.look  # type: ignore[method-assign] # a world looks at health at the same moments

    def look(self, operation: str = "") -> None:
        """Note what is wrong before a call."""
        self._sample(operation)
        if "addresses" in self.which and len(holders(self.world)) < self._held:
            self.wrong.add(f"an address has no instance before {operation}")
        if "names" in self.which:
            names = [*self._names()]
            self.wrong |= {f"{text} before {operation}" for text, _ in names if text}
            if self._is_secure and not any(has_certificate for _, has_certificate in names):
                self.wrong.add(f"no name has both an address and a certificate before {operation}")

    def _names(self) -> Iterator[tuple[str, bool]]:
        """Of each record what is wrong, if anything, and whether its load balancer has a certificate for it."""
        balancers = {item.dns_name.lower(): item for item in self.world.account.elb.load_balancers.values()}
        for row in (row for home in zones() for row in home.rrsets if row.alias_target):
            found = balancers.get(row.alias_target["DNSName"].rstrip(".").lower().removeprefix("dualstack."))
            yield (
                f"{row.type} {row.name} leads nowhere" if found is None else self._of(row, found),
                bool(found and row.name.rstrip(".") in _certified(found)),
            )

    def _of(self, row: Any, found: Any) -> str:
        where = f"{row.type} {row.name}"
        groups = [arn for arn in self.world._receivers() if balancer_of(self.world.account, arn) is found]
        if not groups or not all(self.world._healthy(group, self.world.clock.now()) for group in groups):
            return f"{where} leads to no healthy target"
        listeners = {int(item.port): item for item in found.listeners.values()}
        if row.type == "AAAA" and "dualstack" not in str(found.ip_address_type):
            return f"{where} leads to addresses that are gone"
        if 80 not in listeners:
            return f"{where} leads to a load balancer that doesn't answer"
        is_led_on = listeners[80].default_actions[0].type == "redirect" and 443 not in listeners
        return f"{where} is redirected to a port that doesn't answer" if is_led_on else ""


def _certified(balancer: Any) -> set[str]:
    """The names for which a load balancer has a certificate."""
    listener = next((item for item in balancer.listeners.values() if int(item.port) == 443), None)
    found = acm_backends[ACCOUNT][REGION]._certificates[listener.certificates[0]] if listener else None
    return {found.common_name, *found.sans} if found else set()


def zones() -> list[Any]:
    """The hosted zones of the account."""
    return [*route53_backends[ACCOUNT]["aws"].zones.values()]


def holders(world: WatchedWorld) -> dict[str, str]:
    """The running instance that has an Elastic IP address, by the address's entry."""
    pairs = [(item, item.eni.instance) for item in world.account.ec2.addresses if item.eni and item.eni.instance]
    return {_entry(world, item.id): _entry(world, who.id) for item, who in pairs if who.state == "running"}


def belongings(world: WatchedWorld) -> dict[str, Any]:
    """What a stack's portrait doesn't show: who has which address and which volume that outlives instances, and the names in DNS."""
    volumes = []
    for volume in world.account.ec2.volumes.values():
        own = world.account.ec2.tags.get(volume.id, {})
        if "alb-reconcile:volume" in own:
            holder = volume.attachment.instance if volume.attachment else None
            volumes.append((own["alb-reconcile:address"], _entry(world, holder.id) if holder else ""))
    names = [f"{row.name} {row.type}" for home in zones() for row in home.rrsets if row.type not in ("NS", "SOA")]
    return {"addresses": holders(world), "volumes": sorted(volumes), "names": sorted(names)}


def _entry(world: WatchedWorld, resource: str) -> str:
    return str(world.account.ec2.tags.get(resource, {}).get("alb-reconcile:address", ""))
