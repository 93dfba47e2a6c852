"""VPC endpoints: routes and interfaces, policies by their meaning, what is slow, what is in the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds.shown import show
from alb_reconcile.model.errors import RefusedError, SpecError
from alb_reconcile.model.policy_document import PolicyDocument
from tests.harness import demo, load
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, delete, edited, order, replaced, short, update
from tests.kinds.many import place
from tests.kinds.test_nat_gateway import private_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.aws.transport import Response
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

S3, SSM, TABLE = "vpc_endpoint.s3", "vpc_endpoint.ssm", "route_table.private"
GET = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
READ = {"Version": "2012-10-17", "Statement": [GET]}
WRITE = {**READ, "Statement": [{**GET, "Action": ["s3:GetObject", "s3:PutObject"]}]}
SPEC: Spec = {
    "stack": "demo",
    "region": "us-east-1",
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
INBOUND, DATABASE = "vpc_endpoint.inbound", "vpc_endpoint.database"
RESOURCE = "arn:aws:vpc-lattice:us-east-1:123456789012:resourceconfiguration/rcfg-0a1b2c3d4e5f60718"
NETWORK = "arn:aws:vpc-lattice:us-east-1:123456789012:servicenetwork/sn-0a1b2c3d4e5f60718"
LATTICE = {
    "resource_configuration_arn": RESOURCE,
    "subnets": ["private-a"],
    "security_groups": ["endpoints"],
    "private_dns_enabled": True,
    "dns_options": {
        "private_dns_preference": "SPECIFIED_DOMAINS_ONLY",
        "private_dns_specified_domains": ["db.example.com"],
    },
}
EXAMPLE = Example(
    spec=edited(INTERFACES, "vpc_endpoints/database", LATTICE),
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
    others={
        S3: {"route_tables": ["private", "other"]},
        DATABASE: {
            "dns_options.private_dns_preference": "VERIFIED_DOMAINS_AND_SPECIFIED_DOMAINS",
            "dns_options.private_dns_specified_domains": ["db.example.com", "cache.example.com"],
        },
    },
    uncalled={"vpce:AllowMultiRegion": "a service of another region"},
)


def shown(hand: Hand, address: str) -> dict[str, Any]:
    (found,) = hand.ec2.describe_vpc_endpoints(VpcEndpointIds=[hand[address]])["VpcEndpoints"]
    return dict(found)


def ssm(**more: Any) -> Spec:
    entry = {"service_name": "ssm", "subnets": ["private-a", "private-b"], "security_groups": ["endpoints"], **more}
    return edited(edited(SPEC, "vpc_endpoints/s3", None), "vpc_endpoints/ssm", entry)


def test_a_short_name_and_the_type_that_fits_it(hand: Hand) -> None:
    hand.make(edited(SPEC, "vpc_endpoints/ssm", ssm()["vpc_endpoints"]["ssm"]))
    assert (shown(hand, S3)["ServiceName"], shown(hand, S3)["VpcEndpointType"]) == (
        "com.amazonaws.us-east-1.s3",
        "Gateway",
    )
    assert (shown(hand, SSM)["ServiceName"], shown(hand, SSM)["VpcEndpointType"]) == (
        "com.amazonaws.us-east-1.ssm",
        "Interface",
    )
    assert shown(hand, SSM)["State"] == "available"
    assert len(shown(hand, SSM)["NetworkInterfaceIds"]) == 2


def test_the_route_of_a_gateway_endpoint_is_no_drift_of_its_table(hand: Hand) -> None:
    spec = edited(SPEC, "route_tables/private/routes", [])
    hand.make(spec)
    (table,) = hand.ec2.describe_route_tables(RouteTableIds=[hand[TABLE]])["RouteTables"]
    assert [route["GatewayId"] for route in table["Routes"]] == ["local", hand[S3]]
    assert hand.world.plan(spec).is_empty


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
    spec = edited(SPEC, "vpc_endpoints/s3/policy_document", same)
    assert hand.world.plan(spec).is_empty
    text = same if isinstance(same, str) else json.dumps(same)
    hand.ec2.modify_vpc_endpoint(VpcEndpointId=hand[S3], PolicyDocument=text)
    assert hand.world.plan(SPEC).is_empty


@pytest.mark.parametrize("change", [{}, {"vpcs/main/instance_tenancy": "dedicated"}])
def test_an_endpoint_for_inbound_resolvers_comes_after_the_gateway_it_needs(hand: Hand, change: Spec) -> None:
    """Found: it came as soon as its subnets were there, and the gateway endpoint when its route table was, which waits for a NAT
    gateway. AWS's default is private DNS for inbound resolvers only."""
    inbound = {"service_name": "s3", "subnets": ["private-b"], "security_groups": ["web"], "private_dns_enabled": True}
    spec = edited(
        edited(private_stack(), "vpc_endpoints/inbound", inbound), "route_tables/private-a/subnets", ["private-a"]
    )
    spec["vpc_endpoints"]["s3"] = {"service_name": "s3", "route_tables": ["private-a"]}
    hand.make(spec)
    for path, value in change.items():
        hand.make(edited(spec, path, value), allow={"replace": 40, "delete": 10, "replace-load-balancer": 1})
    made = [params.get("VpcEndpointType", "Gateway") for params in calls(hand.world, "create_vpc_endpoint")]
    assert made == ["Gateway", "Interface"]


RESOLVERS = "private_dns_only_for_inbound_resolver_endpoint"


@pytest.mark.parametrize(
    "changes",
    [
        {"vpc_endpoints/s3": None, "vpc_endpoints/inbound": None},
        {"vpc_endpoints/s3": None, "vpc_endpoints/inbound/dns_options": {RESOLVERS: False}},
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
    """Found: it went before one that was changed in the same run, or that was to be at its address."""
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
    with pytest.raises(RefusedError, match=told):
        hand.world.plan(spec, allow={"replace": 1})
    renamed = edited(
        edited(INTERFACES, "vpc_endpoints/s3", None), "vpc_endpoints/other", INTERFACES["vpc_endpoints"]["s3"]
    )
    with pytest.raises(RefusedError, match=r"run alb-reconcile move spec\.yaml vpc_endpoint\.s3 vpc_endpoint\.other"):
        hand.world.plan(renamed)
    hand.make(edited(other, f"vpc_endpoints/inbound/dns_options/{RESOLVERS}", False))
    hand.make(edited(spec, f"vpc_endpoints/inbound/dns_options/{RESOLVERS}", False), allow={"replace": 1})


def test_a_gateway_endpoint_of_another_service_is_kept_by_nobody(hand: Hand) -> None:
    """Private DNS for inbound resolvers only is an option of S3 (terraform-provider-aws, pull request 32355)."""
    interface = {"service_name": "dynamodb", "subnets": ["private-a"], "security_groups": ["endpoints"]}
    both = edited(SPEC, "vpc_endpoints", {"table": {"service_name": "dynamodb", "route_tables": ["private"]}})
    both = edited(both, "vpc_endpoints/inner", {**interface, "private_dns_enabled": True})
    hand.make(both)
    hand.make(edited(both, "vpc_endpoints/table", None))


def test_another_policy_is_drift(hand: Hand) -> None:
    hand.make(SPEC)
    hand.ec2.modify_vpc_endpoint(VpcEndpointId=hand[S3], PolicyDocument=json.dumps(WRITE))
    hand.repairs(update(S3, "policy_document"), by="modify_vpc_endpoint")


def test_an_accounts_number_and_its_root_are_the_same_principal() -> None:
    def policy(principal: str) -> PolicyDocument:
        return PolicyDocument.of({"Statement": {"Effect": "Allow", "Action": "*", "Principal": {"AWS": principal}}})

    assert policy("123456789012") == policy("arn:aws:iam::123456789012:root") != policy("210987654321")


def test_what_the_spec_leaves_out_is_left_alone(hand: Hand) -> None:
    spec = edited(SPEC, "vpc_endpoints/s3/policy_document", None)
    hand.make(spec)
    hand.ec2.modify_vpc_endpoint(
        VpcEndpointId=hand[S3], PolicyDocument=json.dumps(WRITE), AddRouteTableIds=[hand["route_table.other"]]
    )
    assert short(hand.world.plan(edited(spec, "vpc_endpoints/s3/route_tables", None))) == []


def test_a_table_comes_and_another_leaves_in_one_call(hand: Hand) -> None:
    hand.make(SPEC)
    hand.repairs(
        update(S3, "route_tables"),
        spec=edited(SPEC, "vpc_endpoints/s3/route_tables", ["other"]),
        calls={"modify_vpc_endpoint": 1, "create_tags": 1},
    )


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


BLOCKS = {"a": "10.0.8.0/24", "b": "10.0.9.0/24", "c": "10.0.10.0/24", "d": "10.0.11.0/24"}


@pytest.mark.parametrize(
    ("before", "after", "lag"),
    [
        (("private-a", "private-b"), ("new-a", "new-b"), 0.0),
        (("private-a", "private-b"), ("new-a", "new-b"), 10.0),
        (("private-a", "private-b"), ("new-c", "new-d"), 0.0),
        (("private-a",), ("new-b",), 0.0),
        (("private-a", "private-b"), ("private-a", "new-c"), 10.0),
    ],
)
def test_an_endpoint_that_moves_answers_in_one_zone_all_the_time(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...], after: tuple[str, ...], lag: float
) -> None:
    """AWS shows an endpoint as available while the interfaces that were added are still being made, and as it was for a moment."""
    spec = ssm(subnets=list(before))
    for zone, block in BLOCKS.items():
        spec["subnets"][f"new-{zone}"] = {"cidr_block": block, "availability_zone": zone}
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


def test_another_service_makes_another_endpoint(hand: Hand) -> None:
    hand.make(SPEC)
    hand.repairs(
        *replaced(S3, "service_name"),
        spec=edited(SPEC, "vpc_endpoints/s3/service_name", "dynamodb"),
        by=("create_vpc_endpoint", "delete_vpc_endpoints"),
    )


def test_a_renamed_endpoint_gives_way_first(hand: Hand) -> None:
    """AWS allows one route to a service in a table. Users are told to `move` it instead: tests/plan/test_renames.py."""
    hand.make(SPEC)
    renamed = edited(edited(SPEC, "vpc_endpoints/s3", None), "vpc_endpoints/storage", SPEC["vpc_endpoints"]["s3"])
    hand.make(renamed, check=False)
    assert order(hand.world, "create_vpc_endpoint", "delete_vpc_endpoints") == [
        "delete_vpc_endpoints",
        "create_vpc_endpoint",
    ]


def test_a_strangers_endpoint_in_the_way_is_named(hand: Hand) -> None:
    hand.make(edited(SPEC, "vpc_endpoints", None))
    hand.ec2.create_vpc_endpoint(
        VpcId=hand["vpc.main"], ServiceName="com.amazonaws.us-east-1.s3", RouteTableIds=[hand[TABLE]]
    )
    result = hand.world.apply(SPEC)
    (failure,) = [item for item in result.outcomes if item.how == "failed"]
    assert isinstance(failure.error, RefusedError)
    assert "has an endpoint for com.amazonaws.us-east-1.s3 outside this stack" in str(failure.error)


@pytest.mark.parametrize("lag", [0.0, 20.0])
def test_a_lost_reply_makes_no_second_endpoint(hand: Hand, faults: Faults, lag: float) -> None:
    hand.world.strict.lag = lag
    faults.lose_reply("create_vpc_endpoint")
    hand.make(ssm(private_dns_enabled=True))
    assert len(hand.ec2.describe_vpc_endpoints()["VpcEndpoints"]) == 1


def test_its_interfaces_hold_subnets_and_groups_until_they_are_gone(hand: Hand) -> None:
    hand.make(ssm())
    began = hand.world.clock.now()
    hand.world.destroy(ssm())
    assert hand.world.clock.now() - began >= 120
    assert hand.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_destroy_goes_on_while_an_endpoint_is_leaving(hand: Hand) -> None:
    hand.make(ssm())
    hand.ec2.delete_vpc_endpoints(VpcEndpointIds=[hand[SSM]])
    result = hand.world.destroy(ssm())
    assert "delete_vpc_endpoints" not in result.writes


def test_one_that_is_leaving_is_made_anew(hand: Hand) -> None:
    hand.make(ssm(private_dns_enabled=True))
    hand.ec2.delete_vpc_endpoints(VpcEndpointIds=[hand[SSM]])
    hand.repairs(create(SSM), by="create_vpc_endpoint")


def test_what_aws_refuses_to_delete_in_its_answer_is_told(hand: Hand, faults: Faults) -> None:
    hand.make(SPEC)
    real = faults._real

    def refuse(service: str, operation: str, params: Any) -> Any:
        if operation != "delete_vpc_endpoints":
            return real(service, operation, params)
        error = {"Code": "OperationNotPermitted", "Message": "not now"}
        return {"Unsuccessful": [{"ResourceId": params["VpcEndpointIds"][0], "Error": error}]}

    faults._real = refuse
    result = hand.world.apply(edited(SPEC, "vpc_endpoints", None))
    assert ["OperationNotPermitted: not now" in text for text in result.failures] == [True]


def test_one_that_the_spec_no_longer_declares_is_found_and_deleted(hand: Hand) -> None:
    spec = demo()
    spec["vpc_endpoints"] = {"s3": {"service_name": "s3", "route_tables": ["public"]}}
    hand.make(spec)
    assert short(hand.world.plan(demo())) == [delete(S3)]


def test_the_unlucky_owner_of_none_needs_no_right_to_look(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    faults.refuse("describe_vpc_endpoints", "UnauthorizedOperation", times=9)
    spec = edited(demo(), "tags/service", "other")
    hand.make(spec)
    assert hand.world.plan(spec).is_empty


def test_instances_start_when_their_endpoints_are_there(hand: Hand) -> None:
    spec = demo()
    spec["vpc_endpoints"] = {"ssm": {"service_name": "ssm", "subnets": ["public-a"]}}
    hand.make(spec)
    assert order(hand.world, "create_vpc_endpoint", "run_instances")[0] == "create_vpc_endpoint"


def test_an_endpoint_that_failed_is_told(hand: Hand) -> None:
    from alb_reconcile.sandbox.strict.world import World as Place

    hand.make(ssm())
    Place("123456789012", "us-east-1").ledger.endpoints[hand[SSM]].add(hand.world.clock.now(), "failed")
    hand.world.clock.advance(1)
    plan = hand.world.plan(ssm())
    assert plan.is_empty
    assert any(f"is failed; delete {hand[SSM]} by hand" in text for text in plan.warnings)


def test_new_ids_may_be_unknown_for_a_while(hand: Hand) -> None:
    hand.world.strict.reference_lag = 20.0
    hand.make(ssm(private_dns_enabled=True))


def test_an_endpoint_needs_a_free_address_in_each_of_its_subnets(hand: Hand) -> None:
    spec = edited(ssm(), "subnets/private-a/cidr_block", "10.0.1.0/28")
    for number, service in enumerate(
        ("sns", "sqs", "kms", "logs", "ec2", "ecs", "ecr.api", "ecr.dkr", "sts", "events", "states")
    ):
        spec["vpc_endpoints"][f"e{number}"] = {"service_name": service, "subnets": ["private-a"]}
    with pytest.raises(RefusedError, match=r"subnet\.private-a has 11 free addresses, and this plan needs 12 there"):
        hand.world.plan(spec)


def test_a_service_of_another_region(hand: Hand) -> None:
    spec = ssm(service_region="eu-west-1")
    hand.make(spec)
    assert shown(hand, SSM)["ServiceName"] == "com.amazonaws.eu-west-1.ssm"
    assert short(hand.world.plan(ssm())) == sorted(replaced(SSM, "service_name"))


def test_the_endpoint_of_a_gateway_load_balancer_is_in_one_subnet(hand: Hand) -> None:
    bare = edited(edited(SPEC, "vpc_endpoints", None), "internet_gateways/main", {})  # which the emulator asks of any
    hand.make(bare)
    subnet = hand["subnet.private-a"]
    elb = hand.ec2.create_vpc_endpoint_service_configuration
    made = hand.world.client("elbv2")
    (wall,) = made.create_load_balancer(Name="wall", Type="gateway", Subnets=[subnet, hand["subnet.private-b"]])[
        "LoadBalancers"
    ]
    service = elb(GatewayLoadBalancerArns=[wall["LoadBalancerArn"]])["ServiceConfiguration"]["ServiceName"]
    entry = {"service_name": service, "vpc_endpoint_type": "GatewayLoadBalancer", "subnets": ["private-a"]}
    hand.make(edited(bare, "vpc_endpoints/wall", entry))
    assert shown(hand, "vpc_endpoint.wall")["SubnetIds"] == [subnet]


def test_sync_makes_again_what_somebody_deleted(hand: Hand) -> None:
    hand.make(ssm())
    hand.ec2.delete_vpc_endpoints(VpcEndpointIds=[hand[SSM]])
    hand.wait(200)
    assert not hand.world.sync(ssm()).is_failed
    assert hand.world.plan(ssm()).is_empty


def test_sync_of_who_has_none_reads_none(hand: Hand) -> None:
    hand.make(demo())
    assert hand.world.sync(demo()).notes == ()
    assert calls(hand.world, "describe_vpc_endpoints") == []


def test_a_policy_is_shown_as_it_is_written(hand: Hand) -> None:
    hand.make(SPEC)
    (step,) = hand.world.plan(edited(SPEC, "vpc_endpoints/s3/policy_document", WRITE)).steps
    assert json.loads(show(step.changes[0].after, hand.world.plan(SPEC).names)) == WRITE


def lattice(**more: Any) -> Spec:
    return edited(edited(SPEC, "vpc_endpoints/s3", None), "vpc_endpoints/database", {**LATTICE, **more})


def test_an_endpoint_leads_to_a_resource_of_another_vpc(hand: Hand, faults: Faults) -> None:
    faults.lose_reply("create_vpc_endpoint")
    hand.make(lattice())
    found = shown(hand, DATABASE)
    assert (found["VpcEndpointType"], found["ResourceConfigurationArn"]) == ("Resource", RESOURCE)
    assert found["DnsOptions"]["PrivateDnsSpecifiedDomains"] == ["db.example.com"]
    assert faults.made["create_vpc_endpoint"] == 2


def test_domains_have_no_order_and_left_out_they_are_awss(hand: Hand) -> None:
    domains = ["b.example.com", "a.example.com"]
    options = {"private_dns_preference": "SPECIFIED_DOMAINS_ONLY", "private_dns_specified_domains": domains}
    hand.make(lattice(dns_options=options))
    swapped = {**options, "private_dns_specified_domains": domains[::-1]}
    assert hand.world.plan(lattice(dns_options=swapped)).is_empty
    hand.repairs(
        update(DATABASE, "dns_options.private_dns_preference"),
        spec=lattice(dns_options={"private_dns_preference": "ALL_DOMAINS"}),
        by=("modify_vpc_endpoint", "create_tags"),
    )
    plain = {key: value for key, value in lattice()["vpc_endpoints"]["database"].items() if key != "dns_options"}
    assert hand.world.plan(edited(lattice(), "vpc_endpoints/database", plain)).is_empty


def test_a_service_network_takes_the_place_of_a_resource(hand: Hand) -> None:
    hand.make(lattice())
    network = {"service_network_arn": NETWORK, **{key: value for key, value in LATTICE.items() if "arn" not in key}}
    hand.repairs(
        *replaced(DATABASE, "service_network_arn", "vpc_endpoint_type"),
        spec=edited(lattice(), "vpc_endpoints/database", network),
        by=("create_vpc_endpoint", "delete_vpc_endpoints"),
    )
    assert shown(hand, DATABASE)["ServiceNetworkArn"] == NETWORK


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"service_name": "ssm"}, "resource_configuration_arn: is given together with service_name; keep one"),
        ({"private_dns_enabled": False}, "private_dns_preference: is for endpoints by resource_configuration_arn"),
        ({"dns_options": {"private_dns_preference": "SPECIFIED_DOMAINS_ONLY"}}, "private_dns_preference: needs the domains"),
        ({"dns_options": {"private_dns_specified_domains": ["a.com"]}}, "is for a private_dns_preference of specified domains"),
        ({"policy_document": READ}, "policy_document: is for endpoints of the type Gateway, Interface or GatewayLoadBalancer, and this one is Resource"),
        ({"vpc_endpoint_type": "Interface"}, "vpc_endpoint_type: is Resource for what VPC Lattice has; leave it out"),
        ({"resource_configuration_arn": "rcfg-1"}, "give it the ARN of a resource configuration"),
    ],
)  # fmt: skip
def test_what_an_endpoint_to_vpc_lattice_doesnt_have(more: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(lattice(**more))
    (line,) = str(caught.value).splitlines()
    assert told in line
