"""Instance groups: where they go, what they run."""

from ipaddress import IPv4Address
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.address import MAX_USER_DATA
from alb_reconcile.model.nodes import Path, shorten
from alb_reconcile.spec.checks.files import file_mistake
from alb_reconcile.spec.checks.targets import targets_of
from alb_reconcile.spec.outline import Outline

MAX_RESOURCES: Final = 10_000
_BURSTING: Final = ("t2.", "t3.", "t3a.", "t4g.")
_TOO_LARGE: Final = f"AWS takes at most {MAX_USER_DATA:,}: fetch the rest at boot"


def check(outline: Outline) -> None:
    """Report instance groups that AWS would refuse."""
    for name, entry in outline.entries("instances").items():
        _check_placement(outline, name, entry)
        _check_user_data(outline, name, entry)
        _check_addresses(outline, name, entry)
        _check_volumes(outline, name, entry)
        _check_persistent(outline, name, entry)
        _check_options(outline, name, entry)
        _check_rollout(outline, name, entry)
    _check_clashes(outline)
    _check_size(outline)


def _check_size(outline: Outline) -> None:
    counts = {name: entry.get("count", 1) for name, entry in outline.entries("instances").items()}
    targets = [target.text for group in outline.entries("target_groups") for target in targets_of(outline, group)]
    total = sum(counts.values()) + sum(counts.get(target, 1) for target in targets)
    if total > MAX_RESOURCES:
        outline.error(
            ("instances",),
            f"these are {total:,} instances and registrations, more than {MAX_RESOURCES:,}; split them into several stacks",
            at_key=True,
        )


def _check_placement(outline: Outline, name: str, entry: Entry) -> None:
    vpcs = sorted(filter(None, outline.subnet_vpcs("instances", name)))
    if len(vpcs) > 1:
        outline.error(
            ("instances", name, "subnets"), f"these are in different VPCs ({', '.join(vpcs)}); choose subnets of one"
        )
    count, owned = entry.get("count", 1), outline.entries("subnets")
    for subnet in (entry.get("subnets") or ())[:count] if entry.get("ipv6_address_count") else ():
        given = owned.get(subnet, {}).keys() & {"ipv6_cidr_block", "ipv6_ipam_pool_id", "ipv6_native"}
        if subnet in owned and not given and not outline.is_wrong(("subnets", subnet)):
            outline.error(
                ("instances", name, "ipv6_address_count"),
                f"subnet.{subnet} has no IPv6 range; give it an ipv6_cidr_block, or leave this out",
            )
    if len(entry.get("security_groups") or ()) > 16:  # as far as AWS raises its quota of 5
        outline.error(("instances", name, "security_groups"), "AWS allows 16 at most for an interface; merge some")


def _addresses(entry: Entry) -> list[tuple[Path, str]]:
    """An entry's private addresses, each with its place in the list, if it is one."""
    given = entry.get("private_ip_address")
    if isinstance(given, str):
        return [((), given)]
    return [((index,), address) for index, address in enumerate(given or ()) if isinstance(address, str)]


def _check_addresses(outline: Outline, name: str, entry: Entry) -> None:
    path: Path = ("instances", name, "private_ip_address")
    given = entry.get("private_ip_address")
    if given is None:
        return
    count = entry.get("count", 1)
    if isinstance(given, str) and count != 1:
        outline.error(path, f"is one address for {count} instances; write a list of {count}")
    elif isinstance(given, list) and len(given) != count:
        outline.error(path, f"has {len(given)} addresses for {count} instances; give it {count}")
    network = next(
        (found for subnet in entry.get("subnets") or () if (found := outline.network_of("subnets", subnet))), None
    )
    for place, text in _addresses(entry):
        try:
            address = IPv4Address(text)
        except ValueError:
            outline.error((*path, *place), f"{shorten(text)} is no IPv4 address; give it one such as 10.0.1.10")
            continue
        if network and address not in network:
            outline.error((*path, *place), f"{text} isn't in the subnet's range {network}; choose one in it")
        elif network and address in (*(network[index] for index in range(4)), network[-1]):
            outline.error(
                (*path, *place), f"{text} is one of the five addresses of {network} that AWS keeps; choose another"
            )
    rollout = entry.get("rollout") or {}
    if rollout.get("max_surge", 1) > 0:
        text = "can't be had by an instance and its successor at once; set rollout.max_surge to 0 and max_unavailable to 1 or more"
        outline.error(path, text, at_key=True)


def _check_clashes(outline: Outline) -> None:
    seen: dict[tuple[str, str], str] = {}
    for name, entry in outline.entries("instances").items():
        for place, address in _addresses(entry):
            key = (str(entry.get("subnets")), address)
            if key in seen:
                path = ("instances", name, "private_ip_address", *place)
                outline.error(path, f"{address} is given to instances.{seen[key]} too; keep it in one place")
            seen.setdefault(key, name)


def _check_volumes(outline: Outline, name: str, entry: Entry) -> None:
    path: Path = ("instances", name, "data_volumes")
    seen: dict[str | None, str] = {}
    for key, disk in (entry.get("data_volumes") or {}).items():
        device = disk.get("device_name") if isinstance(disk, dict) else None
        if device in seen:
            outline.error((*path, key, "device_name"), f"{device} is the device of {seen[device]} too; choose another")
        seen.setdefault(device, key)
    disks = {
        "root_volume": entry.get("root_volume"),
        **{f"data_volumes.{key}": disk for key, disk in (entry.get("data_volumes") or {}).items()},
    }
    for below, disk in disks.items():
        throughput, iops = (disk or {}).get("throughput"), (disk or {}).get("iops", 3000)
        if throughput and throughput * 4 > iops:
            place = ("instances", name, *below.split("."), "throughput")
            outline.error(
                place,
                f"{throughput} MiB/s are more than a quarter of {iops} iops; set iops to {throughput * 4} or more",
            )


def _check_persistent(outline: Outline, name: str, entry: Entry) -> None:
    for key, disk in (entry.get("data_volumes") or {}).items():
        if not isinstance(disk, dict) or not disk.get("persistent"):
            continue
        path: Path = ("instances", name, "data_volumes", key)
        if disk.get("delete_on_termination"):
            outline.error(
                (*path, "delete_on_termination"), "would delete a volume that is persistent; leave one of them out"
            )
        if (entry.get("rollout") or {}).get("max_surge", 1) > 0:
            text = "can't be had by an instance and its successor at once; set rollout.max_surge to 0 and max_unavailable to 1 or more"
            outline.error((*path, "persistent"), text, at_key=True)


def _check_options(outline: Outline, name: str, entry: Entry) -> None:
    kind, path = str(entry.get("instance_type", "")), ("instances", name)
    hibernates = (entry.get("hibernation_options") or {}).get("configured")
    if "credit_specification" in entry and kind and not kind.startswith(_BURSTING):
        text = f"{kind} has no CPU credits; take it out, or choose a type of t2, t3, t3a or t4g"
        outline.error((*path, "credit_specification"), text, at_key=True)
    if hibernates and (entry.get("enclave_options") or {}).get("enabled"):
        outline.error(
            (*path, "enclave_options"), "AWS allows no enclaves beside hibernation; keep one of them", at_key=True
        )
    if hibernates and (entry.get("root_volume") or {}).get("encrypted") is False:
        outline.error((*path, "root_volume", "encrypted"), "hibernation needs an encrypted root disk; set it to true")


def _check_rollout(outline: Outline, name: str, entry: Entry) -> None:
    """Of one instance, one may be missing: it can't be stopped otherwise."""
    missing, count = (entry.get("rollout") or {}).get("max_unavailable"), entry.get("count", 1)
    if isinstance(missing, int) and isinstance(count, int) and missing >= count > 0 and missing > 1:
        text = f"{missing} of {count} instances may be missing, so a change may leave none that answers; "
        text += "set it below count" if count > 1 else "set it to 1 or 0"
        outline.error(("instances", name, "rollout", "max_unavailable"), text, warning=True)


def _check_user_data(outline: Outline, name: str, entry: Entry) -> None:
    file = ("instances", name, "user_data_file")
    if "user_data" in entry and "user_data_file" in entry:
        outline.error(file, "user_data is given too; keep one of them", at_key=True)
    size = len(entry.get("user_data", "").encode())
    if size > MAX_USER_DATA:
        outline.error(("instances", name, "user_data"), f"is {size:,} bytes; {_TOO_LARGE}")
    if "user_data_file" in entry and (
        mistake := file_mistake(outline.folder, entry["user_data_file"], MAX_USER_DATA, _TOO_LARGE)
    ):
        outline.error(file, mistake)
