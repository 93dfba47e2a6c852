"""Makes others' images in the local AWS: those that instances name by an id, an SSM parameter, or an owner and a name."""

import re
from collections.abc import Iterator
from typing import Any, Final

from moto.ec2.models.amis import Ami
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.utils import random_ami_id
from moto.ssm.models import ssm_backends

from alb_reconcile.kinds.images import PARAMETER, SEARCH
from alb_reconcile.sandbox.strict.world import World

_ID: Final = re.compile(r"ami-[0-9a-f]{8}([0-9a-f]{9})?")
_ANOTHER: Final = "000000000000"
"""The account number of owners that are named by an alias, such as `amazon`."""


def make_images(world: World, states: Any) -> Iterator[str]:
    """Make the missing images, for the architecture of the instance's type; yield a line for each. Their content doesn't matter, since
    instances never boot them."""
    for image, kind in dict.fromkeys(_named(states)):
        if image.startswith(PARAMETER):
            yield from _make_parameter(world, image.removeprefix(PARAMETER), kind)
        elif image.startswith(SEARCH):
            owner, architecture, name = image.removeprefix(SEARCH).split(":", 2)
            where = {"name": [name], "architecture": [architecture]}
            if not world.ec2.describe_images(filters=where, owners=[owner]):
                made = _make(world, random_ami_id(), architecture, re.sub(r"[*?]", "0", name), owner)
                yield f'image {made} (of {owner}, named "{name}", for {architecture})'
        elif _ID.fullmatch(image) and image not in world.ec2.amis:
            yield f"image {_make(world, image, _architecture(kind))} (for {_architecture(kind)})"


def _make_parameter(world: World, name: str, kind: str) -> Iterator[str]:
    parameters = ssm_backends[world.account][world.region]
    if not re.search(r":[^:/]+$", name) and not parameters.get_parameter(name):
        made = _make(world, random_ami_id(), _architecture(kind))
        parameters.put_parameter(
            name=name, description="", value=made, parameter_type="String", allowed_pattern="", keyid="",
            overwrite=False, tags=[], data_type="text", tier="Standard", policies=None,
        )  # fmt: skip
        yield f"image {made} (for SSM parameter {name})"


def _make(world: World, image: str, architecture: str, name: str = "", owner: str = _ANOTHER) -> str:
    is_number = owner.isdecimal()
    world.ec2.amis[image] = Ami(
        world.ec2, image, name=name or f"made for {image}", owner_id=owner if is_number else None if owner == "self" else _ANOTHER,
        owner_alias=None if is_number else owner, public=owner != "self", virtualization_type="hvm", hypervisor="xen",
        architecture=architecture, root_device_type="ebs", root_device_name="/dev/xvda", region_name=f"{world.region}a",
    )  # fmt: skip
    return image


def _architecture(instance_type: str) -> str:
    known = INSTANCE_TYPES.get(instance_type, {}).get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    return "arm64" if "arm64" in known else "x86_64"


def _named(value: Any) -> Iterator[tuple[str, str]]:
    """The image references of desired states, each with the instance type."""
    if isinstance(value, dict):
        if isinstance(image := value.get("image_id"), str):
            yield image, str(value.get("instance_type") or "")
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)
