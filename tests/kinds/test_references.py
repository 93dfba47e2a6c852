"""What a spec names by its id, or leaves out, isn't deleted under what stays; and of two that AWS takes in one VPC only, none is in another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.adoption.adopting import Keeper
from tests.harness import Spec, by_hand, demo
from tests.kinds.hand import edited
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.kinds.test_nat_gateway import ZONAL
from tests.kinds.test_trust_store import store, upload
from tests.kinds.test_vpc_endpoint import INTERFACES

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

NETWORK = ("vpcs", "subnets", "internet_gateways", "route_tables")


def without_network(hand: Hand, spec: Spec) -> Spec:
    """The service without its network, which it names by ids."""
    ids: dict[str, Any] = {"vpc": hand["vpc.main"], "subnets": [hand["subnet.public-a"], hand["subnet.public-b"]]}
    rest = {key: value for key, value in spec.items() if key not in NETWORK}
    for section in ("security_groups", "target_groups", "instances", "load_balancers"):
        key = "vpc" if section.endswith("groups") else "subnets"
        rest[section] = {name: {**entry, key: ids[key]} for name, entry in rest[section].items()}
    return rest


def refusal_of(hand: Hand, spec: Spec) -> str:
    return hand.refuses(spec, allow={"delete": 99})


def test_its_own_network_named_by_ids_stays_until_it_is_forgotten(hand: Hand) -> None:
    hand.make(demo())
    rest = without_network(hand, demo())
    text = refusal_of(hand, rest)
    subnet = hand["subnet.public-a"]
    assert f"load_balancers.public.subnets: {subnet} is this stack's own subnet.public-a, and would be deleted" in text
    (command,) = re.findall("alb-reconcile forget (.+)", text)
    file, *addresses = command.split()
    assert file == "spec.yaml"
    network = {"vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main", "route_table.public"}
    assert set(addresses) == network  # with what the subnets need to stay reachable

    Keeper(hand.world).forget(rest, "vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main")
    text = refusal_of(hand, rest)  # what was left out is no trap
    assert f"route_table.public: {subnet} loses its route table" in text
    assert "load_balancer.public" in text

    Keeper(hand.world).forget(rest, "route_table.public")
    assert hand.world.plan(rest).is_empty


def verifying() -> Spec:
    spec = demo()
    spec["trust_stores"] = {"clients": store()}
    spec["load_balancers"]["public"]["listeners"]["http"] |= {
        "protocol": "HTTPS",
        "certificate_arn": CERTIFICATES[0],
        "mutual_authentication": {"mode": "verify", "trust_store": "clients"},
    }
    return spec


SECONDARY = edited(ZONAL, "nat_gateways/main/secondary_elastic_ips", ["two"])
LISTENER = "load_balancers/public/listeners/http"
CASES: dict[str, tuple[Spec, dict[str, Any], str]] = {
    "an address": (
        SECONDARY,
        {"nat_gateways/main/secondary_elastic_ips": None, "elastic_ips/two": None},
        r"elastic_ip\.two: eipalloc-\w+ can't be deleted, since nat_gateway\.main keeps it: .* its secondary_elastic_ips; declare",
    ),
    "an instance's group": (
        demo(),
        {"instances/web/security_groups": None, "security_groups/web": None},
        r"security_group\.web: sg-\w+ can't be deleted, since instance\.web-1 keeps it: .* security_groups;",
    ),
    "an endpoint's group": (
        INTERFACES,
        {"vpc_endpoints/inbound/security_groups": None, "security_groups/endpoints": None},
        r"security_group\.endpoints: sg-\w+ can't be deleted, since vpc_endpoint\.inbound keeps it",
    ),
    "a trust store": (
        verifying(),
        {f"{LISTENER}/mutual_authentication": None, "trust_stores": None},
        r"trust_store\.clients: arn:\S+ can't be deleted, since listener\.public/http keeps it",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_before_anything_is_changed(hand: Hand, case: str) -> None:
    spec, changes, message = CASES[case]
    upload_certificates()
    upload()
    hand.make(spec)
    for path, value in changes.items():
        spec = edited(spec, path, value)
    hand.refuses_run(spec, message)


def test_what_lets_go_by_itself_is_deleted(hand: Hand) -> None:
    """A route leads nowhere then, and a subnet leaves its table."""
    hand.make(ZONAL)
    spec = edited(ZONAL, "route_tables/private", {})
    spec["nat_gateways"], spec["elastic_ips"] = {}, {}
    del spec["subnets"]["private"]
    hand.make(spec, allow={"delete": 9, "delete-elastic-ip": 2})


@pytest.fixture
def other() -> str:
    """Somebody else's VPC."""
    return str(by_hand("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"])


def in_other_target_group(vpc: str) -> Spec:
    spec = demo()
    spec["target_groups"]["web"]["vpc"] = vpc
    return spec


def in_other_route_table(vpc: str) -> Spec:
    spec = demo()
    spec["route_tables"]["public"] |= {"vpc": vpc, "routes": []}
    return spec


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (in_other_target_group, r"target_groups\.web\.vpc: is {vpc}, but load_balancer\.public is in {own}; both must be in one VPC"),
        (in_other_target_group, r"target_groups\.web\.vpc: is {vpc}, but instance\.web-1 is in {own}; both must be in one VPC"),
        (in_other_route_table, r"route_tables\.public\.subnets: one of them is in {own}, but this is in {vpc}; choose subnets of the same VPC"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_made", [False, True])
def test_it_is_refused(hand: Hand, other: str, changed: object, told: str, is_made: bool) -> None:
    """A new stack, and one that is there."""
    assert callable(changed)
    spec, own = changed(other), r"vpc\.main"
    if is_made:
        hand.make(demo())
        own = rf"(?:vpc\.main|{hand['vpc.main']})"
    line = rf"(?m)^spec\.yaml:\d+:\d+: {told.format(vpc=other, own=own)}$"
    hand.refuses_run(spec, line, allow={"replace": 99, "delete": 99})


def test_the_same_vpc_by_its_id_and_by_its_name_is_one(hand: Hand) -> None:
    hand.make(demo())
    for spec in (in_other_target_group(hand["vpc.main"]), in_other_route_table(hand["vpc.main"])):
        spec["route_tables"]["public"]["routes"] = demo()["route_tables"]["public"]["routes"]
        assert hand.world.plan(spec).is_empty
