"""Finds which tags are true of an instance that is adopted (its image, user data and attributes), and which volumes are adopted with it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Adopted, Keep
from alb_reconcile.kinds.images import RESOLVE
from alb_reconcile.kinds.instance.options import UNSHOWN, attributes, read_attributes, read_user_data
from alb_reconcile.kinds.instance.volumes import Attached
from alb_reconcile.model import tags
from alb_reconcile.model.address import UserData


async def adopt_instance(aws: Aws, item: Adopted, images: Mapping[str, str], keep: Keep, has: Attached) -> Adopted:
    """The adopted instance without tags for settings that differ from its launch; with its root disk, and the data volumes at the
    devices that its entry names. `images` are AMI ids by reference."""
    wanted: Any = item.desired.state
    found: Any = item.found.state
    said, note = dict(item.tags), ""
    if tags.ATTRIBUTES in said:
        declared = [name for name in UNSHOWN if getattr(wanted, name) is not None]
        there = await read_attributes(aws, item.found.id, declared)
        said[tags.ATTRIBUTES] = attributes(replace(wanted, **there))
    is_kept = keep.images and wanted.image_id.startswith(RESOLVE)
    if images.get(wanted.image_id, wanted.image_id) != found.image_id and not is_kept:
        del said[tags.IMAGE]
    if wanted.user_data is not None and UserData.of(await read_user_data(aws, item.found.id)) != wanted.user_data:
        said = {key: text for key, text in said.items() if key != tags.USER_DATA and not key.startswith(tags.VALUE)}
        note = "was launched with different user data than the spec's; apply leaves it unchanged"
    named = {value for path, value in (wanted.data_volumes or {}).items() if path.endswith(".device_name")}
    volumes = tuple(known for device, known in has.ids.items() if known and device in {has.root, *named})
    return replace(item, tags=said, volumes=volumes, note=note)
