"""Imitates AWS's rules for volumes that are created, attached and detached by their own actions."""

from collections.abc import Callable
from typing import Any

from .ec2_disks import check_disk
from .references import not_found
from .rule import Call, after, around, before, refuse
from .tokens import fingerprint, refuse_mismatch

CREATING, ATTACHING = 3.0, 2.0


@around("CreateVolume")
def volume_is_made_once_and_takes_seconds(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateVolume: `creating`, then `available` (EBS User Guide, 'EBS volume lifecycle'). The same ClientToken and parameters make only
    one volume (moto ignores the token)."""
    token, digest = call.given("ClientToken"), fingerprint(call.params)
    known_digest, known = call.world.ledger.tokens.get((token, call.action), (digest, ""))
    if token and digest != known_digest:
        refuse_mismatch()
    if token and known in call.world.ec2.volumes:
        return call.world.ec2.volumes[known]
    asked = {
        "VolumeType": call.given("VolumeType", "gp2"),
        "VolumeSize": call.given("Size"),
        "Iops": call.given("Iops"),
    }
    check_disk({key: value for key, value in asked.items() if value is not None})
    result = proceed()
    call.world.ledger.creating[result.id] = call.now + CREATING
    if token:
        call.world.ledger.tokens[token, call.action] = (digest, result.id)
    return result


@before("AttachVolume")
def volume_is_free_and_near(call: Call) -> None:
    """AttachVolume: 'to a running or stopped instance' (IncorrectState), 'The volume and instance must be within the same Availability
    Zone' (InvalidVolume.ZoneMismatch); VolumeInUse; IncorrectState while a volume is `creating` (EC2 API, 'Error codes'). A device is
    attached once (InvalidParameterValue)."""
    volume, instance = call.world.ec2.volumes.get(call.given("VolumeId")), call.world.instance(call.given("InstanceId"))
    if volume is None:
        refuse(*not_found(call.given("VolumeId")))
    if instance is None:
        refuse(*not_found(call.given("InstanceId")))
    if instance.state not in ("running", "stopped"):
        refuse("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.attachment is not None:
        refuse("VolumeInUse", f"{volume.id} is already attached to an instance")
    if call.world.ledger.creating.get(volume.id, call.now) > call.now:
        refuse("IncorrectState", f"{volume.id} is not 'available'.")
    if volume.zone.name != instance._placement.zone:
        text = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        refuse("InvalidVolume.ZoneMismatch", text)
    if call.given("Device") in instance.block_device_mapping:
        text = f"Invalid value '{call.given('Device')}' for unixDevice. Attachment point {call.given('Device')} is already in use"
        refuse("InvalidParameterValue", text)


@after("AttachVolume")
def attaching_takes_seconds(call: Call, result: Any) -> Any:
    """AttachVolume: `attaching`, then `attached` (EC2 API, VolumeAttachment)."""
    attachment = call.world.ec2.volumes[call.given("VolumeId")].attachment
    attachment.status = "attaching"
    call.world.ledger.schedule(call.now + ATTACHING, "attached", call.given("VolumeId"))
    return result


@before("DetachVolume")
def what_is_detached_is_attached(call: Call) -> None:
    """DetachVolume: IncorrectState for a volume that is `available` (EC2 API, 'Error codes'). 'If an EBS volume is the root device of an
    instance, it can't be detached while the instance is running' (OperationNotPermitted)."""
    volume = call.world.ec2.volumes.get(call.given("VolumeId"))
    if volume is None:
        refuse(*not_found(call.given("VolumeId")))
    if volume.attachment is None:
        refuse("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    instance = volume.attachment.instance
    call.params["InstanceId"] = call.given("InstanceId", instance.id)  # moto needs this parameter
    if instance.state == "running" and volume.attachment.device == instance.root_device_name:
        refuse("OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from instance '{instance.id}'")


@after("DescribeVolumes")
def new_volumes_are_creating(call: Call, result: Any) -> Any:
    """DescribeVolumes, State: `creating` at first (moto: at once available)."""
    for volume in result["Volumes"]:
        volume.is_creating = call.world.ledger.creating.get(volume.id, call.now) > call.now
    return result


def patches() -> list[tuple[Any, str, Any]]:
    from moto.ec2.models.elastic_block_store import Volume

    shown: Any = Volume.status
    status = property(lambda volume: "creating" if getattr(volume, "is_creating", False) else shown.fget(volume))
    return [(Volume, "status", status)]
