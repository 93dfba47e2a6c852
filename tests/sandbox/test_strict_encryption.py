"""VPC encryption controls: how they begin, what they keep out, what keeps them from enforcing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.strict_world import Network, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock


def control(ec2: Any, vpc: str) -> dict[str, Any]:
    (found,) = ec2.describe_vpc_encryption_controls(VpcIds=[vpc])["VpcEncryptionControls"]
    return dict(found)


def test_what_isnt_excluded_prevents_enforcement(network: Network, ec2: Any, clock: VirtualClock) -> None:
    vpc = {"VpcId": network.vpc}
    made = ec2.create_vpc_encryption_control(**vpc)["VpcEncryptionControl"]
    assert (made["Mode"], made["State"], "ResourceExclusions" in made) == ("monitor", "creating", False)
    held, change = {"VpcEncryptionControlId": made["VpcEncryptionControlId"]}, ec2.modify_vpc_encryption_control
    refuses("IncorrectState", change, **held, Mode="enforce")
    refuses("VpcEncryptionControlAlreadyExists", ec2.create_vpc_encryption_control, **vpc)
    clock.advance(30)
    assert control(ec2, network.vpc)["State"] == "available"
    (blocking,) = ec2.get_vpc_resources_blocking_encryption_enforcement(**vpc)["NonCompliantResources"]
    assert (blocking["Id"], blocking["IsExcludable"]) == (network.gateway, True)
    told = f"InvalidParameterValue: The following resources prevent enforcement: {network.gateway}"
    refuses(told, change, **held, Mode="enforce")
    refuses("InvalidParameterCombination", change, **held, InternetGatewayExclusion="enable")
    change(**held, Mode="enforce", InternetGatewayExclusion="enable")
    assert control(ec2, network.vpc)["State"] == "enforce-in-progress"
    clock.advance(30)
    found = control(ec2, network.vpc)
    assert (found["Mode"], found["ResourceExclusions"]["InternetGateway"]["State"]) == ("enforce", "enabled")
