"""DNS names that `verify` looks up: where they should lead, and what is said where they don't."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.discover import discover
from alb_reconcile.sandbox.names.answers import Book, Entry, take_book
from alb_reconcile.sandbox.names.server import NameServer
from alb_reconcile.sandbox.names.zones import make_zones
from alb_reconcile.sandbox.strict.world import World as Place
from alb_reconcile.verification.attribution import DEMO
from alb_reconcile.verification.client import Client, Endpoint
from alb_reconcile.verification.names import NameFinding, asking, verify_names
from alb_reconcile.verification.site import Site, VerifySettings
from tests.adoption.adopting import target_of
from tests.harness import REGION, Spec, demo, world
from tests.verify import servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alb_reconcile.aws.client import Aws
    from tests.harness import World

ZONE = "example.com"


def named() -> Spec:
    """The demo with names: two that lead to its load balancer, one with a text, one in a private zone."""
    spec = demo()
    redirect = {"redirect": {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}}
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = redirect
    records: Spec = {
        "api": {"name": "api.example.com", "type": "A", "alias": "public"},
        "any": {"name": "*.example.com", "type": "A", "alias": "public"},
        "text": {"name": "example.com", "type": "TXT", "resource_records": ["v=spf1 -all"]},
    }
    spec["records"] = {key: {"zone": ZONE, **entry} for key, entry in records.items()}
    inside = {"zone": {"name": ZONE, "private": True}, "name": "inside.example.com", "type": "A"}
    spec["records"]["inside"] = {**inside, "resource_records": ["10.0.0.1"]}
    return spec


@pytest.fixture(scope="module")
def account() -> Iterator[World]:
    with world() as there:
        list(make_zones(Place("123456789012", REGION), [{"zone": ZONE}, {"zone": f"{ZONE}/private"}]))
        there.converge(named())
        there.clock.advance(60)
        yield there


def verify(
    account: World, book: Book, spec: Spec | None = None, endpoint: Endpoint | None = None
) -> Mapping[str, NameFinding]:
    """The findings by entry."""
    target = target_of(spec or named())
    found: list[Any] = []

    async def read(aws: Aws) -> None:
        found.append(await discover(aws, target.stack, target.desired))

    account._run(read)
    endpoints = {
        item.id: endpoint for item in found[0].resources if item.address.kind == "listener" and endpoint is not None
    }

    async def main(port: int) -> tuple[NameFinding, ...]:
        async def health(_: str) -> Any:
            return {}

        site = Site(
            target.stack, REGION, found[0], target.desired, endpoints, health, look_up=asking("127.0.0.1", port)
        )
        async with Client.opened(DEMO, 5) as client:
            return await verify_names(site, replace(VerifySettings(), dns_timeout=0), client, lambda _: None)

    with closing(NameServer(book.answer)) as server:
        return {item.address.name: item for item in asyncio.run(main(server.port))}


def sending(place: str) -> servers.Route:
    return lambda method, host, target, headers: (301, {"Location": place.format(host=host, target=target)}, b"")


def test_all_leads_where_it_should(account: World) -> None:
    with servers.front(sending("https://{host}{target}")) as front:
        found = verify(account, take_book(account.clock.now()), endpoint=Endpoint("127.0.0.1", front.port, 80))
    states = {key: item.state for key, item in found.items()}
    assert states == {"api": "ok", "any": "ok", "text": "ok", "inside": "skipped"}
    assert (found["api"].values, found["api"].redirects, found["text"].redirects) == (("127.0.0.1",), True, None)
    assert found["any"].name == "verify.example.com"
    assert found["inside"].notes == ("it is in a private zone; look it up inside of its VPC",)


def test_a_name_that_leads_elsewhere_or_nowhere_is_told(account: World) -> None:
    """And one that was never made."""
    book, spec = take_book(account.clock.now()), named()
    spec["records"]["new"] = {**spec["records"]["api"], "name": "new.example.com"}
    entries = [Entry("api.example.com", "A", values=("192.0.2.1",)), Entry(ZONE, "TXT", values=('"other"',))]
    found = verify(account, Book({ZONE: entries}, book.balancers), spec)
    assert found["api"].problems == ("api.example.com leads to 192.0.2.1 instead of load_balancer.public (127.0.0.1)",)
    assert found["text"].problems == ('example.com has "other" instead of "v=spf1 -all"',)
    assert "verify.example.com has no A record; check that the domain's name servers" in found["any"].problems[0]
    assert found["new"].problems == ("record.new doesn't exist; run apply first",)


def test_port_80_that_sends_elsewhere_is_told(account: World) -> None:
    with servers.front(sending("http://example.net/")) as front:
        found = verify(account, take_book(account.clock.now()), endpoint=Endpoint("127.0.0.1", front.port, 80))
    said = "http://api.example.com/ answers 301 and leads to http://example.net/ instead of https://api.example.com/"
    assert (found["api"].state, found["api"].redirects, found["api"].problems) == ("failed", False, (said,))
