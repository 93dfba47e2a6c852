"""Quotas that a plan would exceed are told before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models.instance_types import INSTANCE_TYPES

from alb_reconcile.kinds.instance.launchable import VCPU_QUOTAS, vcpu_quota
from alb_reconcile.sandbox.strict import quotas as codes
from alb_reconcile.sandbox.strict.quota_counts import vcpu_quota as emulated
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, Spec, demo
from tests.kinds.example import network
from tests.kinds.hand import Faults, Hand, edited, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable

RAISE = "; delete some, or have the quota raised in Service Quotas"
QUOTA_READS = {"get_service_quota", "describe_account_limits"}


@pytest.fixture
def quotas(hand: Hand) -> dict[str, float]:
    """The account's, at AWS's defaults."""
    prepare()
    found = Place(DEFAULT_ACCOUNT_ID, REGION).ledger.quotas
    found |= {
        codes.VPCS: 50, codes.GATEWAYS: 5, codes.SUBNETS: 200, codes.ROUTE_TABLES: 200, codes.ROUTES: 500, codes.GROUPS: 2500,
        codes.GROUP_RULES: 60, codes.GROUPS_AN_INTERFACE: 5, codes.LISTENERS: 50, codes.RULES: 100, codes.GROUPS_A_BALANCER: 100,
    }  # fmt: skip
    return found


def refusal(hand: Hand, spec: Spec) -> list[str]:
    """The lines with which `apply` refuses a spec, each without its place."""
    lines = [line.split(":", 3) for line in hand.refuses_run(spec)]
    assert all((line + column).isdecimal() for _, line, column, _ in lines)
    return [text.strip() for *_, text in lines]


def full(what: str, quota: int, place: str, there: int, more: int) -> str:
    """What is said of a place that has no room."""
    return f"this account may have {quota} {what} in {place} and has {there}, so {more} more don't fit{RAISE}"


def ranges(count: int) -> list[str]:
    return [f"10.{number // 250}.{number % 250}.0/24" for number in range(count)]


def many_rules(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"protocol": "tcp", "port": 80, "cidr_block": block, **more} for block in ranges(count)]


def many_groups(spec: Spec) -> Spec:
    """Six groups, which the instances are given, and of which each lets the load balancer in."""
    names = [f"more-{number}" for number in range(6)]
    ingress = spec["security_groups"]["web"]["ingress"]
    spec["security_groups"] |= {name: {"description": name, "ingress": ingress} for name in names}
    spec["instances"]["web"]["security_groups"] = names
    return spec


def many_routes(count: int) -> list[dict[str, Any]]:
    return [{"destination_cidr_block": block, "internet_gateway": "main"} for block in ranges(count)]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("security_groups/web/ingress", many_rules(61), "security_groups.web.ingress: this account may have 60 inbound rules"),
        ("security_groups/web/egress", many_rules(61), "security_groups.web.egress: this account may have 60 outbound rules"),
        ("route_tables/public/routes", many_routes(501), "route_tables.public.routes: this account may have 500 routes"),
    ],
)  # fmt: skip
def test_too_many_members(hand: Hand, quotas: dict[str, float], path: str, value: list[Any], told: str) -> None:
    spec = edited(demo(), path, value)
    (line,) = refusal(hand, spec)
    assert line.startswith(told)
    assert line.endswith(f", so {len(value)} don't fit{RAISE}")
    hand.make(demo())
    assert refusal(hand, spec) == [line]
    hand.world.plan(edited(demo(), path, value[1:]), allow={"close": 1})


@pytest.mark.slow
def test_too_many_groups_on_an_interface(hand: Hand, quotas: dict[str, float]) -> None:
    told = f"this account may have 5 security groups on a network interface, so 6 don't fit{RAISE}"
    assert refusal(hand, many_groups(demo())) == [f"instances.web.security_groups: {told}"]
    spec = many_groups(demo())
    spec["load_balancers"]["public"]["security_groups"] = spec["instances"]["web"].pop("security_groups")
    assert refusal(hand, spec) == [f"load_balancers.public.security_groups: {told}"]
    hand.make(demo())
    assert refusal(hand, many_groups(demo())) == [f"instances.web.security_groups: {told}"]
    quotas[codes.GROUPS_AN_INTERFACE] = 6
    hand.make(many_groups(demo()))


def networked(count: int = 3) -> Spec:
    """A VPC with a public and a private subnet in one zone, NAT gateways and two endpoints."""
    nats = {f"n{number}": {"subnet": "public", "elastic_ip": f"n{number}"} for number in range(count)}
    return {
        **network(),
        "subnets": {"public": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"}},
        "internet_gateways": {"main": {}},
        "route_tables": {
            "public": {
                "subnets": ["public"],
                "routes": [{"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}],
            }
        },
        "elastic_ips": {name: {} for name in nats},
        "nat_gateways": nats,
        "vpc_endpoints": {"s3": {"service_name": "s3"}, "ssm": {"service_name": "ssm", "subnets": ["public"]}},
    }


def test_too_many_in_the_region(hand: Hand, quotas: dict[str, float]) -> None:
    for _ in range(4):  # beside the default VPC's
        hand.ec2.create_internet_gateway()
    quotas[codes.ADDRESSES] = 5

    def crowd(answer: Any) -> None:
        answer["SecurityGroups"] *= 2499 // max(len(answer["SecurityGroups"]), 1)

    hand.answers("describe_security_groups", crowd)
    spec = {**demo(), "elastic_ips": {f"more-{number}": {} for number in range(8)}}
    assert sorted(refusal(hand, spec)) == [
        f"elastic_ips.more-0: {full('Elastic IP addresses', 5, 'this region', 0, 8)}",
        f"internet_gateways.main: {full('internet gateways', 5, 'this region', 5, 1)}",
        f"security_groups.load-balancer: {full('security groups', 2500, 'this region', 2499, 2)}",
    ]
    quotas |= {codes.ADDRESSES: 8, codes.GROUPS: 2501, codes.GATEWAYS: 6}
    assert hand.world.plan(spec).steps


def crowded(listeners: Iterable[int], rules: int) -> Spec:
    """The demo with these ports and so many rules, half of them under another listener."""
    spec = demo()
    answer = {"fixed_response": {"status_code": 404}}
    found: dict[str, Any] = {
        f"port-{port}": {"protocol": "HTTP", "port": port, "default_action": answer, "rules": {}} for port in listeners
    }
    spec["load_balancers"]["public"]["listeners"] |= found
    names = list(found)
    for number in range(rules):
        rule = {"priority": number + 1, "conditions": [{"path_pattern": f"/{number}"}], "action": answer}
        found[names[number % 2]]["rules"][f"rule-{number}"] = rule
    return spec


@pytest.mark.slow
def test_too_many_under_a_load_balancer(hand: Hand, quotas: dict[str, float]) -> None:
    listeners, rules = "load_balancers.public.listeners", "load_balancers.public.listeners.port-1000.rules"
    assert refusal(hand, crowded(range(1000, 1050), 101)) == [
        f"{listeners}.http: {full('listeners', 50, 'load_balancer.public', 0, 51)}",
        f"{rules}.rule-0: {full('rules', 100, 'load_balancer.public', 0, 101)}",
    ]
    hand.make(crowded((1000, 1001), 2))
    assert refusal(hand, crowded(range(1000, 1050), 101)) == [
        f"{rules}.rule-2: {full('rules', 100, 'load_balancer.public', 2, 99)}",
        f"{listeners}.port-1002: {full('listeners', 50, 'load_balancer.public', 3, 48)}",
    ]


@pytest.mark.slow
def test_what_takes_anothers_place_isnt_counted_twice(hand: Hand, quotas: dict[str, float]) -> None:
    hand.make(crowded((1000, 1001), 100))
    renamed = crowded((1000, 1001), 99)
    renamed["load_balancers"]["public"]["name"] = "another"
    hand.make(renamed, allow={"replace-load-balancer": 1, "replace": 200, "delete": 200})


def test_what_is_replaced_along_is_counted(hand: Hand, quotas: dict[str, float]) -> None:
    """A target group serves one load balancer only: a new load balancer needs a new group, beside the old one."""
    hand.make(demo())
    quotas[codes.TARGET_GROUPS] = 1
    spec = edited(demo(), "load_balancers/public/scheme", "internal")
    told = "target_groups.web: " + full("target groups", 1, "this region", 1, 1)
    hand.refuses_run(spec, told, allow={"replace-load-balancer": 1})


@pytest.mark.slow
def test_too_many_targets(hand: Hand, quotas: dict[str, float]) -> None:
    spec = edited(demo(), "instances/web/count", 501)
    spec["subnets"]["public-a"]["cidr_block"], spec["subnets"]["public-b"]["cidr_block"] = (
        "10.0.16.0/20",
        "10.0.32.0/20",
    )
    spec["instances"]["more"] = {**spec["instances"]["web"], "count": 500}
    spec["target_groups"]["web"]["targets"] = ["web", "more"]
    assert refusal(hand, spec) == [
        f"target_groups.web: {full('targets', 1000, place, 0, 1001)}"
        for place in ("target_group.web", "load_balancer.public")
    ]


def test_targets_that_take_anothers_place(hand: Hand, quotas: dict[str, float]) -> None:
    hand.make(demo())
    quotas |= {codes.TARGETS_A_GROUP: 3, codes.TARGETS_A_BALANCER: 3}
    hand.make(edited(demo(), "instances/web/user_data", "#!/bin/sh\n"))


def test_quotas_that_cant_be_read_are_told_once(hand: Hand, faults: Faults, quotas: dict[str, float]) -> None:
    spec = {**demo(), "elastic_ips": {f"more-{number}": {} for number in range(8)}}
    for operation in ("get_service_quota", "describe_account_limits"):
        faults.refuse(operation, "AccessDeniedException", "not authorized", times=9)
    told = [text for text in hand.world.plan(spec).warnings if "quota" in text]
    assert [text.startswith("couldn't read this account's quotas, so limits aren't checked: ") for text in told] == [
        True
    ]
    assert "AccessDeniedException" in told[0]


def test_every_type_counts_for_the_same_quota_in_the_sandbox() -> None:
    differ = {kind for kind in INSTANCE_TYPES if VCPU_QUOTAS.get(vcpu_quota(kind), ("",))[0] != emulated(kind)}
    assert not differ
    assert len(INSTANCE_TYPES) > 500
