"""VPC encryption controls: how they begin, what they keep out, what keeps them from enforcing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import Network, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def control(ec2: Any, vpc: str) -> dict[str, Any]:
    (found,) = ec2.describe_vpc_encryption_controls(VpcIds=[vpc])["VpcEncryptionControls"]
    return dict(found)


def test_a_vpc_that_is_there_begins_by_monitoring(network: Network, ec2: Any, clock: VirtualClock) -> None:
    made = ec2.create_vpc_encryption_control(VpcId=network.vpc)["VpcEncryptionControl"]
    assert (made["Mode"], made["State"], "ResourceExclusions" in made) == ("monitor", "creating", False)
    with refused("IncorrectState"):
        ec2.modify_vpc_encryption_control(VpcEncryptionControlId=made["VpcEncryptionControlId"], Mode="enforce")
    refuses("VpcEncryptionControlAlreadyExists", ec2.create_vpc_encryption_control, VpcId=network.vpc)
    clock.advance(30)
    assert control(ec2, network.vpc)["State"] == "available"


def test_what_isnt_excluded_prevents_enforcement(network: Network, ec2: Any, clock: VirtualClock) -> None:
    made = ec2.create_vpc_encryption_control(VpcId=network.vpc)["VpcEncryptionControl"]["VpcEncryptionControlId"]
    clock.advance(30)
    (blocking,) = ec2.get_vpc_resources_blocking_encryption_enforcement(VpcId=network.vpc)["NonCompliantResources"]
    assert (blocking["Id"], blocking["IsExcludable"]) == (network.gateway, True)
    with refused("InvalidParameterValue", f"The following resources prevent enforcement: {network.gateway}"):
        ec2.modify_vpc_encryption_control(VpcEncryptionControlId=made, Mode="enforce")
    with refused("InvalidParameterCombination"):
        ec2.modify_vpc_encryption_control(VpcEncryptionControlId=made, InternetGatewayExclusion="enable")
    ec2.modify_vpc_encryption_control(VpcEncryptionControlId=made, Mode="enforce", InternetGatewayExclusion="enable")
    assert control(ec2, network.vpc)["State"] == "enforce-in-progress"
    clock.advance(30)
    found = control(ec2, network.vpc)
    assert (found["Mode"], found["ResourceExclusions"]["InternetGateway"]["State"]) == ("enforce", "enabled")


def test_enforcement_keeps_gateways_out(ec2: Any, clock: VirtualClock) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", VpcEncryptionControl={"Mode": "enforce"})["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    refuses("UnsupportedOperation", ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc)
    refuses("UnsupportedOperation", ec2.create_egress_only_internet_gateway, VpcId=vpc)
    clock.advance(30)
    ec2.delete_vpc_encryption_control(VpcEncryptionControlId=control(ec2, vpc)["VpcEncryptionControlId"])
    assert control(ec2, vpc)["State"] == "deleting"
    clock.advance(30)
    assert ec2.describe_vpc_encryption_controls(VpcIds=[vpc])["VpcEncryptionControls"] == []
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def test_a_control_goes_with_its_vpc(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", VpcEncryptionControl={"Mode": "monitor"})["Vpc"]["VpcId"]
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_vpc_encryption_controls()["VpcEncryptionControls"] == []
