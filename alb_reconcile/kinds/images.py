"""Images that a spec names by something other than their id: what such a reference is, and which image it leads to."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.model.errors import RefusedError

RESOLVE: Final = "resolve:"
"""How every reference begins."""
_PARAMETER: Final = "resolve:ssm:"
_SEARCH: Final = "resolve:image:"


def search_for(image: Mapping[str, str]) -> str:
    """The reference for what a spec says under `image`."""
    return f"{_SEARCH}{image['owner']}:{image['architecture']}:{image['name']}"


async def resolve_images(aws: Aws, references: Sequence[str]) -> dict[str, str]:
    """The AMI ids behind references. Raises RefusedError for those that lead nowhere."""
    parameters = [item for item in references if item.startswith(_PARAMETER)]
    searches = [item for item in references if item.startswith(_SEARCH)]
    newest = asyncio.gather(*(_newest(aws, item) for item in searches))
    found, ids = await asyncio.gather(_from_parameters(aws, parameters), newest)
    return found | dict(zip(searches, ids, strict=True))


async def _from_parameters(aws: Aws, references: Sequence[str]) -> dict[str, str]:
    """SSM GetParameters, ten a call."""
    found: dict[str, str] = {}
    for batch in batches(references, 10):
        names = {reference.removeprefix(_PARAMETER): reference for reference in batch}
        answer = await aws.call("ssm", "get_parameters", Names=list(names))
        for item in answer["Parameters"]:
            name = item["Name"] + (item.get("Selector") or "")
            found[names.get(name, _PARAMETER + name)] = item["Value"]
        if answer.get("InvalidParameters"):
            raise RefusedError(
                f"the SSM parameters {', '.join(answer['InvalidParameters'])} don't exist in this region; correct image_id"
            )
    return found


async def _newest(aws: Aws, reference: str) -> str:
    """EC2 DescribeImages: of those that are available, the one that was made last."""
    owner, architecture, name = reference.removeprefix(_SEARCH).split(":", 2)
    where = {"name": name, "architecture": architecture, "state": "available"}
    rows: list[dict[str, Any]] = await aws.pages("ec2", "describe_images", "Images", where=where, Owners=[owner])
    if not rows:
        raise RefusedError(
            f'there is no available image of {owner} named "{name}" for {architecture} in this region; correct image'
        )
    return str(max(rows, key=lambda row: (str(row.get("CreationDate", "")), row["ImageId"]))["ImageId"])
