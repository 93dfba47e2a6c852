"""https names while their load balancer is replaced, begins, or gives up IPv6: killed and run again, and a name that somebody asks
leads at every moment to a load balancer that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.acm.models import acm_backends
from moto.route53.models import route53_backends

from alb_reconcile.sandbox.strict.health import balancer_of
from tests.at_length import SOAK
from tests.harness import REGION, by_hand, demo
from tests.kinds.hand import edited
from tests.kinds.test_certificate import acm, zone
from tests.kinds.test_https_names import NAME, named
from tests.kinds.test_https_refusals import https
from tests.properties.watched import ACCOUNT, WatchedWorld, portrait, watched

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.properties.watched import Moment

ALLOWED = {"replace-load-balancer": 2, "delete-load-balancer": 1, "replace": 20, "delete": 20}


def one() -> Spec:
    return https(names=[NAME])


def renamed() -> Spec:
    """The same under another name, which nobody has moved."""
    spec = one()
    spec["load_balancers"] = {"front": spec["load_balancers"]["public"]}
    return spec


WAYS: dict[str, tuple[Spec, Spec]] = {
    "begins": (demo(), one()),
    "is replaced": (one(), edited(one(), "load_balancers/public/scheme", "internal")),
    "is called otherwise": (one(), renamed()),
    "has another name": (one(), https(names=[NAME, "www.example.com"])),
    "is exchanged for another": (one(), https(names=["new.example.com"])),
    "gives up IPv6": (named(ip_address_type="dualstack"), named(ip_address_type="ipv4")),
}


class Names:
    """What the names of a zone lead to, looked at before each call."""

    def __init__(self, world: WatchedWorld, zone_id: str, *, secure: bool) -> None:
        self.world, self.zone, self.secure = world, zone_id, secure
        self.wrong: set[str] = set()
        self._sample = world.sample
        world.sample = self.look  # type: ignore[method-assign] # a world looks at health at the same moments

    def look(self, operation: str = "") -> None:
        self._sample(operation)
        balancers = {item.dns_name.lower(): item for item in self.world.account.elb.load_balancers.values()}
        secured: set[str] = set()
        for row in route53_backends[ACCOUNT]["aws"].zones[self.zone].rrsets:
            if not row.alias_target:
                continue
            found = balancers.get(row.alias_target["DNSName"].rstrip(".").lower().removeprefix("dualstack."))
            where = f"{row.type} {row.name} before {operation}"
            if found is None:
                self.wrong.add(f"{where} leads nowhere")
                continue
            groups = [arn for arn in self.world._receivers() if balancer_of(self.world.account, arn) is found]
            if not groups or not all(self.world._healthy(group, self.world.clock.now()) for group in groups):
                self.wrong.add(f"{where} leads to no healthy target")
            listeners = {int(item.port): item for item in found.listeners.values()}
            if 443 in listeners and row.name.rstrip(".") in certified(listeners[443]):
                secured.add(row.name)
            if row.type == "AAAA" and "dualstack" not in str(found.ip_address_type):
                self.wrong.add(f"{where} leads to addresses that are gone")
            if 80 not in listeners:
                self.wrong.add(f"{where} leads to a load balancer that doesn't answer")
            elif listeners[80].default_actions[0].type == "redirect" and 443 not in listeners:
                self.wrong.add(f"{where} is redirected to a port that doesn't answer")
        if self.secure and not secured:
            self.wrong.add(f"no name has both an address and a certificate before {operation}")


def certified(listener: Any) -> set[str]:
    """The names of the certificate that a listener shows."""
    found = acm_backends[ACCOUNT][REGION]._certificates[listener.certificates[0]]
    return {found.common_name, *found.sans}


def rows(zone_id: str) -> list[str]:
    found = by_hand("route53").list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    return sorted(f"{row['Name']} {row['Type']}" for row in found if row["Type"] not in ("NS", "SOA"))


def certificates() -> int:
    return len(acm().list_certificates()["CertificateSummaryList"])


def some(moments: list[Moment]) -> list[Moment]:
    """Each thirty-second, and with SOAK all."""
    return moments if SOAK else moments[1::32]


@pytest.mark.parametrize("way", WAYS if SOAK else ["begins", *[*WAYS][1::2]])
def test_a_name_always_leads_to_what_answers(way: str) -> None:
    before, after = WAYS[way]
    with watched() as world:
        home = zone()
        world.converge(before)
        names = Names(world, home, secure=way != "begins")
        with world.moments() as moments:
            world.converge(after, allow=ALLOWED)
        good, there, count = portrait(world, after), rows(home), certificates()
        for moment in some(moments):
            world.go_back(moment)
            world.converge(after, allow=ALLOWED)
            world.clock.advance(60)
            assert (portrait(world, after), rows(home), certificates()) == (good, there, count), moment.words
        assert names.wrong == set()


def test_a_destroy_that_was_killed_is_finished_by_the_next() -> None:
    with watched() as world:
        home, spec = zone(), named(ip_address_type="dualstack")
        world.converge(spec)
        with world.moments() as moments:
            world.destroy(spec)
        for moment in some(moments):
            world.go_back(moment)
            world.destroy(spec)
            assert (rows(home), certificates()) == ([], 0), moment.words
