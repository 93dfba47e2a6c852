"""EC2 instances (RunInstances, ModifyInstanceAttribute, StopInstances, StartInstances, TerminateInstances)."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._instance_states import wait_for_state
from alb_reconcile.kinds._launch import launch_once, token_stem
from alb_reconcile.kinds.base import Around, Entry, Kind, Listing
from alb_reconcile.kinds.context import Run, telling
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired, Lookups, Observed, Properties
from alb_reconcile.model.steps import Launch, Terminate
from alb_reconcile.model.user_data import UserData

_ROOT_VOLUME: Final = {"volume_size": "VolumeSize", "volume_type": "VolumeType", "encrypted": "Encrypted"}
_METADATA: Final = {
    "http_tokens": "HttpTokens",
    "http_put_response_hop_limit": "HttpPutResponseHopLimit",
    "http_endpoint": "HttpEndpoint",
    "instance_metadata_tags": "InstanceMetadataTags",
}
RESOLVE: Final = "resolve:ssm:"


@dataclass(frozen=True)
class Launched:
    """How an instance was launched."""

    client_token: str


@dataclass(frozen=True, kw_only=True)
class Instance(Properties):
    """An instance. `subnets` are those that it may be in; observed, the one that it is in."""

    kind = "instance"
    service = "ec2"
    missed = 0
    leaving = frozenset({"shutting-down"})
    gone = frozenset({"terminated"})
    replaced_on = frozenset({"image_id", "instance_type", "subnets", "key_name", "root_volume", "user_data"})
    follows = ("internet_gateway", "route_table", "security_group_rules")  # user data runs once

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
        if observed and isinstance(observed.state, Instance):
            wanted = lookups.desired.get(observed.address)
            keep = wanted is None or wanted.lifecycle.image_update == "keep"
            if self.image_id.startswith(RESOLVE) and keep and observed.tags.get(tags.IMAGE) == self.image_id:
                image = observed.state.image_id
            if set(observed.state.subnets) <= set(self.subnets):
                subnets = observed.state.subnets
            if tags.ADOPTED in observed.tags and tags.USER_DATA not in observed.tags:
                user_data = None  # only the digest of what we launched is known
        return replace(self, image_id=image, subnets=subnets, user_data=user_data)

    def extra_tags(self) -> dict[str, str]:
        found = {tags.IMAGE: self.image_id}
        if self.user_data is not None:
            found[tags.USER_DATA] = self.user_data.digest
        return found


def place_of(found: Observed | None) -> tuple[str, ...]:
    """The subnet that an instance is in, if there is one."""
    return tuple(map(str, getattr(found.state, "subnets", ()))) if found else ()


class InstanceKind(Kind[Instance]):
    """Drives instances."""

    properties = Instance
    noun = "an instance"
    position = 60
    section = "instances"
    recognized_after = ("target_group", "load_balancer")
    id_prefix = "i-"
    listing = Listing("describe_instances", "Reservations", "InstanceId", "instance-id")
    ready = frozenset({"running"})

    def group_of(self, name: str) -> str:
        return name.rpartition("-")[0]

    def read_entry(self, name: str, entry: Entry, fields: dict[str, Any], around: Around) -> Instance:
        state = entry.get("state", "running")
        fields["state"] = None if state == "any" else state
        if "user_data_file" in entry:
            fields["user_data"] = UserData.of((around.folder / entry["user_data_file"]).read_bytes())
        elif "user_data" in entry:
            fields["user_data"] = UserData.of(entry["user_data"].encode())
        return Instance(**fields)

    async def discover(self, reader: Reader) -> list[Observed]:
        reservations = await reader.tagged("describe_instances", "Reservations")
        instances = [item for reservation in reservations for item in reservation["Instances"]]
        volumes: dict[str, dict[str, Any]] = {}
        if any(getattr(item.state, "root_volume", None) for item in reader.desired.values()):
            volumes = {item["VolumeId"]: item for item in await reader.tagged("describe_volumes", "Volumes")}
        found = [self._observe(reader, item, volumes) for item in instances]
        return [item for item in found if _is_own(reader.stack, item)]

    def _observe(self, reader: Reader, item: dict[str, Any], volumes: Mapping[str, dict[str, Any]]) -> Observed:
        found = tags.from_list(item.get("Tags"))
        address = tags.address_of(found, "instance") or tags.unnamed("instance", item["InstanceId"])
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
            root_volume={name: volume.get(_VOLUME_KEYS[name]) for name in _ROOT_VOLUME} if volume else None,
            metadata_options={name: options.get(key) for name, key in _METADATA.items()},
            user_data=UserData(found[tags.USER_DATA]) if tags.USER_DATA in found else None,
            state={"pending": "running", "stopping": "stopped"}.get(status, status),
        )
        return Observed(
            address,
            item["InstanceId"],
            state,
            found,
            reader.stack,
            status,
            str(item.get("LaunchTime", "")),
            Launched(item.get("ClientToken", "")),
        )

    def prepare(self, run: Run, wanted: Instance) -> None:
        if wanted.root_volume:
            _read_image(run, wanted.image_id)

    async def create(self, run: Run, wanted: Instance, desired: Desired) -> str:
        params = await self._launch_parameters(run, wanted)
        generation = run.detail(Launch).generation
        instance = await launch_once(run, desired, generation, str(wanted.subnets[0]), params)
        await wait_for_state(run, instance, "running")
        if wanted.state == "stopped":
            await self._stop(run, instance)
        return instance

    async def _launch_parameters(self, run: Run, wanted: Instance) -> dict[str, Any]:
        params: dict[str, Any] = {
            "ImageId": wanted.image_id,
            "InstanceType": wanted.instance_type,
            "SubnetId": wanted.subnets[0],
        }
        if wanted.security_groups is not None:
            params["SecurityGroupIds"] = list(wanted.security_groups)
        if wanted.key_name is not None:
            params["KeyName"] = wanted.key_name
        if wanted.iam_instance_profile is not None:
            params["IamInstanceProfile"] = {"Name": wanted.iam_instance_profile}
        if wanted.root_volume:
            device, disk = await _root_disk(run, wanted.image_id)
            size = {"VolumeSize": disk["VolumeSize"]} if "VolumeSize" in disk else {}
            given = {_ROOT_VOLUME[key]: value for key, value in wanted.root_volume.items()}
            params["BlockDeviceMappings"] = [{"DeviceName": device, "Ebs": {**size, **given}}]
        if wanted.metadata_options:
            params["MetadataOptions"] = self._metadata_options(wanted)
        if wanted.user_data is not None and wanted.user_data.content is not None:
            params["UserData"] = wanted.user_data.content  # botocore encodes it
        return params

    def _metadata_options(self, wanted: Instance) -> dict[str, Any]:
        return {_METADATA[key]: value for key, value in (wanted.metadata_options or {}).items()}

    async def update(self, run: Run, wanted: Instance, observed: Observed, fields: frozenset[str]) -> None:
        instance = observed.id
        if "security_groups" in fields:
            await run.aws.call(
                "ec2",
                "modify_instance_attribute",
                retry=waits.INSTANCE_UNKNOWN,
                InstanceId=instance,
                Groups=list(wanted.security_groups or ()),
            )
        if any(name.startswith("metadata_options.") for name in fields):
            await run.aws.call(
                "ec2",
                "modify_instance_metadata_options",
                retry=waits.INSTANCE_BUSY,
                InstanceId=instance,
                **self._metadata_options(wanted),
            )
        if "iam_instance_profile" in fields:
            await self._set_profile(run, wanted, instance)
        if "instance_type" in fields:
            await self._stop(run, instance)
            await run.aws.call(
                "ec2",
                "modify_instance_attribute",
                retry=waits.INSTANCE_BUSY,
                InstanceId=instance,
                InstanceType={"Value": wanted.instance_type},
            )
        if wanted.state == "stopped" and "state" in fields:
            await self._stop(run, instance)
        elif wanted.state != "stopped" and fields & {"state", "instance_type"}:
            await wait_for_state(run, instance, "stopped", "running")  # one that is stopping can't be started
            await run.aws.call("ec2", "start_instances", retry=waits.INSTANCE_BUSY, InstanceIds=[instance])
            await wait_for_state(run, instance, "running")

    @staticmethod
    async def _stop(run: Run, instance: str) -> None:
        await run.aws.call("ec2", "stop_instances", retry=waits.INSTANCE_BUSY, InstanceIds=[instance])
        await wait_for_state(run, instance, "stopped")

    async def _set_profile(self, run: Run, wanted: Instance, instance: str) -> None:
        filters = [
            {"Name": "instance-id", "Values": [instance]},
            {"Name": "state", "Values": ["associating", "associated"]},
        ]
        found = await run.aws.pages(
            "ec2", "describe_iam_instance_profile_associations", "IamInstanceProfileAssociations", Filters=filters
        )
        profile = {"Name": wanted.iam_instance_profile}
        retry = {**waits.INSTANCE_BUSY, **waits.LAUNCH_UNKNOWN}
        if found:
            await run.aws.call(
                "ec2",
                "replace_iam_instance_profile_association",
                retry=retry,
                AssociationId=found[0]["AssociationId"],
                IamInstanceProfile=profile,
            )
        else:
            await run.aws.call(
                "ec2", "associate_iam_instance_profile", retry=retry, InstanceId=instance, IamInstanceProfile=profile
            )

    async def delete(self, run: Run, observed: Observed) -> None:
        if not observed.is_leaving:
            settle = run.detail(Terminate).settle
            if settle:
                run.say(f"{settle} s to let the last requests settle")
                await run.aws.sleep(settle)
            lift = run.lifts_protection
            if lift:
                await run.gone(
                    "ec2",
                    "modify_instance_attribute",
                    missing=("InvalidInstanceID.NotFound",),
                    InstanceId=observed.id,
                    DisableApiTermination={"Value": False},
                )
            off = "its termination protection is off now: run again, or switch it back on by hand"
            with telling(off) if lift else nullcontext():
                await run.gone(
                    "ec2",
                    "terminate_instances",
                    retry=waits.PROTECTION_LIFTED if lift else None,
                    missing=("InvalidInstanceID.NotFound",),
                    InstanceIds=[observed.id],
                )
        await wait_for_state(run, observed.id, "terminated")

    protection = "termination protection"

    async def is_protected(self, aws: Aws, observed: Observed) -> bool:
        """DescribeInstanceAttribute."""
        try:
            answer = await aws.call(
                "ec2", "describe_instance_attribute", InstanceId=observed.id, Attribute="disableApiTermination"
            )
        except AwsError as error:
            if error.code.startswith("InvalidInstanceID"):
                return False  # gone meanwhile
            raise
        return bool(answer.get("DisableApiTermination", {}).get("Value", False))

    def unprotects(self, path: str, before: object) -> bool:
        """No spec says anything of it."""
        return False


_VOLUME_KEYS: Final = {"volume_size": "Size", "volume_type": "VolumeType", "encrypted": "Encrypted"}


def _is_own(stack: str, observed: Observed) -> bool:
    """Whether we launched it. "Launch more like this" and backups copy tags, but not the client token."""
    if observed.tags.get(tags.ADOPTED) == observed.id:
        return True
    return observed.detail(Launched).client_token.startswith(token_stem(stack, str(observed.address)))


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
    device = str(images[0].get("RootDeviceName") or "/dev/xvda")
    disks = {item.get("DeviceName"): item.get("Ebs") or {} for item in images[0].get("BlockDeviceMappings", ())}
    return device, dict(disks.get(device, {}))


KIND: Final = InstanceKind()
