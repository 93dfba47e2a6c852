"""Translates an instance's volumes: how a launch asks for them, how AWS shows them, and what ModifyVolume can change."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.instance.options import Row, by_aws
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError

Disk = Mapping[str, Any]
"""A volume by the spec's keys."""
_SHOWN: Final = {
    "volume_size": "Size",
    "volume_type": "VolumeType",
    "iops": "Iops",
    "throughput": "Throughput",
    "encrypted": "Encrypted",
    "kms_key_id": "KmsKeyId",
}
"""DescribeVolumes' names, by the spec's keys."""
_CHANGED: Final = {"volume_size": "Size", "volume_type": "VolumeType", "iops": "Iops", "throughput": "Throughput"}
"""ModifyVolume's names, by the spec's keys."""
_ALTERABLE: Final = frozenset({*_CHANGED, "delete_on_termination", "persistent"})
_OF_NEW: Final = ("encrypted", "kms_key_id", "snapshot_id")
"""The keys that only matter for a new volume, and aren't compared for a volume that outlives its instance."""
DEFAULTS: Final = {"encrypted": True, "delete_on_termination": True}
"""The settings of a new data volume where the spec says nothing."""


@dataclass(frozen=True)
class Attached:
    """The ids of an instance's volumes, by device. `root` is the device of the root disk."""

    root: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    stays: frozenset[str] = frozenset()
    """The ids of the volumes that outlive the instance."""

    @property
    def going(self) -> list[str]:
        """The ids of the data volumes that AWS deletes with the instance."""
        return sorted(item for device, item in self.ids.items() if device != self.root and item not in self.stays)

    def fates(self, handed: Collection[str]) -> list[str]:
        """What becomes of the volumes when their instance is deleted, in words, without volumes that are handed on, and without a root disk
        that is deleted as usual."""
        said = [f"deletes its data ({', '.join(self.going)})"] if self.going else []
        left = sorted(self.stays.difference(handed))
        return said + ([f"leaves {', '.join(left)} behind"] if left else [])


def flat(disks: Mapping[str, Disk]) -> dict[str, Any]:
    """Data volumes with a path for each key, as `logs.volume_size`. A persistent one stays when its instance goes."""
    found = {
        name: {**disk, "delete_on_termination": False} if disk.get("persistent") else disk
        for name, disk in disks.items()
    }
    plain = ((name, key, value) for name, disk in found.items() for key, value in disk.items())
    return {f"{name}.{key}": value for name, key, value in plain if key != "persistent" or value}


def persistent(disks: Disk | None) -> dict[str, dict[str, Any]]:
    """The data volumes that outlive their instance, by name."""
    return {name: disk for name, disk in by_name(disks).items() if disk.get("persistent")}


def by_name(disks: Disk | None) -> dict[str, dict[str, Any]]:
    """The inverse of `flat`."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for path, value in (disks or {}).items():
        name, _, key = path.partition(".")
        found[name][key] = value
    return dict(found)


def mappings(disks: Disk | None) -> list[dict[str, Any]]:
    """The BlockDeviceMappings of data volumes that are made with their instance."""
    return [
        {"DeviceName": disk["device_name"], "Ebs": by_aws({key: disk[key] for key in disk if key != "device_name"})}
        for disk in by_name(disks).values()
        if not disk.get("persistent")
    ]


def attached(row: Row) -> Attached:
    """The volumes in an instance's row of DescribeInstances."""
    devices = row.get("BlockDeviceMappings", ())
    ids = {item["DeviceName"]: str((item.get("Ebs") or {}).get("VolumeId", "")) for item in devices}
    stays = {ids[item["DeviceName"]] for item in devices if (item.get("Ebs") or {}).get("DeleteOnTermination") is False}
    return Attached(str(row.get("RootDeviceName", "")), ids, frozenset(stays))


def made_tags(has: Attached, volumes: Mapping[str, Row]) -> dict[str, dict[str, str]]:
    """By id, the tags of the volumes that this tool has made, or keeps; the volumes of an adopted instance had tags of their own."""
    found = {item: tags.from_list(volumes[item].get("Tags")) for item in has.ids.values() if item in volumes}
    return {item: own for item, own in found.items() if not {tags.SPEC, tags.VOLUME}.isdisjoint(own)}


def observe_root(row: Row, volumes: Mapping[str, Row]) -> dict[str, Any] | None:
    """An instance's root disk; None where the disk isn't among the volumes."""
    return _observe(row, volumes, str(row.get("RootDeviceName", "")))


def observe_data(row: Row, volumes: Mapping[str, Row], wanted: Disk | None) -> dict[str, Any] | None:
    """The data volumes at the wanted devices, by path; None where none is wanted. The root disk isn't one of them."""
    if wanted is None:
        return None
    found: dict[str, Any] = {}
    ids = attached(row).ids
    marks = {device: tags.from_list(volumes.get(known, {}).get("Tags")) for device, known in ids.items()}
    address = tags.from_list(row.get("Tags")).get(tags.ADDRESS)
    named = {own.get(tags.VOLUME): device for device, own in marks.items() if own.get(tags.ADDRESS) == address}
    for name, disk in by_name(wanted).items():
        is_kept = disk.get("persistent") and name in named
        device = named[name] if is_kept else disk["device_name"]
        if device != row.get("RootDeviceName") and (there := _observe(row, volumes, device)):
            snapshot = {"snapshot_id": volumes[ids[device]].get("SnapshotId") or None}
            kept = {"persistent": is_kept or None} if "persistent" in disk else {}
            shown = {"device_name": device, **snapshot, **there, **kept}
            found |= {f"{name}.{key}": value for key, value in shown.items()}
    return found


def at_devices(row: Row) -> dict[str, Any]:
    """Data volumes for all devices of an instance but its root disk's, each named after its device: `sdf.device_name`."""
    has = attached(row)
    return {f"{device.rpartition('/')[2]}.device_name": device for device in has.ids if device != has.root}


def _observe(row: Row, volumes: Mapping[str, Row], device: str) -> dict[str, Any] | None:
    volume = volumes.get(attached(row).ids.get(device, ""))
    if volume is None:
        return None
    held = next(item.get("Ebs") or {} for item in row["BlockDeviceMappings"] if item["DeviceName"] == device)
    shown = {name: volume.get(key) for name, key in _SHOWN.items()}
    return {**shown, "delete_on_termination": held.get("DeleteOnTermination")}


def settled(wanted: Disk, found: Disk) -> Disk:
    """The wanted settings of a volume, or of data volumes by path, in the form of the observed settings."""
    result = dict(wanted)
    for path, value in wanted.items():
        parent, _, key = path.rpartition(".")
        there = found.get(path)
        is_kept = wanted.get(f"{parent}.persistent") and f"{parent}.volume_size" in found
        if key in _OF_NEW and is_kept:
            result[path] = there
            continue
        if key == "encrypted" and value is False and there:
            result[path] = True  # an account may encrypt by default, whatever the spec says
        # AWS shows a key by its ARN, and doesn't show the key behind an alias
        is_meant = key == "kms_key_id" and there and ("alias/" in value or there.endswith(f"/{value}"))
        if is_meant or (there is None and key in ("throughput", "delete_on_termination") and found):
            result[path] = there
    return result


def unalterable(field_name: str, wanted: Disk | None, found: Disk | None) -> frozenset[str]:
    """The paths of a volume, or of data volumes, that can't be changed in place, given the observed settings."""
    wanted, found, paths = wanted or {}, found or {}, set()
    for path, value in wanted.items():
        parent, _, key = path.rpartition(".")
        there = found.get(path)
        beside = f"{parent}." if parent else ""
        if wanted.get(f"{beside}persistent") and found.get(f"{beside}volume_size") is None:
            continue  # the volume is attached, or made
        is_old = "standard" in (found.get(f"{beside}volume_type"), wanted.get(f"{beside}volume_type"))
        shrinks = key == "volume_size" and there is not None and value < there
        if (
            key not in _ALTERABLE
            or found.get(f"{beside}volume_size") is None
            or shrinks
            or (is_old and key in _CHANGED)
        ):
            paths.add(f"{field_name}.{path}")
    return frozenset(paths)


async def change_volumes(run: Run, wanted: Any, instance: str, has: Attached, fields: Collection[str]) -> None:
    """Change sizes, types and speeds (ModifyVolume), and what goes with the instance (ModifyInstanceAttribute)."""
    disks = [(has.root, "root_volume", wanted.root_volume or {})]
    named = by_name(wanted.data_volumes).items()
    disks += [(disk["device_name"], f"data_volumes.{name}", disk) for name, disk in named]
    kept = []
    for device, path, disk in disks:
        if disk.get("persistent") and device not in has.ids:
            continue  # a new volume has the wanted settings
        if changed := _said_anew(disk, {key for key in _CHANGED if f"{path}.{key}" in fields}):
            await modify(run, has.ids[device], changed)
        if f"{path}.delete_on_termination" in fields:
            kept.append({"DeviceName": device, "Ebs": {"DeleteOnTermination": disk["delete_on_termination"]}})
    if kept:
        await run.aws.call(
            "ec2",
            "modify_instance_attribute",
            retry=waits.INSTANCE_BUSY,
            InstanceId=instance,
            BlockDeviceMappings=kept,
        )


async def modify(run: Run, volume: str, changed: Mapping[str, Any]) -> None:
    """Make one ModifyVolume call, and wait until AWS uses the volume with its new settings; AWS may optimize the volume for hours then."""
    try:
        await run.aws.call("ec2", "modify_volume", VolumeId=volume, **changed)
    except AwsError as error:
        if error.code not in ("IncorrectModificationState", "VolumeModificationRateExceeded"):
            raise
        # a change that an earlier run, or a call with a lost reply, has begun may not show yet
        patience = waits.LAG if error.code == "IncorrectModificationState" else 0

        def is_it(last: Row) -> bool:
            return all(last.get(f"Target{name}") == value for name, value in changed.items())

        async def read() -> Row:
            return (await _modifications(run, {volume})).get(volume, {})

        if not is_it(await repeat_until(run.aws, read, is_it, patience)):
            raise

    def check(item: Any) -> str:
        state = item["ModificationState"] if item else "not visible yet"
        if state == "failed":
            raise WaitError(f"{volume} couldn't be modified: {item.get('StatusMessage', 'no reason given')}")
        return "" if state in ("optimizing", "completed") else f"{volume} to be modified ({state})"

    await run.wait("volumes", lambda volumes: _modifications(run, volumes), volume, check, waits.VOLUME_MODIFIED)


def changes_of(disk: Disk, volume: Row) -> dict[str, Any]:
    """The parameters that ModifyVolume has to change of a volume, as AWS describes it."""
    return _said_anew(disk, {key for key in _CHANGED if disk.get(key) not in (None, volume.get(_SHOWN[key]))})


def _said_anew(disk: Disk, changed: set[str]) -> dict[str, Any]:
    """Parameters of ModifyVolume. With a new type, a volume gets the type's default speed, unless the call says the speed again."""
    if "volume_type" in changed:
        changed |= {key for key in ("iops", "throughput") if disk.get(key) is not None}
    return {name: disk[key] for key, name in _CHANGED.items() if key in changed}


async def _modifications(run: Run, volumes: Iterable[str]) -> dict[str, Row]:
    """The last modification of each volume."""
    operation, key = "describe_volumes_modifications", "VolumesModifications"
    rows = await run.aws.pages("ec2", operation, key, where={"volume-id": volumes})
    return {row["VolumeId"]: row for row in sorted(rows, key=lambda row: str(row.get("StartTime", "")))}


def taken_devices(image: Row, wanted: Disk | None) -> list[tuple[str, str, str]]:
    """The data volumes at devices that an image, as AWS describes it, uses itself: path, device, and the image's id."""
    used = {item.get("DeviceName") for item in image.get("BlockDeviceMappings", ())} | {image.get("RootDeviceName")}
    return [
        (f"data_volumes.{name}.device_name", disk["device_name"], str(image.get("ImageId", "")))
        for name, disk in by_name(wanted).items()
        if disk["device_name"] in used
    ]
