"""The sandbox's name server: what it answers, on the wire, and when a change has reached it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from alb_reconcile.sandbox.names.answers import Book, Entry, take_book
from alb_reconcile.sandbox.names.server import NameServer
from alb_reconcile.sandbox.names.zones import make_zones
from alb_reconcile.sandbox.strict.world import World
from tests.harness import REGION, by_hand, world

BALANCER = "web-1.us-east-1.elb.amazonaws.com"
BOOK = Book(
    {
        "example.com": [
            Entry("api.example.com", "A", target=f"dualstack.{BALANCER}"),
            Entry("api.example.com", "AAAA", target=f"dualstack.{BALANCER}"),
            Entry("www.example.com", "CNAME", 300, ("api.example.com.",)),
            Entry("away.example.com", "CNAME", 300, ("a.example.net.",)),
            Entry("*.example.com", "TXT", 60, ('"any"',)),
            Entry("a.b.example.com", "MX", 60, ("10 mail.example.net.",)),
            Entry("f.example.com", "A", target="gone.us-east-1.elb.amazonaws.com", failover="PRIMARY"),
            Entry("f.example.com", "A", values=("192.0.2.2",), failover="SECONDARY"),
            Entry("w.example.com", "A", values=("192.0.2.1",), weight=0),
            Entry("w.example.com", "A", values=("192.0.2.2",), weight=5),
            Entry("large.example.com", "TXT", 60, tuple(f'"{number:0200}"' for number in range(20))),
        ]
    },
    frozenset({BALANCER}),
)


@pytest.mark.parametrize(
    ("name", "kind", "code", "values"),
    [
        ("API.example.com.", "A", "NOERROR", ["127.0.0.1"]),
        ("api.example.com", "AAAA", "NOERROR", []),
        ("www.example.com", "A", "NOERROR", ["api.example.com.", "127.0.0.1"]),
        ("away.example.com", "A", "NOERROR", ["a.example.net."]),
        ("other.example.com", "TXT", "NOERROR", ['"any"']),
        ("x.api.example.com", "TXT", "NXDOMAIN", []),
        ("b.example.com", "TXT", "NOERROR", []),
        ("a.b.example.com", "MX", "NOERROR", ["10 mail.example.net."]),
        ("f.example.com", "A", "NOERROR", ["192.0.2.2"]),
        ("w.example.com", "A", "NOERROR", ["192.0.2.2"]),
        (BALANCER, "A", "NOERROR", ["127.0.0.1"]),
        ("gone.us-east-1.elb.amazonaws.com", "A", "NXDOMAIN", []),
        ("example.net", "A", "REFUSED", []),
    ],
)
def test_it_answers_as_route_53_does(name: str, kind: str, code: str, values: list[str]) -> None:
    found = BOOK.answer(name, kind)
    assert (found.code, [value for row in found.rows for value in row[3]]) == (code, values)


@pytest.fixture
def server() -> Iterator[NameServer]:
    made = NameServer(BOOK.answer)
    yield made
    made.close()


def test_it_answers_by_udp_and_tcp(server: NameServer) -> None:
    for send in (dns.query.udp, dns.query.tcp):
        answer: Any = send(dns.message.make_query("api.example.com", "A"), "127.0.0.1", 5, server.port)
        assert [str(row) for row in answer.answer] == ["api.example.com. 60 IN A 127.0.0.1"]
        assert answer.flags & dns.flags.AA
    refused = dns.query.udp(dns.message.make_query("example.net", "A"), "127.0.0.1", 5, server.port)
    assert refused.rcode() == dns.rcode.REFUSED


def test_a_change_reaches_it_when_it_is_in_sync() -> None:
    with world() as there:
        zone = World("123456789012", REGION)
        assert list(make_zones(zone, [{"zone": "example.com"}, {"zone": "Z0ABC", "name": "api.example.org"}])) != []
        assert list(make_zones(zone, [{"zone": "example.com"}, {"zone": "Z0ABC", "name": "api.example.org"}])) == []
        assert list(make_zones(zone, [{"zone": "Z0NOTTHERE", "name": "www.example.org"}])) == [], "a mistyped id"
        record = {"Name": "api.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        by_hand("route53").change_resource_record_sets(HostedZoneId="Z0ABC", ChangeBatch=batch)
        assert take_book(there.clock.now()).answer("api.example.org", "A").code == "NXDOMAIN"
        there.clock.advance(60)
        assert [row[3] for row in take_book(there.clock.now()).answer("api.example.org", "A").rows] == [("192.0.2.1",)]
