"""VPC endpoints: routes and interfaces, policies by their meaning, what is slow, what is in the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.display import show
from alb_reconcile.model.policy_document import PolicyDocument
from tests.harness import demo
from tests.kinds.example import STACK, Example
from tests.kinds.hand import calls, create, edited, order
from tests.kinds.many import place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.aws.transport import Response
    from tests.harness import Spec
    from tests.kinds.hand import Hand

S3, SSM, TABLE = "vpc_endpoint.s3", "vpc_endpoint.ssm", "route_table.private"
GET = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
READ = {"Version": "2012-10-17", "Statement": [GET]}
WRITE = {**READ, "Statement": [{**GET, "Action": ["s3:GetObject", "s3:PutObject"]}]}
SPEC: Spec = {
    **STACK,
    "vpcs": {"main": {"cidr_block": "10.0.0.0/16", "enable_dns_hostnames": True}},
    "subnets": {
        "private-a": {"cidr_block": "10.0.1.0/24", "availability_zone": "a"},
        "private-b": {"cidr_block": "10.0.2.0/24", "availability_zone": "b"},
    },
    "route_tables": {"private": {"subnets": ["private-a", "private-b"]}, "other": {}},
    "security_groups": {"endpoints": {"description": "HTTPS to endpoints"}, "more": {"description": "More"}},
    "vpc_endpoints": {"s3": {"service_name": "s3", "route_tables": ["private"], "policy_document": READ}},
}
INTERFACES: Spec = edited(
    edited(SPEC, "vpc_endpoints/s3/policy_document", None),
    "vpc_endpoints/inbound",
    {
        "service_name": "s3",
        "subnets": ["private-a"],
        "security_groups": ["endpoints"],
        "private_dns_enabled": True,
        "ip_address_type": "ipv4",
        "dns_options": {"dns_record_ip_type": "ipv4", "private_dns_only_for_inbound_resolver_endpoint": True},
        "policy_document": READ,
    },
)
INBOUND = "vpc_endpoint.inbound"
EXAMPLE = Example(
    spec=INTERFACES,
    address=INBOUND,
    changes={
        "subnets": ["private-a", "private-b"],
        "security_groups": ["endpoints", "more"],
        "private_dns_enabled": False,
        "ip_address_type": "dualstack",
        "dns_options.dns_record_ip_type": "service-defined",
        "dns_options.private_dns_only_for_inbound_resolver_endpoint": False,
        "policy_document": WRITE,
    },
    others={S3: {"route_tables": ["private", "other"]}},
)


def shown(hand: Hand, address: str) -> dict[str, Any]:
    (found,) = hand.ec2.describe_vpc_endpoints(VpcEndpointIds=[hand[address]])["VpcEndpoints"]
    return dict(found)


def ssm(**more: Any) -> Spec:
    entry = {"service_name": "ssm", "subnets": ["private-a", "private-b"], "security_groups": ["endpoints"], **more}
    return edited(edited(SPEC, "vpc_endpoints/s3", None), "vpc_endpoints/ssm", entry)


def test_the_route_of_a_gateway_endpoint_is_no_drift_of_its_table(hand: Hand) -> None:
    spec = edited(SPEC, "route_tables/private/routes", [])
    hand.make(spec)
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"]
    assert [route["GatewayId"] for route in table["Routes"]] == ["local", hand[S3]]


@pytest.mark.parametrize(
    "same",
    [
        json.dumps(READ, indent=4),
        {"Statement": {**GET, "Action": ["s3:GetObject"], "Principal": {"AWS": "*"}}, "Version": "2012-10-17"},
        {"Version": "2012-10-17", "Statement": [{**GET, "Resource": ["*"], "Sid": ""}]},
    ],
)
def test_a_policy_is_what_it_says_not_how_it_is_written(hand: Hand, same: Any) -> None:
    hand.make(SPEC)
    (step,) = hand.world.plan(edited(SPEC, "vpc_endpoints/s3/policy_document", WRITE)).steps
    assert json.loads(show(step.changes[0].after, {})) == WRITE
    spec = edited(SPEC, "vpc_endpoints/s3/policy_document", same)
    assert hand.world.plan(spec).is_empty
    text = same if isinstance(same, str) else json.dumps(same)
    hand.ec2.modify_vpc_endpoint(VpcEndpointId=hand[S3], PolicyDocument=text)
    assert hand.world.plan(SPEC).is_empty


def test_one_for_inbound_resolvers_comes_after_the_gateway_it_needs(hand: Hand) -> None:
    """AWS's default is private DNS for inbound resolvers only."""
    hand.make(edited(INTERFACES, "vpc_endpoints/inbound/dns_options", None))
    made = [params.get("VpcEndpointType", "Gateway") for params in calls(hand.world, "create_vpc_endpoint")]
    assert made == ["Gateway", "Interface"]


RESOLVERS = "private_dns_only_for_inbound_resolver_endpoint"


@pytest.mark.parametrize(
    "changes",
    [
        {"vpc_endpoints/s3": None, "vpc_endpoints/inbound": None},
        {"vpc_endpoints/s3": None, "vpc_endpoints/inbound/private_dns_enabled": False},
        {
            "vpc_endpoints/s3": None,
            "vpc_endpoints/inbound/dns_options": {RESOLVERS: False},
            "security_groups/fresh": {"description": "New"},
            "vpc_endpoints/inbound/security_groups": ["fresh"],
        },
        {
            "vpc_endpoints/inbound": INTERFACES["vpc_endpoints"]["s3"],
            "vpc_endpoints/s3": INTERFACES["vpc_endpoints"]["inbound"],
        },
    ],
)
def test_a_gateway_endpoint_goes_after_whoever_needs_it(hand: Hand, changes: Spec) -> None:
    hand.make(INTERFACES)
    spec = INTERFACES
    for path, value in changes.items():
        spec = edited(spec, path, value)
    hand.make(spec, allow={"replace": 2, "delete": 2})


def test_a_gateway_endpoint_that_one_for_inbound_resolvers_keeps_is_refused(hand: Hand) -> None:
    """AWS's words leave open whether another gateway endpoint would do: the sandbox has it that it doesn't."""
    hand.make(INTERFACES)
    other = edited(INTERFACES, "vpc_endpoints/other", {"service_name": "s3", "route_tables": ["other"]})
    spec = edited(other, "vpc_endpoints/s3/service_name", "dynamodb")
    told = rf"vpc_endpoint\.s3: AWS doesn't delete {hand[S3]} as long as vpc_endpoint\.inbound \({hand[INBOUND]}\) needs it"
    hand.refuses(spec, told, allow={"replace": 1})
    renamed = edited(edited(other, "vpc_endpoints/s3", None), "vpc_endpoints/other", SPEC["vpc_endpoints"]["s3"])
    hand.refuses(renamed, r"run alb-reconcile move spec\.yaml vpc_endpoint\.s3 vpc_endpoint\.other")
    hand.make(edited(other, f"vpc_endpoints/inbound/dns_options/{RESOLVERS}", False))
    hand.make(edited(spec, f"vpc_endpoints/inbound/dns_options/{RESOLVERS}", False), allow={"replace": 1})


def test_an_accounts_number_and_its_root_are_the_same_principal() -> None:
    def policy(principal: str) -> PolicyDocument:
        return PolicyDocument.of({"Statement": {"Effect": "Allow", "Action": "*", "Principal": {"AWS": principal}}})

    assert policy("123456789012") == policy("arn:aws:iam::123456789012:root") != policy("210987654321")


def test_a_subnet_in_the_same_zone_takes_the_others_place(hand: Hand) -> None:
    spec = ssm()
    hand.make(spec)
    moved = edited(spec, "subnets/private-b/cidr_block", "10.0.9.0/24")
    old = hand["subnet.private-b"]
    hand.make(moved)
    assert sorted(shown(hand, SSM)["SubnetIds"]) == sorted([hand["subnet.private-a"], hand["subnet.private-b"]])
    assert hand["subnet.private-b"] != old
    tried = [params.keys() - {"VpcEndpointId"} for params in calls(hand.world, "modify_vpc_endpoint")]
    assert tried == [{"RemoveSubnetIds"}, {"AddSubnetIds"}]


@pytest.mark.parametrize(
    ("before", "after", "lag"),
    [
        (("private-a", "private-b"), ("new-a", "new-b"), 0.0),
        (("private-a", "private-b"), ("new-c", "new-d"), 10.0),
        (("private-a",), ("new-b",), 0.0),
        (("private-a", "private-b"), ("private-a", "new-c"), 10.0),
    ],
)
def test_an_endpoint_that_moves_answers_in_one_zone_all_the_time(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...], after: tuple[str, ...], lag: float
) -> None:
    """AWS shows an endpoint as available while the interfaces that were added are still being made, and as it was for a moment."""
    spec = ssm(subnets=list(before))
    for number, zone in enumerate("abcd", 8):
        spec["subnets"][f"new-{zone}"] = {"cidr_block": f"10.0.{number}.0/24", "availability_zone": zone}
    hand.make(spec)
    account, made, used, call = place(), hand[SSM], [], hand.world._call

    def watch(service: str, operation: str, params: Mapping[str, Any]) -> Response:
        found = account.ec2.vpc_end_points[made]
        used.append(sum(account.ec2.enis[name].status == "in-use" for name in found.network_interface_ids))
        return call(service, operation, params)

    monkeypatch.setattr(hand.world, "_call", watch)
    hand.world.strict.lag = lag
    hand.make(edited(spec, "vpc_endpoints/ssm/subnets", list(after)))
    hand.world.clock.advance(60)
    assert sorted(shown(hand, SSM)["SubnetIds"]) == sorted(hand[f"subnet.{name}"] for name in after)
    assert min(used) >= 1


def test_one_that_is_leaving_is_made_anew(hand: Hand) -> None:
    spec = ssm(private_dns_enabled=True)
    hand.make(spec)
    hand.ec2.delete_vpc_endpoints(VpcEndpointIds=[hand[SSM]])
    hand.repairs(create(SSM), by="create_vpc_endpoint")
    hand.ec2.delete_vpc_endpoints(VpcEndpointIds=[hand[SSM]])
    assert "delete_vpc_endpoints" not in hand.world.destroy(spec).writes
    assert hand.ec2.describe_network_interfaces()["NetworkInterfaces"] == [], (
        "its interfaces hold subnets until they go"
    )


def test_what_aws_refuses_to_delete_in_its_answer_is_told(hand: Hand) -> None:
    hand.make(SPEC)
    error = {"Code": "OperationNotPermitted", "Message": "not now"}
    told = {"Unsuccessful": [{"ResourceId": hand[S3], "Error": error}]}
    hand.answers("delete_vpc_endpoints", lambda answer: answer.update(told))
    result = hand.world.apply(edited(SPEC, "vpc_endpoints", None))
    assert ["OperationNotPermitted: not now" in text for text in result.failures] == [True]


def test_instances_start_when_their_endpoints_are_there(hand: Hand) -> None:
    spec = demo()
    spec["vpc_endpoints"] = {"ssm": {"service_name": "ssm", "subnets": ["public-a"]}}
    hand.make(spec)
    assert order(hand.world, "create_vpc_endpoint", "run_instances")[0] == "create_vpc_endpoint"
