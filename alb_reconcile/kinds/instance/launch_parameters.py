"""Builds the parameters of RunInstances, some of which come from the image (DescribeImages)."""

import asyncio
from functools import partial
from typing import Any

from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.instance import volumes
from alb_reconcile.kinds.instance.launchable import root_disk
from alb_reconcile.kinds.instance.options import by_aws, launch_options, with_public_address
from alb_reconcile.model.errors import AwsError


async def launch_parameters(run: Run, wanted: Any) -> dict[str, Any]:
    """The parameters of RunInstances, without those for the members that are launched."""
    groups, profile, user_data = wanted.security_groups, wanted.iam_instance_profile, wanted.user_data
    params: dict[str, Any] = {
        "ImageId": wanted.image_id,
        "InstanceType": wanted.instance_type,
        "SubnetId": wanted.subnets[0],
        "SecurityGroupIds": None if groups is None else list(groups),
        "KeyName": wanted.key_name,
        "IamInstanceProfile": None if profile is None else profile_by(profile),
        "MetadataOptions": metadata(wanted) if wanted.metadata_options else None,
        "UserData": None if user_data is None else user_data.content,  # botocore encodes it
        **launch_options(wanted),
    }
    if wanted.root_volume:
        device, disk = await _root_disk(run, wanted.image_id)
        size = {"VolumeSize": disk["VolumeSize"]} if "VolumeSize" in disk else {}
        ebs = {"DeleteOnTermination": True, **size, **by_aws(wanted.root_volume)}  # whatever the image says
        params["BlockDeviceMappings"] = [{"DeviceName": device, "Ebs": ebs}]
    if disks := volumes.mappings(wanted.data_volumes):
        params.setdefault("BlockDeviceMappings", []).extend(disks)
    given = {key: value for key, value in params.items() if value is not None}
    return with_public_address(given, wanted.associate_public_ip_address)


def metadata(wanted: Any) -> dict[str, Any]:
    """The parameter for the metadata service: AWS wants each setting together with the word that the service is on."""
    return {"HttpEndpoint": "enabled", **by_aws(wanted.metadata_options)}


def read_image(run: Run, image: str) -> asyncio.Future[dict[str, Any]]:
    """AWS's description of an image, read once a run."""
    return run.shared.once(image, lambda: run.aws.call("ec2", "describe_images", ImageIds=[image]))


async def _root_disk(run: Run, image: str) -> tuple[str, dict[str, Any]]:
    """The device name of an image's root disk, and the image's settings for the disk; read once a run."""
    images = (await read_image(run, image)).get("Images", ())
    if not images:
        message = f"The image id '[{image}]' does not exist"
        raise AwsError(
            "ec2", "describe_images", "InvalidAMIID.NotFound", message, "", hint="check image_id: AMIs differ by region"
        )
    return root_disk(images[0])


def profile_by(profile: str) -> dict[str, str]:
    """The parameter for an instance profile, by its name or ARN."""
    return {"Arn" if profile.startswith("arn:") else "Name": profile}


async def set_profile(run: Run, profile: Any, instance: str) -> None:
    """Give an instance a profile, in place of its present one."""
    found = await run.aws.pages(
        "ec2",
        "describe_iam_instance_profile_associations",
        "IamInstanceProfileAssociations",
        where={"instance-id": instance, "state": ("associating", "associated")},
    )
    retry = {**waits.INSTANCE_BUSY, **waits.PROFILE_UNKNOWN}
    call = partial(run.aws.call, "ec2", retry=retry, IamInstanceProfile=profile_by(profile))
    if found:
        await call("replace_iam_instance_profile_association", AssociationId=found[0]["AssociationId"])
    else:
        await call("associate_iam_instance_profile", InstanceId=instance)
