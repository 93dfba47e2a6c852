"""A load balancer with https names, and what becomes of them: other addresses, hands in the zone, adoption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.adoption.adopting import Keeper
from tests.harness import demo
from tests.kinds.hand import order, short
from tests.kinds.test_certificate import change, record_of, requested, status
from tests.kinds.test_https_refusals import https
from tests.kinds.test_record import Names

if TYPE_CHECKING:
    from tests.harness import Result, Spec
    from tests.kinds.hand import Hand

NAME, RECORD = "api.example.com", "record.public-api-example-com"


def named(**balancer: Any) -> Spec:
    """The demo with one name, and a network with IPv6 in which everything is open."""
    spec = https(names=[NAME])
    spec["load_balancers"]["public"] |= balancer
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    for number, subnet in enumerate(spec["subnets"].values()):
        subnet["ipv6_cidr_block"] = number
    for table in spec["route_tables"].values():
        table["routes"].append({"destination_ipv6_cidr_block": "::/0", "internet_gateway": "main"})
    anybody = (
        {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"},
        {"protocol": "all", "ipv6_cidr_block": "::/0"},
    )
    spec["security_groups"]["load-balancer"]["ingress"] += anybody
    return spec


def done(result: Result) -> list[str]:
    return [f"{item.step.action} {item.step.address}" for item in result.outcomes]


def owner(names: Names) -> dict[str, Any]:
    """The TXT record that says whose the name is."""
    return names.rows()["a.api.alb-reconcile.example.com TXT"]


@pytest.mark.slow
def test_ipv6_is_given_up_when_clients_have_forgotten_it_and_is_there_before_they_ask(hand: Hand) -> None:
    Names(hand.world)
    hand.make(named(ip_address_type="dualstack"))
    result = hand.make(named(ip_address_type="ipv4"))
    assert done(result) == [f"delete {RECORD}-aaaa", "update load_balancer.public"]
    assert result.outcomes[1].step.pause == (120, "clients have forgotten its IPv6 addresses")
    assert order(hand.world, "change_resource_record_sets", "set_ip_address_type")[0] == "change_resource_record_sets"
    result = hand.make(named(ip_address_type="dualstack"))
    assert done(result) == ["update load_balancer.public", f"create {RECORD}-aaaa"]
    result = hand.make(named(ip_address_type="dualstack-without-public-ipv4"), allow={"close": 1})
    assert done(result) == [f"delete {RECORD}", "update load_balancer.public"]
    hand.make(named(ip_address_type="dualstack"))
    spec = https(names=[NAME])
    spec["load_balancers"]["public"]["ip_address_type"] = "ipv4"
    found = done(hand.make(spec))  # with routes and rules for IPv6
    assert found[:2] == [f"delete {RECORD}-aaaa", "update load_balancer.public"]
    assert set(found[2:]) == {"update route_table.public", "update security_group_rules.load-balancer"}


@pytest.mark.slow
def test_sync_says_whose_a_record_is_that_has_lost_its_owner(hand: Hand) -> None:
    """It is nobody's then: nothing is overwritten, and running again wouldn't help."""
    names = Names(hand.world)
    hand.make(https(names=[NAME]))
    names.change("DELETE", owner(names))
    ending = hand.world.sync(hand.spec)
    assert ending.is_failed
    (error,) = [str(item.error) for item in ending.outcomes]
    assert error.startswith(f"there is a record {NAME} (A) already, outside this stack; adopt it, choose another name")
    Keeper(hand.world).adopt(hand.spec)
    hand.make(hand.spec)
    assert owner(names)


def test_what_somebody_made_by_hand_is_adopted_and_destroy_finds_it(hand: Hand) -> None:
    """A record has no tags: from then on those of the stack's other resources say in which zone to look."""
    names = Names(hand.world)
    hand.make(demo())
    (balancer,) = hand.elb.describe_load_balancers()["LoadBalancers"]
    target = {"DNSName": balancer["DNSName"], "HostedZoneId": balancer["CanonicalHostedZoneId"]}
    row = {"Name": NAME, "Type": "A", "AliasTarget": {**target, "EvaluateTargetHealth": True}}
    names.change("CREATE", row)
    arn = requested(hand)
    change(hand, names.id, "CREATE", record_of(arn))
    status(arn)
    hand.wait(120)
    assert status(arn) == "ISSUED"
    spec = https(names=[NAME])
    del spec["tags"]
    hand.make({**demo(), "tags": {}})
    Keeper(hand.world).adopt(spec)
    assert [step for step, *_ in short(hand.world.plan(spec))] == ["create", "update"], "HTTPS, and the redirect to it"
    hand.world.destroy(spec)
    assert [key.partition(" ")[2] for key in names.rows()] == ["CNAME"], "which somebody else made"


# -- one name is exchanged for another


@pytest.mark.slow
def test_a_name_goes_when_the_one_in_its_place_serves(hand: Hand) -> None:
    """Found: its record went first, and until the other's certificate was issued no name had both an address and a certificate.

    It stays where that can't be issued, and what an interrupted run has made of the exchange leads the next one no other way.
    """
    names, new = Names(hand.world), https(names=["new.example.com"])
    hand.make(https(names=[NAME]))
    plan = hand.world.plan(new, allow={"close": 1})
    assert [f"{step.action} {step.address}" for step in plan.steps] == [
        "replace certificate.public", "create record.public-new-example-com", "update listener.public/https",
        f"delete {RECORD}", "delete certificate.public",
    ]  # fmt: skip
    values = [{"Value": '0 issue "ca.example"'}]
    forbids = {"Name": "new.example.com", "Type": "CAA", "TTL": 60, "ResourceRecords": values}
    names.change("CREATE", forbids)
    for _ in range(2):
        result = hand.world.apply(new, allow={"close": 1})
        assert any("CAA_ERROR" in text for text in result.failures)
        assert "api.example.com A" in names.rows()
    names.change("DELETE", forbids)
    hand.make(new, allow={"close": 1})
    assert "new.example.com A" in names.rows()
    assert "api.example.com A" not in names.rows()


@pytest.mark.slow
def test_another_type_of_the_same_name_needs_the_place_first(hand: Hand) -> None:
    """A CNAME stands beside nothing, so the record that leads to the load balancer goes before, whatever else waits."""
    names = Names(hand.world)
    hand.make(https(names=[NAME]))
    spec = https(names=["new.example.com"])
    spec["records"] = {
        "api": {"zone": "example.com", "name": NAME, "type": "CNAME", "resource_records": ["new.example.com"]}
    }
    hand.make(spec, allow={"close": 1})
    assert names.rows()["api.example.com CNAME"]
