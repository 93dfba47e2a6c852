"""What of an instance is beside its type and image: addresses, protection, and what AWS changes on a stopped one only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import demo
from tests.kinds.hand import calls, edited, order, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

ONE, TWO = "instance.web-1", "instance.web-2"


def web(**keys: Any) -> Spec:
    """The demo with more said of its instances."""
    spec = demo()
    spec["instances"]["web"] |= keys
    return spec


def rows(hand: Hand) -> list[Any]:
    """The instances that live, as AWS describes them."""
    where = [{"Name": "instance-state-name", "Values": ["running", "stopped"]}]
    found = hand.ec2.describe_instances(Filters=where)["Reservations"]
    return [row for reservation in found for row in reservation["Instances"]]


def test_what_needs_a_stopped_instance_replaces_it_unless_it_may_be_stopped(hand: Hand) -> None:
    hand.make(web(count=1))
    dedicated = web(count=1, placement={"tenancy": "dedicated"})
    plan = hand.world.plan(dedicated, allow={"replace": 9})
    assert [step.action for step in plan.steps if str(step.address) == ONE] == ["replace", "delete"]
    hand.make(dedicated)
    assert {row["Placement"]["Tenancy"] for row in rows(hand)} == {"dedicated"}
    before = hand[ONE]
    shared: dict[str, Any] = {"placement": {"tenancy": "default"}, "instance_type": "t3.small"}
    result = hand.make(web(count=1, **shared, type_change="in-place", rollout={"max_unavailable": 1}))
    assert hand[ONE] == before
    assert result.writes == {
        "deregister_targets": 1, "stop_instances": 1, "modify_instance_attribute": 1, "modify_instance_placement": 1,
        "start_instances": 1, "register_targets": 1, "create_tags": 1,
    }  # fmt: skip


def test_what_no_spec_can_say_stays_as_it_is_until_a_replacement_which_is_told(hand: Hand, faults: Faults) -> None:
    """Of two instances that one call launches."""

    def spec(**keys: Any) -> Spec:
        found = web(subnets=["public-a"], **keys)
        found["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
        found["subnets"]["public-a"]["ipv6_cidr_block"] = 1
        return found

    def enclose(params: Any) -> None:
        params["EnclaveOptions"] = {"Enabled": True}

    faults.before("run_instances", enclose)
    hand.make(spec())
    for row in rows(hand):
        assert row["EnclaveOptions"] == {"Enabled": True}
        hand.ec2.assign_ipv6_addresses(
            NetworkInterfaceId=row["NetworkInterfaces"][0]["NetworkInterfaceId"], Ipv6AddressCount=1
        )
    assert hand.world.plan(spec()).is_empty
    text = "its replacement goes without what no spec can say: EnclaveOptions.Enabled, IPv6 addresses"
    plan = hand.world.plan(spec(instance_type="t3.small"), allow={"replace": 9})
    assert [text in step.effects for step in plan.steps if str(step.address) == ONE] == [False, True]
    plan = hand.world.plan(spec(count=1))
    assert not any(text in step.effects for step in plan.steps)


def test_a_public_address_is_asked_for_and_refused_by_instance(hand: Hand) -> None:
    hand.make(web(associate_public_ip_address=False))
    interface = calls(hand.world, "run_instances")[0]["NetworkInterfaces"]
    assert [item["DeviceIndex"] for item in interface] == [0]
    assert not any("PublicIpAddress" in row for row in rows(hand))
    hand.make(web(associate_public_ip_address=True))
    assert all("PublicIpAddress" in row for row in rows(hand))
    assert not order(hand.world, "run_instances")


@pytest.mark.parametrize("wanted", [True, False])
def test_an_instance_that_starts_gets_the_public_address_that_the_spec_says_by_then(hand: Hand, wanted: bool) -> None:
    hand.make(web(associate_public_ip_address=not wanted, state="stopped"))
    hand.make(web(associate_public_ip_address=wanted))
    assert [("PublicIpAddress" in row) for row in rows(hand)] == [wanted, wanted]


def test_an_elastic_ip_address_stays_with_an_instance_that_starts(hand: Hand) -> None:
    spec = web(associate_public_ip_address=True, elastic_ip=["a", "b"], state="stopped")
    spec["elastic_ips"] = {"a": {}, "b": {}}
    hand.make(spec)
    addresses = [row["PublicIpAddress"] for row in rows(hand)]
    result = hand.make(edited(spec, "instances/web/state", "running"))
    assert "modify_network_interface_attribute" not in result.writes
    assert [row["PublicIpAddress"] for row in rows(hand)] == addresses


FIXED: dict[str, Any] = {"subnets": ["public-a"], "rollout": {"max_surge": 0, "max_unavailable": 1}}


def test_each_instance_has_its_own_private_address_and_hands_it_on(hand: Hand) -> None:
    network = demo()["subnets"]["public-a"]["cidr_block"].rpartition(".")[0]
    addresses, before = [f"{network}.20", f"{network}.21"], set[str]()
    spec = web(**FIXED, private_ip_address=addresses)
    for wanted in (spec, edited(spec, "instances/web/instance_type", "t3.small")):
        hand.make(wanted)
        found = {row["InstanceId"]: row["PrivateIpAddress"] for row in rows(hand)}
        assert [found[hand[ONE]], found[hand[TWO]]] == addresses
        assert before.isdisjoint(found)
        before |= found.keys()
    assert order(hand.world, "run_instances", "terminate_instances") == ["terminate_instances", "run_instances"] * 2
    moved = edited(spec, "instances/web/private_ip_address", [f"{network}.30", addresses[1]])
    hand.make(edited(moved, "instances/web/instance_type", "t3.small"))
    assert {row["PrivateIpAddress"] for row in rows(hand)} == {f"{network}.30", addresses[1]}


def test_an_instance_that_forwards_is_told_so_after_its_launch(hand: Hand, faults: Faults) -> None:
    faults.refuse("modify_instance_attribute", "InvalidInstanceID.NotFound", times=2)
    hand.make(web(source_dest_check=False))
    assert {row["SourceDestCheck"] for row in rows(hand)} == {False}
    hand.ec2.modify_instance_attribute(InstanceId=hand[ONE], SourceDestCheck={"Value": True})
    hand.repairs(update(ONE, "source_dest_check"), by="modify_instance_attribute")
