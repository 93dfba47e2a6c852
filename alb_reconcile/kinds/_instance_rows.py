"""Reads an instance as DescribeInstances shows it: whether it is alive, which launch it is from, and its primary network interface."""

from collections.abc import Mapping
from typing import Any

from alb_reconcile.model import tags
from alb_reconcile.model.text import digest

Row = Mapping[str, Any]


def is_alive(row: Row) -> bool:
    """Whether an instance hasn't ended."""
    return row["State"]["Name"] not in ("shutting-down", "terminated")


def is_copy(row: Row) -> bool:
    """Whether an instance wasn't launched for its tags' stack. "Launch more like this" and backups copy tags, but not the token."""
    found = tags.from_list(row.get("Tags"))
    is_adopted = found.get(tags.ADOPTED) == row["InstanceId"]
    return not is_adopted and not str(row.get("ClientToken", "")).startswith(token_stem(found))


def token_stem(found: Mapping[str, str]) -> str:
    """The beginning of the client tokens for launches of instances with these tags."""
    return digest([found.get(tags.STACK, ""), found.get(tags.LAUNCH) or found.get(tags.ADDRESS, "")], 24)


def primary_interface(row: Row) -> Row:
    """An instance's primary network interface; empty where AWS shows none."""
    return next(
        (item for item in row.get("NetworkInterfaces", ()) if (item.get("Attachment") or {}).get("DeviceIndex") == 0),
        {},
    )


def launched_at(row: Row) -> tuple[Any, Any]:
    """When an instance was launched, to be compared: a start after a stop changes its LaunchTime, but not the attachment of its primary
    network interface (DescribeInstances)."""
    attachment = primary_interface(row).get("Attachment") or {}
    return attachment.get("AttachTime", row["LaunchTime"]), row["LaunchTime"]
