"""What kinds that EC2 lists and tags have in common (EC2 Describe actions)."""

from collections.abc import Mapping
from typing import Any

from alb_reconcile.kinds.base import AnyKind, Listing
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.resource import Desired, Observed, Properties

Row = dict[str, Any]
"""A resource as AWS describes it."""


def listing_of(kind: AnyKind) -> Listing:
    """How EC2 lists a kind. Raises TypeError where it doesn't."""
    if kind.listing is None:
        raise TypeError(f"EC2 doesn't list {kind.noun}")
    return kind.listing


async def own_rows(reader: Reader, kind: AnyKind) -> list[Row]:
    """What carries the stack's tag."""
    listing = listing_of(kind)
    return await reader.tagged(listing.operation, listing.key)


def observe(
    reader: Reader,
    kind: AnyKind,
    row: Row,
    state: Properties,
    status: str = "",
    created: str = "",
    details: object = None,
) -> Observed:
    """A row as a resource of the stack, at the address that its tags say."""
    found, physical_id = tags.from_list(row.get("Tags")), row[listing_of(kind).id_key]
    address = tags.address_of(found, kind.name) or tags.unnamed(kind.name, physical_id)
    return Observed(address, physical_id, state, found, reader.stack, status, created, details)


async def find_own(run: Run, kind: AnyKind, desired: Desired, filters: Mapping[str, str] | None = None) -> list[Row]:
    """What an earlier create has made, whose reply was lost: by its tags, and by further filters."""
    wanted = {f"tag:{key}": value for key, value in tags.identity(desired, run.stack).items()} | dict(filters or {})
    listing = listing_of(kind)
    return await run.aws.pages(
        "ec2",
        listing.operation,
        listing.key,
        Filters=[{"Name": name, "Values": [value]} for name, value in wanted.items()],
    )


async def create_once(run: Run, kind: AnyKind, desired: Desired, operation: str, key: str, **params: Any) -> str:
    """A create that has neither a token nor a unique name. Returns the id of what was made, now or by a lost call."""
    id_key = listing_of(kind).id_key

    async def find() -> str | None:
        found = await find_own(run, kind, desired)
        return str(found[0][id_key]) if found else None

    answer = await run.create_once("ec2", operation, find, **params)
    return answer if isinstance(answer, str) else str(answer[key][id_key])
