"""Writes the entry of a spec that describes running instances."""

from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.kinds.base import Entry, Named
from alb_reconcile.kinds.images import entry_for
from alb_reconcile.kinds.instance import volumes
from alb_reconcile.model import tags
from alb_reconcile.model.resource import Observed

USUAL: Final = {
    "source_dest_check": True,
    "instance_initiated_shutdown_behavior": "stop",
    "root_volume.delete_on_termination": True,
    "metadata_options.http_endpoint": "enabled",
    "metadata_options.http_protocol_ipv6": "disabled",
    "metadata_options.instance_metadata_tags": "disabled",
    "placement.tenancy": "default",
}
CHOSEN: Final = frozenset({"private_ip_address", "user_data"})
_CREDITS: Final = {"t2": "standard", "t3": "unlimited", "t3a": "unlimited", "t4g": "unlimited"}
"""Amazon EC2 User Guide, "Burstable performance instances": the default of each family."""
_WITH_IOPS: Final = ("gp3", "io1", "io2")
_GP3: Final = {"iops": 3000, "throughput": 125}
"""The settings that every volume of type gp3 has at least."""


def write_instance(observed: Observed, entry: Entry, named: Named) -> Entry:
    """The entry of an instance; a public address is only written where it differs from the subnet's setting."""
    state: Any = observed.state
    if disk := entry.pop("root_volume", None):
        entry |= {"root_volume": told} if (told := _write_disk({**(state.root_volume or {}), **disk}, disk)) else {}
    entry.pop("data_volumes", None)
    if disks := volumes.by_name(state.data_volumes):
        entry["data_volumes"] = {name: _write_disk(disk, disk) for name, disk in disks.items()}
        empty = [name for name, disk in disks.items() if not (disk.get("persistent") or disk.get("snapshot_id"))]
        if empty:
            named.remark(
                f"a replacement starts with empty data volumes ({', '.join(empty)}), unless each has persistent: true, which needs "
                "rollout: {max_surge: 0, max_unavailable: 1}"
            )
    family = state.instance_type.partition(".")[0]
    credit = entry.pop("credit_specification", None)
    if credit and credit["cpu_credits"] != _CREDITS.get(family):
        entry["credit_specification"] = credit
    if profile := entry.pop("iam_instance_profile", None):
        entry["iam_instance_profile"] = profile.rpartition("/")[2]
    if key := entry.get("key_name"):
        name = named.name_of(physical_id := named.id_of("key_pair", key))
        entry["key_name"] = key if name == physical_id else name
    entry.pop("associate_public_ip_address", None)
    usual = getattr(named.state_of(state.subnets[0]), "map_public_ip_on_launch", None) if state.subnets else None
    if state.associate_public_ip_address not in (None, usual):
        entry["associate_public_ip_address"] = state.associate_public_ip_address
    return entry


def write_remembered(entry: Entry, own: Mapping[str, str]) -> Entry:
    """The entry with its image's reference, and with the keys of the root volume that a spec has said: the other keys have what the
    image and the account gave."""
    if reference := own.get(tags.IMAGE):
        del entry["image_id"]
        entry |= entry_for(reference)
    if tags.SPEC in own and (disk := entry.pop("root_volume", None)):
        said = {key: value for key, value in disk.items() if tags.has_declared(own[tags.SPEC], f"root_volume.{key}")}
        entry |= {"root_volume": said} if said else {}
    return entry


def _write_disk(disk: Mapping[str, Any], given: Entry) -> Entry:
    """The keys of a volume that its type allows and that differ from the defaults."""
    kind = disk.get("volume_type")
    silent = {key for key, value in _GP3.items() if disk.get(key) == value or kind != "gp3"}
    if kind in _WITH_IOPS and (kind != "gp3" or disk.get("iops") != _GP3["iops"]):
        silent.discard("iops")
    silent |= {key for key in ("encrypted", "delete_on_termination") if disk.get(key) is True}
    if not disk.get("encrypted"):
        silent.add("kms_key_id")
    return {key: value for key, value in given.items() if value is not None and key not in silent}
