"""Imitates AWS's rules for the disks that RunInstances asks for: types, sizes and speeds."""

from collections.abc import Mapping, Sequence
from typing import Any

from .rule import refuse

SIZES = {
    "gp2": (1, 16_384),
    "gp3": (1, 65_536),
    "io1": (4, 16_384),
    "io2": (4, 65_536),
    "st1": (125, 16_384),
    "sc1": (125, 16_384),
    "standard": (1, 1024),
}
IOPS = {"gp3": (3000, 80_000), "io1": (100, 64_000), "io2": (100, 256_000)}


def check_disk(disk: Mapping[str, Any]) -> None:
    """AWS EC2, 'EbsBlockDevice': sizes and IOPS by volume type; IOPS are 'required for io1 and io2 volumes', and
    'not supported for gp2, st1, sc1, or standard' (InvalidParameterCombination)."""
    kind = disk.get("VolumeType", "gp2")
    iops = disk.get("Iops")
    if kind not in SIZES:
        refuse("InvalidParameterValue", f"Value ({kind}) for parameter volumeType is invalid. Unknown volume type.")
    if kind in ("io1", "io2") and iops is None:
        refuse("InvalidParameterCombination", f"The parameter iops must be specified for {kind} volumes.")
    if kind not in IOPS and iops is not None:
        refuse("InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes.")
    if iops is not None and not IOPS[kind][0] <= int(iops) <= IOPS[kind][1]:
        least, most = IOPS[kind]
        refuse("InvalidParameterValue", f"Volume iops of {iops} is out of range; {kind} has {least} to {most}.")
    throughput = disk.get("Throughput")
    if throughput is not None and kind != "gp3":
        refuse("InvalidParameterCombination", f"The parameter throughput is not supported for {kind} volumes.")
    if throughput is not None and int(throughput) > int(iops or 3000) / 4:
        refuse("InvalidParameterValue", "Throughput (MiBps) to iops ratio is too high; maximum is 0.25 MiBps per iops.")
    size = disk.get("VolumeSize")
    if size is not None and not SIZES[kind][0] <= int(size) <= SIZES[kind][1]:
        least, most = SIZES[kind]
        refuse("InvalidParameterValue", f"Volume of {size}GiB is out of range; {kind} has {least} to {most}GiB.")


def check_root_disk(disk: Mapping[str, Any], snapshot: Any) -> None:
    """AWS EC2, 'EbsBlockDevice': 'a volume size that is equal to or larger than the snapshot size'
    (InvalidBlockDeviceMapping: karpenter, issue 3302). AWS EBS, 'Volume types': 'st1 and sc1 can't be used as boot
    volumes'; the error's text is as if IOPS had been given (boto3, issue 3653)."""
    if disk["VolumeType"] in ("st1", "sc1"):
        message = f"The parameter iops is not supported for {disk['VolumeType']} volumes."
        refuse("InvalidParameterCombination", message)
    if int(disk["VolumeSize"]) < snapshot.volume.size:
        refuse(
            "InvalidBlockDeviceMapping",
            f"Volume of size {disk['VolumeSize']}GB is smaller than snapshot '{snapshot.id}', "
            f"expect size >= {snapshot.volume.size}GB",
        )


def check_devices(mappings: Sequence[Mapping[str, Any]]) -> None:
    """AWS EC2, 'BlockDeviceMapping': a device is mapped once (InvalidBlockDeviceMapping); 'EbsBlockDevice', VolumeSize: 'You must
    specify either a snapshot ID or a volume size'; KmsKeyId is for encrypted volumes (InvalidParameterDependency)."""
    names = [mapping.get("DeviceName") for mapping in mappings]
    for name in names:
        if names.count(name) > 1:
            refuse("InvalidBlockDeviceMapping", f"the same device is used multiple times: {name}")
    for mapping in mappings:
        disk = mapping.get("Ebs", {})
        if not disk.get("VolumeSize") and not disk.get("SnapshotId"):
            refuse("MissingParameter", "The request must contain the parameter size or snapshotId")
        if disk.get("KmsKeyId") and not disk.get("Encrypted"):
            refuse("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
