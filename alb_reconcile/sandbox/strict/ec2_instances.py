"""Imitates AWS's rules for an instance's life: states that take time, and what may be done in which state."""

from collections.abc import Callable
from typing import Any

from .passage import STATE_CODES
from .references import not_found
from .rule import Call, after, around, before, refuse
from .world import Timeline

NEEDS_STOPPED = ("InstanceType", "Kernel", "Ramdisk", "UserData", "EbsOptimized", "SriovNetSupport", "EnaSupport")
METADATA = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "HttpEndpoint": "http_endpoint",
    "HttpProtocolIpv6": "http_protocol_ipv6",
    "InstanceMetadataTags": "instance_metadata_tags",
}


def named(call: Call) -> list[Any]:
    """The instances that a request names, all of which must exist."""
    found = []
    for instance_id in call.given("InstanceIds", []):
        instance = call.world.instance(instance_id)
        if instance is None:
            refuse(*not_found(instance_id))
        found.append(instance)
    return found


def state_of(name: str) -> dict[str, Any]:
    return {"Code": STATE_CODES[name], "Name": name}


def timeline_of(call: Call, instance: Any) -> Timeline:
    timeline = call.world.ledger.instances.get(instance.id)
    if timeline is None:
        timeline = call.world.ledger.instances[instance.id] = Timeline()
        timeline.add(call.now, instance.state)
    return timeline


def move(call: Call, instance: Any, through: str, to: str, seconds: float) -> None:
    timeline = timeline_of(call, instance)
    timeline.add(call.now, through)
    timeline.then(call.now + seconds, to)
    kind = "terminated" if to == "terminated" else "state"
    call.world.ledger.schedule(call.now + seconds, kind, instance.id)


def count_boot(call: Call, instance: Any) -> None:
    boots = call.world.ledger.boots
    boots[instance.id] = boots.get(instance.id, 0) + 1


def change(instance: Any, previous: str, current: str) -> dict[str, Any]:
    return {"InstanceId": instance.id, "CurrentState": state_of(current), "PreviousState": state_of(previous)}


@around("StartInstances")
def starting_takes_time(call: Call, _: Callable[[], Any]) -> Any:
    """StartInstances: stopped → pending → running; IncorrectInstanceState while stopping or terminating."""
    instances, changes = named(call), []
    for instance in instances:
        if instance.state not in ("stopped", "running", "pending"):
            refuse(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be started.",
            )
    for instance in instances:
        previous = instance.state
        if previous == "stopped":
            instance.start()
            instance.launch_time = call.moment
            count_boot(call, instance)
            move(call, instance, "pending", "running", call.timing.of(instance.instance_type, call.timing.pending))
        changes.append(change(instance, previous, "pending" if previous == "stopped" else previous))
    return {"StartingInstances": changes}


@around("StopInstances")
def stopping_takes_time(call: Call, _: Callable[[], Any]) -> Any:
    """StopInstances: running → stopping → stopped; IncorrectInstanceState while pending or terminating."""
    instances, changes = named(call), []
    for instance in instances:
        if instance.state not in ("running", "stopping", "stopped"):
            refuse(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be stopped.",
            )
        if instance.disable_api_stop is True:
            refuse(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be stopped. "
                "Modify its 'disableApiStop' instance attribute and try again.",
            )
    for instance in instances:
        previous = instance.state
        if previous == "running":
            instance.stop()
            move(call, instance, "stopping", "stopped", call.timing.of(instance.instance_type, call.timing.stopping))
        changes.append(change(instance, previous, "stopping" if previous == "running" else previous))
    return {"StoppingInstances": changes}


@around("TerminateInstances")
def terminating_takes_time(call: Call, _: Callable[[], Any]) -> Any:
    """TerminateInstances: shutting-down → terminated, shown for an hour. With termination protection
    OperationNotPermitted, and 'the specified instances that are in different Availability Zones, where no other specified
    instances are protected, are successfully terminated'. Stop protection protects as well (cloud-custodian, issue 7597)."""
    instances, changes = named(call), []
    if not instances:
        refuse("InvalidParameterCombination", "No instances specified")
    protected = [item for item in instances if item.disable_api_termination is True or item.disable_api_stop is True]
    zones = {instance._placement.zone for instance in protected}
    for instance in instances:
        previous = instance.state
        current = previous
        if previous not in ("shutting-down", "terminated") and instance._placement.zone not in zones:
            current = "shutting-down"
            for nic in instance.nics.values():
                nic.stop()
            move(call, instance, "shutting-down", "terminated", call.timing.shutting_down)
        changes.append(change(instance, previous, current))
    for instance in protected:
        refuse(
            "OperationNotPermitted",
            f"The instance '{instance.id}' may not be terminated. "
            f"Modify its '{'disableApiTermination' if instance.disable_api_termination else 'disableApiStop'}' instance attribute "
            "and try again.",
        )
    return {"TerminatingInstances": changes}


@before("RebootInstances")
def reboot_needs_running(call: Call) -> None:
    """RebootInstances: IncorrectInstanceState unless running (moto would start it)."""
    for instance in named(call):
        if instance.state != "running":
            refuse("IncorrectInstanceState", f"The instance '{instance.id}' is not running.")


@after("RebootInstances")
def reboot_is_counted(call: Call, result: Any) -> Any:
    """RebootInstances: count a reboot, so that the instance's processes are started again; its state doesn't show it."""
    for instance in named(call):
        count_boot(call, instance)
    return result


@before("ModifyInstanceAttribute")
def some_attributes_need_stopped(call: Call) -> None:
    """ModifyInstanceAttribute: the instance type and user data change on a stopped instance only."""
    instance = call.world.instance(call.given("InstanceId"))
    if instance is None:
        refuse(*not_found(call.given("InstanceId")))
    attribute = str(call.given("Attribute", ""))
    wanted = [n for n in NEEDS_STOPPED if n in call.params or n.lower() == attribute.lower()]
    if wanted and instance.state != "stopped":
        refuse("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")


@before("ModifyInstanceAttribute")
def instance_type_must_exist(call: Call) -> None:
    """ModifyInstanceAttribute: InvalidInstanceAttributeValue for an unknown type."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    wanted = (call.given("InstanceType") or {}).get("Value")
    if wanted is not None and wanted not in INSTANCE_TYPES:
        refuse("InvalidInstanceAttributeValue", f"Invalid value '{wanted}' for instance type.")


@around("ModifyInstanceAttribute")
def groups_reach_the_interface(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyInstanceAttribute Groups: replaces the primary interface's groups (moto only adds groups)."""
    wanted = call.given("Groups")
    if wanted is None:
        return proceed()
    instance = call.world.instance(call.given("InstanceId"))
    groups = {group.id: group for group in call.world.groups()}
    if instance is None or not wanted:
        refuse("InvalidParameterValue", "You must specify at least one security group")
    for group_id in wanted:
        if group_id not in groups:
            refuse(*not_found(group_id))
        if groups[group_id].vpc_id != instance.vpc_id:
            refuse("InvalidParameter", "You have specified two resources that belong to different networks.")
    instance.security_groups = [groups[group_id] for group_id in wanted]
    if 0 in instance.nics:
        instance.nics[0]._group_set = list(instance.security_groups)
    return None


def refuse_mixed_options(options: Any, now: str = "enabled") -> None:
    """ModifyInstanceMetadataOptions, HttpEndpoint: 'If this parameter is not specified, the existing state is maintained'; while
    the endpoint is off, no other option can be set. `now`: the endpoint's state before."""
    given = [name for name in METADATA if options.get(name) is not None and name != "HttpEndpoint"]
    if given and (options.get("HttpEndpoint") or now) == "disabled":
        refuse("InvalidParameterCombination", f"HttpEndpoint must be enabled to set {', '.join(given)}")


@around("ModifyInstanceMetadataOptions")
def metadata_options_change_one_by_one(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyInstanceMetadataOptions: 'existing preferences are maintained' for options that aren't given (moto loses them)."""
    instance = call.world.instance(call.given("InstanceId"))
    if instance is None:
        refuse(*not_found(call.given("InstanceId")))
    refuse_mixed_options(call.params, getattr(instance.metadata_options, METADATA["HttpEndpoint"]))
    for name, attribute in METADATA.items():
        if call.given(name) is not None:
            setattr(instance.metadata_options, attribute, call.given(name))
    return {"InstanceId": instance.id, "InstanceMetadataOptions": instance.metadata_options}


@before("DescribeInstances")
def instances_named_exist(call: Call) -> None:
    """DescribeInstances: InvalidInstanceID.NotFound (moto fails if an id is given twice)."""
    if call.given("InstanceIds"):
        call.params["InstanceIds"] = list(dict.fromkeys(call.given("InstanceIds")))
        named(call)
