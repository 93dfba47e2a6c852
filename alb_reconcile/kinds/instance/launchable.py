"""Asks EC2 and IAM before a launch whether it can work: image, type, key pair and instance profile."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Intent, Zones
from alb_reconcile.kinds.images import RESOLVE
from alb_reconcile.kinds.instance.volumes import taken_devices
from alb_reconcile.kinds.quotas import over_quota, read_quota
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired

VCPU_QUOTAS: Final = {
    "standard": ("L-1216C47A", "a c d h i im is m r t z"), "G and VT": ("L-DB2E81BA", "g gr vt"), "P": ("L-417A185B", "p"),
    "DL": ("L-6E869C2A", "dl"), "F": ("L-74FC7D96", "f"), "HPC": ("L-F7808C92", "hpc"), "High Memory": ("L-43DA4232", "u"),
    "Inf": ("L-1945791B", "inf"), "Trn": ("L-2C3B7624", "trn"), "X": ("L-7295265B", "x"),
}  # fmt: skip
"""Which instance families share a quota: its code, and their letters (Amazon EC2 User Guide, "On-Demand Instance quotas"). Macs have none."""
Rows = dict[str, Any]
"""AWS's rows by the name or id that was asked for; what doesn't exist is missing."""


async def check_launches(
    aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
) -> list[Finding]:
    """Findings about instances that are to be launched, or to get another type or profile: what EC2 would refuse."""
    made = [item for item in intents if item.fields is None]
    typed = [item for item in intents if item.fields is None or "instance_type" in item.fields]
    profiled = [item for item in intents if item.fields is None or "iam_instance_profile" in item.fields]
    foreign = [item for item in profiled if not _is_own(item.wanted.iam_instance_profile)]
    own = {str(getattr(item.state, "name", "")) for address, item in desired.items() if address.kind == "key_pair"}
    images, types, offers, keys, profiles, crowd = await asyncio.gather(
        _read(aws, "image-id", {image for image in _named(made, "image_id") if not image.startswith(RESOLVE)}, "describe_images", "Images", "ImageId"),
        _read(aws, "instance-type", _named(typed, "instance_type"), "describe_instance_types", "InstanceTypes", "InstanceType"),
        _offers(aws, _named(typed, "instance_type")),
        _read(aws, "key-name", _named(made, "key_name") - own, "describe_key_pairs", "KeyPairs", "KeyName"),
        _profiles(aws, {item for item in _named(foreign, "iam_instance_profile") if isinstance(item, str)}),
        _over_vcpus(aws, made),
    )  # fmt: skip
    known = await zones
    found = [finding for item in made for finding in (*_of_image(item, images, types), *_of_devices(item, images))]
    found += [finding for item in typed for finding in _of_type(item, types, offers, known)]
    found += crowd
    keyed = [item for item in made if item.wanted.key_name not in own]
    found += _missing(keyed, "key_name", keys, "there is no key pair {} in this region; import it, or correct key_name")
    return found + _missing(
        foreign, "iam_instance_profile", profiles,
        "there is no instance profile {} in this account; create it, or correct iam_instance_profile",
    )  # fmt: skip


def _is_own(profile: object) -> bool:
    """Whether a profile is the spec's own, made or to be made, rather than a name."""
    return isinstance(profile, Address) or str(profile).startswith("arn:")


def _named(intents: Iterable[Intent], field: str) -> set[str]:
    return {name for item in intents if (name := getattr(item.wanted, field))}


async def _read(aws: Aws, filtered: str, names: set[str], operation: str, key: str, name: str) -> Rows | None:
    """EC2's rows by name. None if they can't be read, or there are no names."""
    if not names:
        return None
    return await _unless_denied(_rows(aws, filtered, names, operation, key, name))


async def _rows(aws: Aws, filtered: str, names: set[str], operation: str, key: str, name: str) -> Rows:
    return {row[name]: row for row in await aws.pages("ec2", operation, key, where={filtered: names})}


async def _offers(aws: Aws, types: set[str]) -> Rows | None:
    """The zones in which each type is offered (DescribeInstanceTypeOfferings)."""

    async def read() -> Rows:
        found: Rows = {}
        for row in await aws.pages(
            "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings",
            where={"instance-type": types}, LocationType="availability-zone",
        ):  # fmt: skip
            found.setdefault(row["InstanceType"], set()).add(row["Location"])
        return found

    return await _unless_denied(read()) if types else None


async def _profiles(aws: Aws, names: set[str]) -> Rows | None:
    """Instance profiles by name (IAM GetInstanceProfile, a call each)."""

    async def read() -> Rows:
        found: Rows = {}
        for name in sorted(names):
            try:
                found[name] = await aws.call("iam", "get_instance_profile", InstanceProfileName=name)
            except AwsError as error:
                if error.code != "NoSuchEntity":
                    raise
        return found

    return await _unless_denied(read()) if names else None


def vcpu_quota(instance_type: str) -> str:
    """The name of the quota for which On-Demand instances of a type count; empty if they count for none, or the quota isn't known."""
    letters = re.split("[^a-z]", instance_type, maxsplit=1)[0]
    return next((name for name, (_, families) in VCPU_QUOTAS.items() if letters in families.split()), "")


async def _over_vcpus(aws: Aws, made: Sequence[Intent]) -> list[Finding]:
    """Whether the vCPUs of new instances and of running On-Demand instances together fit into each quota. Dedicated hosts have
    their own quotas."""
    launched: dict[str, list[Intent]] = defaultdict(list)
    for item in made:
        if (item.wanted.placement or {}).get("tenancy") != "host":
            launched[vcpu_quota(item.wanted.instance_type)].append(item)
    launched.pop("", None)
    found = await asyncio.gather(*(_over_quota(aws, name, items) for name, items in launched.items()))
    return [finding for part in found for finding in part]


async def _over_quota(aws: Aws, name: str, launched: Sequence[Intent]) -> list[Finding]:
    quota, what = await read_quota(aws, "ec2", VCPU_QUOTAS[name][0]), f"vCPUs of On-Demand {name} instances"
    if quota.most is None:
        return over_quota(launched[0].desired, what, quota, 0, 0)
    try:
        running = await aws.pages(
            "ec2", "describe_instances", "Reservations", where={"instance-state-name": ("pending", "running")}
        )
        there = Counter(
            row["InstanceType"]
            for reservation in running
            for row in reservation["Instances"]
            if vcpu_quota(row["InstanceType"]) == name
            and row.get("InstanceLifecycle") not in ("spot", "capacity-block")
            and row.get("Placement", {}).get("Tenancy") != "host"
        )
        more = _at_once(launched)
        rows = await _rows(
            aws, "instance-type", there.keys() | more.keys(), "describe_instance_types", "InstanceTypes", "InstanceType"
        )
    except AwsError:
        return []
    used, needed = (
        sum(count * rows[kind]["VCpuInfo"]["DefaultVCpus"] for kind, count in counted.items() if kind in rows)
        for counted in (there, more)
    )
    return over_quota(launched[0].desired, what, quota, used, needed)


def _at_once(launched: Iterable[Intent]) -> Counter[str]:
    """By type, how many more instances run while replacements and replaced instances run at the same time."""
    more: Counter[str] = Counter()
    surge: dict[str, int] = {}
    for item in launched:
        group = item.desired.lifecycle.group or str(item.desired.address)
        left = surge.setdefault(group, item.desired.lifecycle.rollout.max_surge)
        if not item.replaces:
            more[item.wanted.instance_type] += 1
        elif left:
            more[item.wanted.instance_type] += 1
            surge[group] = left - 1
    return more


async def _unless_denied(read: Awaitable[Rows]) -> Rows | None:
    try:
        return await read
    except AwsError:  # an early check; a launch says more
        return None


def _missing(intents: Iterable[Intent], field: str, there: Rows | None, text: str) -> list[Finding]:
    if there is None:
        return []
    named = ((item, getattr(item.wanted, field)) for item in intents)
    return [
        Finding(item.desired, field, text.format(f'"{name}"')) for item, name in named if name and name not in there
    ]


def _of_image(item: Intent, images: Rows | None, types: Rows | None) -> Iterable[Finding]:
    if images is None or item.wanted.image_id.startswith(RESOLVE):  # a reference without an image is reported elsewhere
        return
    name, kind = item.wanted.image_id, item.wanted.instance_type
    size = (item.wanted.root_volume or {}).get("volume_size") or 0
    image = images.get(name)
    if image is None:
        text = f"there is no image {name} in this region, or this account may not use it; correct image_id"
        yield Finding(item.desired, "image_id", text)
    elif image.get("State", "available") != "available":
        yield Finding(item.desired, "image_id", f"image {name} is {image['State']}; choose one that is available")
    elif types and kind in types:
        runs = (types[kind].get("ProcessorInfo") or {}).get("SupportedArchitectures") or ()
        made_for = image.get("Architecture")
        if runs and made_for and made_for not in runs:
            text = f"{kind} runs {' and '.join(runs)}, but image {name} is for {made_for}; choose a type and an image of one architecture"
            yield Finding(item.desired, "instance_type", text)
    if image and 0 < size < (least := root_disk(image)[1].get("VolumeSize", 0)):
        text = f"{size} GiB is less than the snapshot of {name} has; set volume_size to {least} or more"
        yield Finding(item.desired, "root_volume.volume_size", text)


def _of_devices(item: Intent, images: Rows | None) -> Iterable[Finding]:
    """The data volumes at devices that the image uses."""
    image = (images or {}).get(item.wanted.image_id, {})
    for path, device, name in taken_devices(image, item.wanted.data_volumes) if image else ():
        yield Finding(item.desired, path, f"image {name} uses {device} itself; choose another device, such as /dev/sdf")


def _of_type(item: Intent, types: Rows | None, offers: Rows | None, known: Collection[str]) -> Iterable[Finding]:
    kind = item.wanted.instance_type
    if types is not None and kind not in types:
        yield Finding(
            item.desired, "instance_type", f"there is no instance type {kind} in this region; correct instance_type"
        )
    elif offers and kind in offers:
        # an image that doesn't exist is reported elsewhere
        without = [zone for zone in item.zones if zone not in offers[kind] and (not known or zone in known)]
        if without:
            text = f"{kind} isn't offered in {', '.join(without)}, only in {', '.join(sorted(offers[kind]))}; choose another type, or other subnets"
            yield Finding(item.desired, "instance_type", text)


def root_disk(image: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The device name of an image's root disk, and the settings of the disk in the image (as AWS describes it)."""
    device = str(image.get("RootDeviceName") or "/dev/xvda")
    disks = {item.get("DeviceName"): item.get("Ebs") or {} for item in image.get("BlockDeviceMappings", ())}
    return device, dict(disks.get(device, {}))
