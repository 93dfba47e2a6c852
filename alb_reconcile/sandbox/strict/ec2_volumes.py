"""Imitates AWS's rules for ModifyVolume: what a volume can become, how long that takes, and how soon it can change again."""

from collections.abc import Callable
from typing import Any

from .ec2_disks import check_disk
from .rule import Call, after, around, before, refuse

MODIFYING, OPTIMIZING, COOL_DOWN = 10.0, 600.0, 6 * 3600.0


@before("ModifyVolume")
def volume_changes_within_its_means(call: Call) -> None:
    """ModifyVolume, Size: 'must be greater than or equal to the existing size of the volume'; sizes and speeds by type as for
    a new volume; Iops, 'if you change the volume type to io1, io2, or gp3, the default is 3,000'; EBS User Guide,
    'Requirements': magnetic volumes can't be modified."""
    volume = call.world.ec2.get_volume(call.given("VolumeId"))
    if int(call.given("Size", volume.size)) < volume.size:
        refuse("InvalidParameterValue", "New size cannot be smaller than existing size")
    if volume.volume_type == "standard":
        refuse("InvalidParameterValue", "Volume type standard cannot be modified")
    if call.given("VolumeType", volume.volume_type) != volume.volume_type:
        call.params["Iops"] = call.given("Iops") or (
            3000 if call.given("VolumeType") in ("gp3", "io1", "io2") else None
        )
    asked = {"VolumeType": call.given("VolumeType", volume.volume_type), "VolumeSize": call.given("Size", volume.size)}
    if asked["VolumeType"] in ("gp3", "io1", "io2"):
        asked["Iops"] = call.given("Iops") or volume.iops
    elif call.given("Iops"):
        asked["Iops"] = call.given("Iops")
    check_disk({key: value for key, value in asked.items() if value is not None})


@before("ModifyVolume")
def volume_rests_between_changes(call: Call) -> None:
    """ModifyVolume: 'After modifying a volume, you must wait at least six hours and ensure that the volume is in the in-use or
    available state before you can modify the same volume' (VolumeModificationRateExceeded; IncorrectModificationState while
    it is modified)."""
    began = call.world.ledger.modified.get(call.given("VolumeId"))
    if began is None:
        return
    if state_of(call.now - began) != "completed":
        volume = call.given("VolumeId")
        refuse(
            "IncorrectModificationState",
            f"Volume {volume} cannot be modified in modification state {state_of(call.now - began).upper()}",
        )
    if call.now < began + COOL_DOWN:
        refuse(
            "VolumeModificationRateExceeded",
            "You've reached the maximum modification rate per volume limit. Wait at least 6 hours between modifications "
            "per EBS volume.",
        )


@after("ModifyVolume")
def modification_is_remembered(call: Call, result: Any) -> Any:
    """ModifyVolume: gp3 has at least 3,000 IOPS and 125 MiB/s; types without IOPS or throughput show none."""
    volume = call.world.ec2.get_volume(call.given("VolumeId"))
    if volume.volume_type == "gp3":
        volume.iops, volume.throughput = volume.iops or 3000, volume.throughput or 125
    else:
        volume.throughput = None
        volume.iops = volume.iops if volume.volume_type in ("io1", "io2") else None
    call.world.ledger.modified[volume.id] = call.now
    return result


@around("DescribeVolumesModifications")
def modifications_take_time(call: Call, proceed: Callable[[], Any]) -> Any:
    """EBS User Guide, 'Monitor the progress of volume modifications': modifying, optimizing, completed."""
    result = proceed()
    shown = []
    for item in result["VolumesModifications"]:
        began = call.world.ledger.modified.get(item.volume.id, call.now)
        names = ("Size", "Iops", "VolumeType", "Throughput")
        targets = {
            f"Target{name}": value
            for name in names
            if (value := getattr(item, f"target_{name.lower().replace('volumetype', 'volume_type')}")) is not None
        }
        state = state_of(call.now - began) if item is item.volume.modifications[-1] else "completed"
        shown.append({"VolumeId": item.volume.id, "ModificationState": state, "StartTime": item.start_time, **targets})
    return {"VolumesModifications": shown}


def state_of(seconds: float) -> str:
    """The state of a modification so many seconds after the request."""
    return "modifying" if seconds < MODIFYING else "optimizing" if seconds < OPTIMIZING else "completed"
