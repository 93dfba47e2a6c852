"""What somebody adds by hand: what opens access is closed, and what others may get somewhere by is told and left."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.sync.words import done, left

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

STRAY = "172.31.0.0/16"
TABLE = "route_table.public"
WORDS = "taking away what others may depend on requires manual action"


def add_route(hand: Hand, block: str = STRAY) -> None:
    """A colleague's way to a network of theirs."""
    hand.ec2.create_route(RouteTableId=hand[TABLE], DestinationCidrBlock=block, GatewayId=hand["internet_gateway.main"])


def routes(hand: Hand) -> set[str]:
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"]
    return {item["DestinationCidrBlock"] for item in table["Routes"]} - {"10.0.0.0/16"}


@pytest.mark.parametrize("apply_changes", [False, True])
def test_a_route_is_told_and_left_until_somebody_applies(hand: Hand, spec: Spec, apply_changes: bool) -> None:
    add_route(hand)
    for _ in range(2):
        ending = hand.world.sync(spec, apply_changes=apply_changes)
        assert (done(ending), left(ending)) == ({}, {TABLE: "drift"})
        assert [*ending.selection.withheld.values()] == [WORDS]
        assert STRAY in str(ending.selection.left[0].changes)
    assert STRAY in routes(hand)
    hand.make(spec)
    assert routes(hand) == {"0.0.0.0/0"}
    assert not left(hand.world.sync(spec))


@pytest.mark.parametrize("further", [False, True])
def test_what_is_lost_beside_it_comes_back(hand: Hand, spec: Spec, further: bool) -> None:
    add_route(hand)
    hand.ec2.delete_route(RouteTableId=hand[TABLE], DestinationCidrBlock="0.0.0.0/0")
    if further:
        hand.changed_tags("ec2", hand[TABLE], {"Name": "other"})
    ending = hand.world.sync(spec)
    assert done(ending) == {TABLE: "drift"}
    assert left(ending) == {TABLE: "drift"}
    assert routes(hand) == {"0.0.0.0/0", STRAY}
    ending = hand.world.sync(spec)
    assert (done(ending), left(ending)) == ({}, {TABLE: "drift"})
    hand.make(spec)
    assert routes(hand) == {"0.0.0.0/0"}


def test_what_leads_elsewhere_is_put_right_beside_it(hand: Hand, spec: Spec) -> None:
    add_route(hand)
    other = hand.ec2.create_network_interface(SubnetId=hand["subnet.public-a"])["NetworkInterface"]
    hand.ec2.replace_route(
        RouteTableId=hand[TABLE], DestinationCidrBlock="0.0.0.0/0", NetworkInterfaceId=other["NetworkInterfaceId"]
    )
    assert (done(ending := hand.world.sync(spec)), left(ending)) == ({TABLE: "drift"}, {TABLE: "drift"})
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"]
    assert {item.get("GatewayId") for item in table["Routes"]} == {"local", hand["internet_gateway.main"]}


def test_the_spec_may_let_sync_take_it_away(hand: Hand, spec: Spec) -> None:
    add_route(hand)
    ending = hand.world.sync({**spec, "sync": {"correct": ["create", "update", "delete"]}})
    assert done(ending) == {TABLE: "drift"}
    add_route(hand)
    assert done(hand.world.sync({**spec, "sync": {"correct": ["create", "update", "route_table"]}})) == {TABLE: "drift"}
    assert routes(hand) == {"0.0.0.0/0"}


def test_a_route_that_leaves_the_spec_is_told_as_well(hand: Hand, spec: Spec) -> None:
    wider = copy.deepcopy(spec)
    route = {"destination_cidr_block": STRAY, "internet_gateway": "main"}
    wider["route_tables"]["public"]["routes"].append(route)
    hand.make(wider)
    ending = hand.world.sync(spec, apply_changes=True)
    assert (done(ending), left(ending)) == ({}, {TABLE: "spec"})


def test_what_opens_access_is_closed_meanwhile(hand: Hand, spec: Spec) -> None:
    add_route(hand)
    anybody: Any = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    hand.ec2.authorize_security_group_ingress(GroupId=hand["security_group.web"], IpPermissions=anybody)
    ending = hand.world.sync(spec)
    assert (done(ending), left(ending)) == ({"security_group_rules.web": "drift"}, {TABLE: "drift"})
    assert STRAY in routes(hand)


def test_a_certificate_of_another_name_is_left(hand: Hand, spec: Spec) -> None:
    """Its clients would meet a certificate that isn't theirs."""
    upload_certificates()
    first, second, theirs = CERTIFICATES[:3]
    listeners = spec["load_balancers"]["public"]["listeners"]
    listeners["https"] = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": first, "certificates": [second],
        "default_action": listeners["http"]["default_action"],
    }  # fmt: skip
    hand.make(spec)
    listener = hand["listener.public/https"]
    hand.elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": theirs}])
    hand.elb.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    ending = hand.world.sync(spec)
    assert (done(ending), left(ending)) == ({"listener.public/https": "drift"}, {"listener.public/https": "drift"})
    there = hand.elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert {item["CertificateArn"] for item in there} == {first, second, theirs}
    hand.make(spec)
    there = hand.elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert {item["CertificateArn"] for item in there} == {first, second}


def test_another_route_table_keeps_its_way_to_an_endpoint(hand: Hand, spec: Spec) -> None:
    spec["vpc_endpoints"] = {"s3": {"service_name": "s3", "route_tables": ["public"]}}
    hand.make(spec)
    table = hand.ec2.create_route_table(VpcId=hand["vpc.main"])["RouteTable"]["RouteTableId"]
    endpoint = hand["vpc_endpoint.s3"]
    hand.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[table])
    ending = hand.world.sync(spec)
    assert (done(ending), left(ending)) == ({}, {"vpc_endpoint.s3": "drift"})
    hand.make(spec)
    (found,) = hand.ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"]
    assert found["RouteTableIds"] == [hand[TABLE]]
