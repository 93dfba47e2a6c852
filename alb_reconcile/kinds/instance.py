"""EC2 instances (RunInstances, ModifyInstanceAttribute, StopInstances, StartInstances, TerminateInstances)."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Ec2Kind, Row
from alb_reconcile.kinds._instances import Launched, find_missing, launch_once, launched_in, token_stem, wait_for_state
from alb_reconcile.kinds._launchable import check_launches, root_disk
from alb_reconcile.kinds.base import Around, Entry, IamActions, Intent, Listing, Zones
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.quotas import Quota
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import MAX_USER_DATA, Address, Ref, UserData
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.files import read_file
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.steps import Launch
from alb_reconcile.model.text import camel

_ROOT_VOLUME: Final = {"volume_size": "Size", "volume_type": "VolumeType", "iops": "Iops", "encrypted": "Encrypted"}
"""By what DescribeVolumes calls them."""
_METADATA: Final = ("http_tokens", "http_put_response_hop_limit", "http_endpoint", "instance_metadata_tags")
RESOLVE: Final = "resolve:ssm:"
_MOST_AT_ONCE: Final = 100
"""Instances of one call."""
_MOST: Final = 10
"""Copies that a warning names."""


@dataclass(frozen=True, kw_only=True)
class Instance(Properties):
    """An instance. `subnets` are those that it may be in; observed, the one that it is in."""

    kind = "instance"
    removed_late = ("security_groups",)
    service = "ec2"
    addresses = 1
    missed = 0
    leaving = frozenset({"shutting-down"})
    gone = frozenset({"terminated"})
    replaced_on = frozenset({"image_id", "instance_type", "subnets", "key_name", "root_volume", "user_data"})
    follows = ("internet_gateway", "route_table", "security_group_rules", "vpc_endpoint")  # user data runs once

    image_id: str
    instance_type: str
    subnets: tuple[Ref, ...]
    security_groups: tuple[Ref, ...] | None = None
    key_name: str | None = None
    iam_instance_profile: str | None = None
    root_volume: Mapping[str, Any] | None = None
    metadata_options: Mapping[str, Any] | None = None
    user_data: UserData | None = None
    state: str | None = None

    def settle(self, observed: Observed | None, lookups: Lookups) -> Self:
        image, subnets, user_data = (lookups.images.get(self.image_id, self.image_id), self.subnets, self.user_data)
        disk, options = self.root_volume, dict(self.metadata_options or {})
        endpoint = options.get("http_endpoint")
        if observed and isinstance(observed.state, Instance):
            wanted = lookups.desired.get(observed.address)
            keep = wanted is None or wanted.lifecycle.image_update == "keep"
            if self.image_id.startswith(RESOLVE) and keep and observed.tags.get(tags.IMAGE) == self.image_id:
                image = observed.state.image_id
            if set(observed.state.subnets) <= set(self.subnets):
                subnets = observed.state.subnets
            if disk and disk.get("encrypted") is False and (observed.state.root_volume or {}).get("encrypted"):
                disk = {**disk, "encrypted": True}  # an account may encrypt by default, whatever is asked for
            endpoint = endpoint or (observed.state.metadata_options or {}).get("http_endpoint")
            if tags.ADOPTED in observed.tags and tags.USER_DATA not in observed.tags:
                user_data = None  # only the digest of what we launched is known
        if endpoint == "disabled":  # AWS takes nothing else then, and nothing else matters
            options = {key: value for key, value in options.items() if key == "http_endpoint"}
        return replace(
            self,
            image_id=image,
            subnets=subnets,
            user_data=user_data,
            root_volume=disk,
            metadata_options=options or None,
        )

    def remark(self, found: Observed) -> str:
        is_plain = (self.root_volume or {}).get("encrypted") is False
        if not is_plain or not (getattr(found.state, "root_volume", None) or {}).get("encrypted"):
            return ""
        return "its disk is encrypted all the same, as the account may want by default; take encrypted: false out of the spec"

    def extra_tags(self) -> dict[str, str]:
        found = {tags.IMAGE: self.image_id}
        if self.user_data is not None:
            found[tags.USER_DATA] = self.user_data.digest
        return found


@dataclass(frozen=True)
class LaunchedWith:
    """The client token of an instance's launch, and for whom else that was."""

    token: str
    members: tuple[Address, ...]


def place_of(found: Observed | None) -> tuple[str, ...]:
    """The subnet that an instance is in, if there is one."""
    return tuple(map(str, getattr(found.state, "subnets", ()))) if found else ()


class InstanceKind(Ec2Kind[Instance]):
    """Drives instances."""

    properties = Instance
    noun = "an instance"
    position = 60
    section = "instances"
    recognized_after = ("target_group", "load_balancer")
    id_prefix = "i-"
    listing = Listing("describe_instances", "Reservations", "InstanceId", "instance-id")
    missing = ("InvalidInstanceID.NotFound",)
    protection = "termination protection"
    ready = frozenset({"running"})
    quotas = (Quota("L-2AFB9258", "security groups on a network interface", 5, path="security_groups"),)
    iam_actions = IamActions(
        read=("ec2:DescribeInstances", "ec2:DescribeVolumes", "ssm:GetParameters"),
        look=(
            "ec2:DescribeImages",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeKeyPairs",
            "iam:GetInstanceProfile",
            "servicequotas:GetServiceQuota",
        ),
        create=("ec2:RunInstances", "ec2:CreateTags", "ec2:DescribeImages", "ec2:StopInstances", "iam:PassRole"),
        update=(
            "ec2:ModifyInstanceAttribute",
            "ec2:ModifyInstanceMetadataOptions",
            "ec2:DescribeIamInstanceProfileAssociations",
            "ec2:AssociateIamInstanceProfile",
            "ec2:ReplaceIamInstanceProfileAssociation",
            "iam:PassRole",
            "ec2:StartInstances",
            "ec2:StopInstances",
            "ec2:CreateTags",
        ),
        delete=("ec2:TerminateInstances", "ec2:DescribeInstanceAttribute", "ec2:ModifyInstanceAttribute"),
    )

    def group_of(self, name: str) -> str:
        return name.rpartition("-")[0]

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Instance:
        state = entry.get("state", "running")
        fields["state"] = None if state == "any" else state
        if "user_data_file" in entry:
            fields["user_data"] = UserData.of(read_file(around.folder / entry["user_data_file"], MAX_USER_DATA))
        elif "user_data" in entry:
            fields["user_data"] = UserData.of(entry["user_data"].encode())
        return Instance(**fields)

    async def discover(self, reader: Reader) -> list[Observed]:
        rows = await reader.instances()
        reader.warnings += warnings_of_copies(rows)
        volumes: dict[str, Row] = {}
        if any(getattr(item.state, "root_volume", None) for item in reader.desired.values()):
            volumes = {item["VolumeId"]: item for item in await reader.tagged("describe_volumes", "Volumes")}
        return [self._observe(reader, item, volumes) for item in rows if not is_copy(item)]

    def _observe(self, reader: Reader, item: Row, volumes: Mapping[str, Row]) -> Observed:
        found = tags.from_list(item.get("Tags"))
        devices = {
            device["DeviceName"]: (device.get("Ebs") or {}).get("VolumeId")
            for device in item.get("BlockDeviceMappings", ())
        }
        volume = volumes.get(str(devices.get(item.get("RootDeviceName", ""))))
        status = item["State"]["Name"]
        options = item.get("MetadataOptions") or {}
        state = Instance(
            image_id=item.get("ImageId", ""),
            instance_type=item.get("InstanceType", ""),
            subnets=(item["SubnetId"],) if item.get("SubnetId") else (),
            security_groups=tuple(sorted(group["GroupId"] for group in item.get("SecurityGroups", ()))),
            key_name=item.get("KeyName") or None,
            iam_instance_profile=(item.get("IamInstanceProfile") or {}).get("Arn", "").rpartition("/")[2] or None,
            root_volume={name: volume.get(key) for name, key in _ROOT_VOLUME.items()} if volume else None,
            metadata_options={name: options.get(camel(name)) for name in _METADATA},
            user_data=UserData(found[tags.USER_DATA]) if tags.USER_DATA in found else None,
            state={"pending": "running", "stopping": "stopped"}.get(status, status),
        )
        launch = LaunchedWith(str(item.get("ClientToken", "")), tuple(launched_in(item)))
        return self.observe(reader, item, state, status, str(item.get("LaunchTime", "")), launch)

    async def check_preconditions(
        self, aws: Aws, intents: Sequence[Intent], desired: Mapping[Address, Desired], zones: Zones
    ) -> list[Finding]:
        return await check_launches(aws, intents, zones)

    def takes(self, action: str, fields: Collection[str]) -> tuple[int, int]:
        """Until it runs, is stopped and runs again, or is terminated."""
        if action == "update":
            return (30, 150) if not {"instance_type", "state"}.isdisjoint(fields) else (0, 2)
        return (15, 90) if action == "delete" else (10, 60)

    def prepare(self, run: Run, wanted: Instance) -> None:
        if wanted.root_volume:
            _read_image(run, wanted.image_id)

    async def create(self, run: Run, wanted: Instance, desired: Desired) -> str:
        how = run.detail(Launch)
        members = how.together or ((desired, how.generation),)

        async def launch() -> Launched:
            found = await find_missing(run, members, how.missing)
            params = await self._launch_parameters(run, wanted)
            return await launch_once(run, members, str(wanted.subnets[0]), params, found, all_or_none=not how.missing)

        launched: Launched = await asyncio.shield(run.once(f"launch {members[0][0].address}", launch))
        instance = launched.ids.get(desired.address)
        if instance is None:
            raise launched.error or AssertionError(f"{desired.address} wasn't launched")
        await wait_for_state(run, instance, "running")
        if wanted.state == "stopped":
            await self._stop(run, instance)
        return instance

    async def _launch_parameters(self, run: Run, wanted: Instance) -> dict[str, Any]:
        groups, profile, user_data = wanted.security_groups, wanted.iam_instance_profile, wanted.user_data
        params: dict[str, Any] = {
            "ImageId": wanted.image_id,
            "InstanceType": wanted.instance_type,
            "SubnetId": wanted.subnets[0],
            "SecurityGroupIds": None if groups is None else list(groups),
            "KeyName": wanted.key_name,
            "IamInstanceProfile": None if profile is None else {"Name": profile},
            "MetadataOptions": _metadata(wanted) if wanted.metadata_options else None,
            "UserData": None if user_data is None else user_data.content,  # botocore encodes it
        }
        if wanted.root_volume:
            device, disk = await _root_disk(run, wanted.image_id)
            size = {"VolumeSize": disk["VolumeSize"]} if "VolumeSize" in disk else {}
            ebs = {"DeleteOnTermination": True, **size, **_by_aws(wanted.root_volume)}  # whatever the image says
            params["BlockDeviceMappings"] = [{"DeviceName": device, "Ebs": ebs}]
        return {key: value for key, value in params.items() if value is not None}

    async def update(self, run: Run, wanted: Instance, observed: Observed, fields: frozenset[str]) -> None:
        instance = observed.id
        modify = partial(run.aws.call, "ec2", retry=waits.INSTANCE_BUSY, InstanceId=instance)
        if "security_groups" in fields:
            groups = list(wanted.security_groups or ())
            await modify("modify_instance_attribute", retry=waits.INSTANCE_UNKNOWN, Groups=groups)
        if any(name.startswith("metadata_options.") for name in fields):
            await modify("modify_instance_metadata_options", **_metadata(wanted))
        if "iam_instance_profile" in fields:
            await self._set_profile(run, wanted, instance)
        if "instance_type" in fields:
            await self._stop(run, instance)
            await modify("modify_instance_attribute", InstanceType={"Value": wanted.instance_type})
        if wanted.state == "stopped" and "state" in fields:
            await self._stop(run, instance)
        elif wanted.state != "stopped" and fields & {"state", "instance_type"}:
            await wait_for_state(run, instance, "stopped", "running")  # one that is stopping can't be started
            await _together(run, "start_instances", instance, waits.INSTANCE_BUSY)
            await wait_for_state(run, instance, "running")

    @staticmethod
    async def _stop(run: Run, instance: str) -> None:
        await _together(run, "stop_instances", instance, waits.INSTANCE_BUSY)
        await wait_for_state(run, instance, "stopped")

    async def _set_profile(self, run: Run, wanted: Instance, instance: str) -> None:
        found = await run.aws.pages(
            "ec2",
            "describe_iam_instance_profile_associations",
            "IamInstanceProfileAssociations",
            where={"instance-id": instance, "state": ("associating", "associated")},
        )
        retry = {**waits.INSTANCE_BUSY, **waits.LAUNCH_UNKNOWN}
        call = partial(run.aws.call, "ec2", retry=retry, IamInstanceProfile={"Name": wanted.iam_instance_profile})
        if found:
            await call("replace_iam_instance_profile_association", AssociationId=found[0]["AssociationId"])
        else:
            await call("associate_iam_instance_profile", InstanceId=instance)

    async def delete(self, run: Run, observed: Observed) -> None:
        if not observed.is_leaving:
            off = {"InstanceId": observed.id, "DisableApiTermination": {"Value": False}}
            async with run.unlocked(
                self.protection, "ec2", "modify_instance_attribute", missing=self.missing, **off
            ) as retry:
                await self.call_delete(run, observed.id, retry)
        await wait_for_state(run, observed.id, "terminated")

    async def call_delete(self, run: Run, physical_id: str, retry: waits.Codes) -> None:
        with ignoring(*self.missing):
            await _together(run, "terminate_instances", physical_id, retry)

    async def is_protected(self, aws: Aws, observed: Observed) -> bool:
        """DescribeInstanceAttribute."""
        operation, attribute = "describe_instance_attribute", "disableApiTermination"
        with ignoring("InvalidInstanceID*"):  # gone meanwhile
            answer = await aws.call("ec2", operation, InstanceId=observed.id, Attribute=attribute)
            return bool(answer.get("DisableApiTermination", {}).get("Value", False))
        return False

    def unprotects(self, path: str, before: object) -> bool:
        """No spec says anything of it."""
        return False


async def _together(run: Run, operation: str, instance: str, retry: waits.Codes) -> None:
    """One call for all that the same happens to at the same time."""

    async def send(instances: Sequence[str]) -> None:
        await run.aws.call("ec2", operation, InstanceIds=list(instances))

    await run.together(f"{operation} {sorted(retry)}", instance, send, most=_MOST_AT_ONCE, retry=retry)


def _by_aws(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a spec gives, by AWS's names."""
    return {camel(key): value for key, value in (given or {}).items()}


def _metadata(wanted: Instance) -> dict[str, Any]:
    """AWS wants to be told that the service is on with whatever it is told of it."""
    return {"HttpEndpoint": "enabled", **_by_aws(wanted.metadata_options)}


def is_copy(row: Row) -> bool:
    """Whether it wasn't launched for its tags' stack. "Launch more like this" and backups copy tags, but not the token."""
    found = tags.from_list(row.get("Tags"))
    is_adopted = found.get(tags.ADOPTED) == row["InstanceId"]
    return not is_adopted and not str(row.get("ClientToken", "")).startswith(token_stem(found))


def warnings_of_copies(rows: Iterable[Row]) -> list[str]:
    """A line for each stack of whose instances there are copies."""
    copies: dict[str, list[str]] = {}
    for row in rows:
        if is_copy(row) and row["State"]["Name"] not in ("shutting-down", "terminated"):
            copies.setdefault(tags.from_list(row.get("Tags")).get(tags.STACK, ""), []).append(row["InstanceId"])
    warnings = []
    for stack, ids in sorted(copies.items()):
        shown = ", ".join(sorted(ids)[:_MOST]) + (f" and {len(ids) - _MOST} more" if len(ids) > _MOST else "")
        warnings.append(
            f"instances with the tags of {stack} that weren't launched for it are left alone: {shown}; remove their alb-reconcile: tags, "
            "or terminate them"
        )
    return warnings


def _read_image(run: Run, image: str) -> asyncio.Future[dict[str, Any]]:
    """What AWS says of an image, asked once a run."""
    return run.once(image, lambda: run.aws.call("ec2", "describe_images", ImageIds=[image]))


async def _root_disk(run: Run, image: str) -> tuple[str, dict[str, Any]]:
    """The device name of an image's root disk, and what the image says of it; read once a run."""
    images = (await _read_image(run, image)).get("Images", ())
    if not images:
        message = f"The image id '[{image}]' does not exist"
        raise AwsError(
            "ec2", "describe_images", "InvalidAMIID.NotFound", message, "", hint="check image_id: AMIs differ by region"
        )
    return root_disk(images[0])


KIND: Final = InstanceKind()
