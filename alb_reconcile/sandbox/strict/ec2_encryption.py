"""Rules of VPC encryption controls (moto has none): Amazon VPC User Guide, 'Enforce VPC encryption in transit'."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_resource_id

from .elb_trust_stores import stub
from .references import not_found
from .rule import Call, after, around, before, refuse
from .world import Timeline, World

ACTIONS = (
    "create_vpc_encryption_control", "modify_vpc_encryption_control", "delete_vpc_encryption_control",
    "describe_vpc_encryption_controls", "get_vpc_resources_blocking_encryption_enforcement",
)  # fmt: skip
EXCLUSIONS = (
    "InternetGateway", "EgressOnlyInternetGateway", "NatGateway", "VirtualPrivateGateway", "VpcPeering", "Lambda",
    "VpcLattice", "ElasticFileSystem", "GlobalAccelerator", "ApiGatewayV2",
)  # fmt: skip


@dataclass
class Control:
    """A VPC's encryption control."""

    id: str
    vpc: str
    mode: str = "monitor"
    excluded: set[str] = field(default_factory=set)
    timeline: Timeline = field(default_factory=Timeline)


def patches() -> list[tuple[Any, str, Any]]:
    return [(EC2Response, name, stub) for name in ACTIONS]


def controls(world: World, now: float) -> list[Control]:
    """Those that there are; one that was deleted is `deleting` first."""
    return [item for item in world.ledger.controls.values() if item.timeline.state(now) != "deleted"]


def control_of(world: World, vpc: str, now: float) -> Control | None:
    return next((item for item in controls(world, now) if item.vpc == vpc), None)


def shown(call: Call, control: Control) -> dict[str, Any]:
    """The exclusions are told in enforce mode only (terraform-provider-aws, `aws_vpc_encryption_control`)."""
    state = control.timeline.state(call.now)
    return {
        "VpcEncryptionControlId": control.id,
        "VpcId": control.vpc,
        "Mode": control.mode,
        "State": state,
        "ResourceExclusions": {
            name: {"State": "enabled" if name in control.excluded else "disabled"} for name in EXCLUSIONS
        }
        if control.mode == "enforce"
        else None,
        "Tags": [],
    }


def make(call: Call, vpc: str) -> Control:
    control = Control(f"vpcec-{random_resource_id(17)}", vpc)
    call.world.ledger.controls[control.id] = control
    control.timeline.add(call.now, "creating")
    control.timeline.then(call.now + call.timing.encryption, "available")
    return control


def set_up(control: Control, given: Mapping[str, Any]) -> None:
    """What a request wants of a control. Exclusions are for enforce mode."""
    control.mode = given.get("Mode") or control.mode
    for name in EXCLUSIONS:
        if (wish := given.get(f"{name}Exclusion")) is not None:
            if control.mode != "enforce":
                refuse("InvalidParameterCombination", f"{name}Exclusion can be specified in enforce mode only")
            control.excluded = control.excluded | {name} if wish == "enable" else control.excluded - {name}
    if control.mode != "enforce":
        control.excluded = set()


@around("CreateVpc")
def vpc_has_a_control(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateVpc VpcEncryptionControl: 'You can however turn on Encryption Controls in enforce mode for new VPCs during creation'."""
    given = call.given("VpcEncryptionControl")
    if given:
        set_up(Control("", ""), given)
    result = proceed()
    if given:
        set_up(make(call, result["Vpc"].id), given)
    return result


@around("CreateVpcEncryptionControl")
def control_begins_by_monitoring(call: Call, _: Callable[[], Any]) -> Any:
    """CreateVpcEncryptionControl: 'Existing VPCs can only be enabled in Monitor Mode first'; a VPC has one."""
    vpc = call.given("VpcId")
    if vpc not in call.world.ec2.vpcs:
        refuse(*not_found(vpc))
    if control_of(call.world, vpc, call.now):
        refuse("VpcEncryptionControlAlreadyExists", f"The VPC {vpc} already has a VPC Encryption Control.")
    return {"VpcEncryptionControl": shown(call, make(call, vpc))}


def named(call: Call) -> Control:
    wanted = call.given("VpcEncryptionControlId")
    found = next((item for item in controls(call.world, call.now) if item.id == wanted), None)
    if found is None:
        refuse("InvalidVpcEncryptionControlId.NotFound", f"The VPC Encryption Control '{wanted}' does not exist")
    return found


@around("ModifyVpcEncryptionControl")
def control_is_changed(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyVpcEncryptionControl: 'You can only turn on enforce mode on your VPC once these resources start enforcing encryption
    (or you create exclusions for them)'; 'The following resources prevent …' (terraform-provider-aws, acceptance tests)."""
    control = named(call)
    if (state := control.timeline.state(call.now)) != "available":
        refuse("IncorrectState", f"The VPC Encryption Control {control.id} is {state}")
    wanted = Control(control.id, control.vpc, control.mode, set(control.excluded))
    set_up(wanted, call.params)
    if wanted.mode == "enforce":
        blocking = [item["Id"] for item in blockers(call.world, control.vpc) if item["Type"] not in wanted.excluded]
        if blocking:
            refuse("InvalidParameterValue", f"The following resources prevent enforcement: {', '.join(blocking)}")
    control.mode, control.excluded = wanted.mode, wanted.excluded
    control.timeline.add(call.now, f"{control.mode}-in-progress")
    control.timeline.then(call.now + call.timing.encryption, "available")
    return {"VpcEncryptionControl": shown(call, control)}


@around("DeleteVpcEncryptionControl")
def control_leaves_slowly(call: Call, _: Callable[[], Any]) -> Any:
    """DeleteVpcEncryptionControl: it is `deleting` first."""
    control = named(call)
    control.timeline.add(call.now, "deleting")
    control.timeline.then(call.now + call.timing.encryption, "deleted")
    return {"VpcEncryptionControl": shown(call, control)}


@around("DescribeVpcEncryptionControls")
def controls_are_shown(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeVpcEncryptionControls: by their ids, or by VPCs."""
    ids, vpcs = call.given("VpcEncryptionControlIds"), call.given("VpcIds")
    found = controls(call.world, call.now)
    if ids and not set(ids) <= {item.id for item in found}:
        refuse("InvalidVpcEncryptionControlId.NotFound", f"The VPC Encryption Controls '{ids}' do not exist")
    matching = [item for item in found if (not ids or item.id in ids) and (not vpcs or item.vpc in vpcs)]
    return {"VpcEncryptionControls": [shown(call, item) for item in matching]}


@around("GetVpcResourcesBlockingEncryptionEnforcement")
def blockers_are_shown(call: Call, _: Callable[[], Any]) -> Any:
    """GetVpcResourcesBlockingEncryptionEnforcement: the resources that don't enforce encryption."""
    return {"NonCompliantResources": list(blockers(call.world, call.given("VpcId")))}


def blockers(world: World, vpc: str) -> Iterator[dict[str, Any]]:
    """Of those that can be excluded, gateways."""
    ec2 = world.ec2
    found = {
        "InternetGateway": [item.id for item in ec2.internet_gateways.values() if item.vpc and item.vpc.id == vpc],
        "EgressOnlyInternetGateway": [
            item.id for item in ec2.egress_only_internet_gateways.values() if item.vpc_id == vpc
        ],
        "NatGateway": [
            item.id
            for item in ec2.nat_gateways.values()
            if item.vpc_id == vpc and item.state in ("pending", "available")
        ],
    }
    for kind, ids in found.items():
        yield from ({"Id": item, "Type": kind, "Description": kind, "IsExcludable": True} for item in ids)


MAKING = {
    "AttachInternetGateway": "InternetGateway",
    "CreateEgressOnlyInternetGateway": "EgressOnlyInternetGateway",
    "CreateNatGateway": "NatGateway",
}


@before(*MAKING)
def enforcement_keeps_out(call: Call) -> None:
    """'When enabled, enforce mode prevents you from creating or attaching unencrypted VPC resources such as … internet gateways'."""
    subnet: Any = call.world.subnet(call.given("SubnetId", ""))
    control = control_of(call.world, subnet.vpc_id if subnet else call.given("VpcId", ""), call.now)
    kind = MAKING[call.action]
    if control and control.mode == "enforce" and kind not in control.excluded:
        refuse("UnsupportedOperation", f"{control.vpc} enforces encryption, and has no exclusion for {kind}.")


@after("DeleteVpc")
def control_goes_with_its_vpc(call: Call, result: Any) -> Any:
    """A control is one of its VPC."""
    kept = call.world.ledger.controls
    for item in [item for item in kept.values() if item.vpc not in call.world.ec2.vpcs]:
        del kept[item.id]
    return result
