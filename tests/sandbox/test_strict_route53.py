"""Route 53: refusals of change batches, changes that take their time, the order of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import World, by_hand, world
from tests.sandbox.strict_world import Network

if TYPE_CHECKING:
    from collections.abc import Iterator


class Zone:
    """A hosted zone, changed by hand."""

    def __init__(self, there: World) -> None:
        self.world = there
        self.route53 = by_hand("route53")
        self.id = self.route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

    def change(self, *changes: tuple[str, dict[str, Any]]) -> str:
        """The change's id, or what AWS says."""
        self.world.clock.advance(1)
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in changes]}
        try:
            answer = self.route53.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch=batch)
        except ClientError as error:
            return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        return str(answer["ChangeInfo"]["Id"])

    def listed(self, **start: Any) -> list[str]:
        rows = self.route53.list_resource_record_sets(HostedZoneId=self.id, **start)["ResourceRecordSets"]
        return [f"{row['Name']} {row['Type']} {row.get('SetIdentifier', '')}".strip() for row in rows]


@pytest.fixture
def zone() -> Iterator[Zone]:
    with world() as there:
        yield Zone(there)


def a(name: str, *values: str, ttl: int = 60, **more: Any) -> dict[str, Any]:
    records = [{"Value": value} for value in values or ("192.0.2.1",)]
    return {"Name": name, "Type": "A", "TTL": ttl, "ResourceRecords": records, **more}


MANY = [f"10.0.{number // 250}.{number % 250}" for number in range(501)]


def cname(name: str) -> dict[str, Any]:
    return {"Name": name, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "elsewhere.example.net"}]}


def alias(target: str, zone_id: str) -> dict[str, Any]:
    told = {"DNSName": target, "HostedZoneId": zone_id, "EvaluateTargetHealth": False}
    return {"Name": "api.example.com", "Type": "A", "AliasTarget": told}


CREATED = "/change/"


@pytest.mark.parametrize(
    "changes",
    [
        [
            (CREATED, "CREATE", a("API.example.com")),
            ("[name='api.example.com.', type='A'] but it already exists", "CREATE", a("api.example.com.")),
            ("do not match the current values", "DELETE", a("api.example.com", ttl=300)),
            ("but it was not found", "DELETE", a("www.example.com")),
            (CREATED, "DELETE", a("api.example.com")),
            (CREATED, "CREATE", cname("api.example.com")),
            ("conflicting RRSet of type CNAME", "CREATE", a("api.example.com")),  # it stands beside nothing
        ],
        [
            ("Missing field 'SetIdentifier'", "CREATE", a("api.example.com", Weight=1)),
            ("but found none", "CREATE", a("api.example.com", SetIdentifier="one")),
            (CREATED, "CREATE", a("api.example.com", SetIdentifier="one", Weight=1)),
            ("as other RRSets exist", "CREATE", a("api.example.com")),
            (CREATED, "CREATE", a("www.example.com", SetIdentifier="one", Failover="PRIMARY")),
            ("PRIMARY failover RRSet", "CREATE", a("www.example.com", SetIdentifier="two", Failover="PRIMARY")),
            ("NoSuchHealthCheck", "CREATE", a("x.example.com", HealthCheckId="no")),
        ],
        [
            ("not a valid IPv4 address", "CREATE", a("api.example.com", "192.0.2.300")),
            ("not a valid IPv6 address", "CREATE", a("api.example.com", "192.0.2.3", Type="AAAA")),
            ("enclosed in quotation marks", "CREATE", a("api.example.com", "bare", Type="TXT")),
            ("Value is too long", "CREATE", a("api.example.com", f'"{"x" * 256}"', Type="TXT")),
            ("InvalidChangeBatch", "UPSERT", a("api.example.com", *MANY)),
            (CREATED, "CREATE", a("api.example.com", *MANY)),
        ],
    ],
    ids=["exact values", "routing", "values and limits"],
)
def test_what_is_said_of_changes_one_after_the_other(zone: Zone, changes: list[tuple[str, str, Any]]) -> None:
    for told, action, record in changes:
        assert told in zone.change((action, record))


def test_a_batch_is_made_as_a_whole_or_not_at_all(zone: Zone) -> None:
    before = zone.listed()
    said = zone.change(("CREATE", a("api.example.com")), ("CREATE", cname("example.com")), ("CREATE", a("example.net")))
    assert said.startswith("InvalidChangeBatch: [")
    assert "CNAME with DNS name example.com. is not permitted at apex in zone example.com." in said
    assert "RRSet with DNS name example.net. is not permitted in zone example.com." in said
    assert zone.listed() == before
    zone.change(("CREATE", a("api.example.com")))
    both = ("DELETE", a("api.example.com")), ("CREATE", a("api.example.com", "192.0.2.2"))
    assert zone.change(*both).startswith(CREATED)


def test_an_alias_leads_to_a_load_balancer_with_its_own_zone_or_to_a_record_of_the_zone(zone: Zone) -> None:
    network = Network.make(by_hand("ec2"), by_hand("elbv2"), zone.world.clock)
    network.balancer()
    (made,) = network.elb.describe_load_balancers()["LoadBalancers"]
    dns, own = made["DNSName"], made["CanonicalHostedZoneId"]
    assert "target was not found" in zone.change(("CREATE", alias("dualstack.no-1.us-east-1.elb.amazonaws.com", own)))
    assert "does not lie within the target zone" in zone.change(("CREATE", alias(dns, "ZOTHER")))
    assert zone.change(("CREATE", alias(f"dualstack.{dns}", own))).startswith("/change/")
    inside = {**alias("api.example.com", zone.id), "Name": "www.example.com"}
    assert zone.change(("CREATE", inside)).startswith("/change/")
    assert "target was not found" in zone.change(("CREATE", {**inside, "Name": "v6.example.com", "Type": "AAAA"}))


def test_a_change_takes_its_time(zone: Zone) -> None:
    number = zone.change(("CREATE", a("api.example.com")))
    assert zone.route53.get_change(Id=number)["ChangeInfo"]["Status"] == "PENDING"
    zone.world.clock.advance(60)
    assert zone.route53.get_change(Id=number)["ChangeInfo"]["Status"] == "INSYNC"
    with pytest.raises(ClientError, match="NoSuchChange"):
        zone.route53.get_change(Id="C1")


def test_one_change_of_a_zone_comes_after_the_other(zone: Zone) -> None:
    zone.change(("CREATE", a("api.example.com")))
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": a("www.example.com")}]}
    asked = []

    def advance(**_: Any) -> None:  # as time does while botocore waits
        asked.append(zone.world.clock.now())
        zone.world.clock.advance(1)

    events = zone.route53.meta.events
    events.register("needs-retry.route53", advance, unique_id="advance")
    try:
        zone.route53.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch=batch)
    finally:
        events.unregister("needs-retry.route53", unique_id="advance")
    assert len(asked) == 2, "the first attempt was refused: PriorRequestNotComplete"
