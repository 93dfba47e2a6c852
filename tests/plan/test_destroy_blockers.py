"""What isn't the stack's and holds its network is named before a destroy deletes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.stack import StackPlan, plan_stack
from alb_reconcile.model.desired_stack import DesiredStack
from tests.harness import REGION, demo
from tests.kinds.hand import Faults
from tests.kinds.test_nat_gateway import ZONAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.aws.client import Aws
    from tests.harness import World

GUARD_DUTY = "com.amazonaws.us-east-1.guardduty-data"


def blockers(here: World) -> tuple[str, ...]:
    target = DesiredStack("demo", REGION, {}, destroy=True)

    async def main(aws: Aws) -> StackPlan:
        return await plan_stack(aws, target)

    found: StackPlan = here._run(main)
    return found.blockers


def answer_otherwise(here: World, change: Callable[[str, Any], Any]) -> None:
    """Let calls be answered as a test says, by their names and AWS's answers."""
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        return change(operation, real(service, operation, params))

    here._call = call  # type: ignore[method-assign]


def own_vpc(ec2: Any) -> str:
    where = [{"Name": "tag:alb-reconcile:stack", "Values": ["demo"]}]
    return str(ec2.describe_vpcs(Filters=where)["Vpcs"][0]["VpcId"])


def own_subnet(ec2: Any) -> str:
    return str(ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [own_vpc(ec2)]}])["Subnets"][0]["SubnetId"])


def private_gateway(ec2: Any, vpc: str) -> str:
    gateway = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    ec2.attach_vpn_gateway(VpcId=vpc, VpnGatewayId=gateway)
    return str(gateway)


def peering(ec2: Any, *vpcs: str) -> str:
    made = ec2.create_vpc_peering_connection(VpcId=vpcs[0], PeerVpcId=vpcs[1])
    return str(made["VpcPeeringConnection"]["VpcPeeringConnectionId"])


def another_vpc(ec2: Any) -> str:
    return str(ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])


MAKERS: dict[str, Callable[[Any, str], str]] = {
    "endpoint": lambda ec2, vpc: ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=GUARD_DUTY, VpcEndpointType="Interface"
    )["VpcEndpoint"]["VpcEndpointId"],
    "list": lambda ec2, vpc: ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"],
    "group": lambda ec2, vpc: ec2.create_security_group(
        GroupName=f"GuardDutyManagedSecurityGroup-{vpc}", Description="-", VpcId=vpc
    )["GroupId"],
    "outward": lambda ec2, vpc: ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"][
        "EgressOnlyInternetGatewayId"
    ],
    "private": private_gateway,
    "asked": lambda ec2, vpc: peering(ec2, vpc, another_vpc(ec2)),
    "asking": lambda ec2, vpc: peering(ec2, another_vpc(ec2), vpc),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_it_is_named_and_holds_the_vpc(here: World, maker: str) -> None:
    here.converge(demo())
    ec2 = here.client("ec2")
    assert blockers(here) == ()
    made = MAKERS[maker](ec2, own_vpc(ec2))
    (text,) = blockers(here)
    assert made in text
    if maker in ("endpoint", "group"):
        assert "uardDuty" in text or "guardduty" in text
    (failed,) = here.apply(demo(), destroy=True).failures
    assert "DependencyViolation" in failed


def test_an_interface_that_its_service_hides_is_named_too(here: World) -> None:
    here.converge(demo())
    ec2 = here.client("ec2")
    subnet = own_subnet(ec2)
    made = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    here.strict.hide_interface(made)
    (text,) = blockers(here)
    assert made in text
    failures = here.apply(demo(), destroy=True).failures
    assert sum(made in text and subnet in text for text in failures) == 1


@pytest.mark.parametrize("mode", ["zonal", "regional"])
def test_somebody_elses_nat_gateway_is_named(here: World, mode: str) -> None:
    here.converge(demo())
    ec2 = here.client("ec2")
    settings = {
        "zonal": {"SubnetId": own_subnet(ec2), "ConnectivityType": "private"},
        "regional": {"AvailabilityMode": "regional", "VpcId": own_vpc(ec2)},
    }
    made = ec2.create_nat_gateway(**settings[mode])["NatGateway"]["NatGatewayId"]
    told = f"vpc.main ({own_vpc(ec2)}) is in use by a resource outside this stack: {made}; remove it first"
    assert told in blockers(here)
    ec2.delete_nat_gateway(NatGatewayId=made)
    here.clock.advance(90)
    assert blockers(here) == (), "AWS goes on showing it"


def test_an_address_that_a_gateway_of_ours_has_just_left_is_no_obstacle(here: World) -> None:
    here.converge(ZONAL)
    ec2 = here.client("ec2")
    before = ec2.describe_addresses()["Addresses"]
    assert any(row.get("NetworkInterfaceId") for row in before)
    for row in ec2.describe_nat_gateways()["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=row["NatGatewayId"])
    here.clock.advance(90)
    answer_otherwise(
        here, lambda name, answer: {**answer, "Addresses": before} if name == "describe_addresses" else answer
    )
    assert blockers(here) == ()


def test_somebody_elses_gateway_is_named(here: World) -> None:
    spec = demo()
    for section in ("internet_gateways", "route_tables", "load_balancers", "instances", "target_groups"):
        del spec[section]
    here.converge(spec)
    ec2 = here.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=own_vpc(ec2))
    (text,) = blockers(here)
    assert gateway in text


def test_who_may_not_look_finds_out_by_trying(here: World) -> None:
    here.converge(demo())
    Faults(here).refuse("describe_vpn_gateways", "UnauthorizedOperation")
    assert blockers(here) == ()


def test_a_peering_that_is_over_holds_nothing(here: World) -> None:
    here.converge(demo())
    ec2 = here.client("ec2")
    over = peering(ec2, own_vpc(ec2), another_vpc(ec2))
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=over)
    assert blockers(here) == ()
    here.destroy(demo())
