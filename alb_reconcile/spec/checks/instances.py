"""Instance groups: where they go, what they run, how they are replaced."""

from contextlib import suppress
from typing import Any, Final

from alb_reconcile.spec.document import shorten
from alb_reconcile.spec.outline import Outline

MAX_RESOURCES: Final = 10_000
MAX_USER_DATA: Final = 16_384
"""Bytes before base64 (EC2 user guide, "Run commands at launch": 16 KB)."""


def check(outline: Outline) -> None:
    """Report instance groups that AWS would refuse or that can't be rolled."""
    for name, entry in outline.entries("instances").items():
        _check_placement(outline, name, entry)
        _check_user_data(outline, name, entry)
        _check_rollout(outline, name, entry)
    _check_size(outline)


def _check_size(outline: Outline) -> None:
    counts = {name: entry.get("count", 1) for name, entry in outline.entries("instances").items()}
    targets = [entry.get("targets") or () for entry in outline.entries("target_groups").values()]
    total = sum(counts.values()) + sum(counts.get(target, 1) for group in targets for target in group)
    if total > MAX_RESOURCES:
        outline.error(
            ("instances",),
            f"these are {total:,} instances and registrations, more than {MAX_RESOURCES:,}; split them into several stacks",
            at_key=True,
        )


def _check_placement(outline: Outline, name: str, entry: dict[str, Any]) -> None:
    vpcs = {vpc for subnet in outline.own(entry.get("subnets")) if (vpc := outline.vpc_of("subnets", subnet))}
    if len(vpcs) > 1:
        outline.error(
            ("instances", name, "subnets"),
            f"these are in different VPCs ({', '.join(sorted(vpcs))}); choose subnets of one",
        )
    if len(entry.get("security_groups") or ()) > 5:
        outline.error(
            ("instances", name, "security_groups"), "these are more than AWS's quota of 5 for an interface; merge some"
        )


def _check_user_data(outline: Outline, name: str, entry: dict[str, Any]) -> None:
    if "user_data" in entry and "user_data_file" in entry:
        outline.error(("instances", name, "user_data_file"), "user_data is given too; keep one of them", at_key=True)
    if "user_data" in entry and len(entry["user_data"].encode()) > MAX_USER_DATA:
        outline.error(
            ("instances", name, "user_data"),
            f"is {len(entry['user_data'].encode()):,} bytes; AWS takes at most {MAX_USER_DATA:,}: fetch the rest at boot",
        )
    if "user_data_file" not in entry:
        return
    path = ("instances", name, "user_data_file")
    name_of_file = shorten(entry["user_data_file"])
    try:
        file = (outline.folder / entry["user_data_file"]).resolve()
        if not file.is_relative_to(outline.folder.resolve()):
            outline.error(
                path, f"{name_of_file} is outside the spec's folder; put the file next to the spec or below it"
            )
        elif not file.is_file():
            with suppress(FileNotFoundError, NotADirectoryError):
                file.stat()  # a loop of symlinks, from 3.13 on
            outline.error(
                path,
                f"there is no file {name_of_file} in {outline.folder}; correct the name (it is relative to the spec)",
            )
        elif (size := file.stat().st_size) > MAX_USER_DATA:
            outline.error(
                path, f"{name_of_file} is {size:,} bytes; AWS takes at most {MAX_USER_DATA:,}: fetch the rest at boot"
            )
        else:
            file.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of symlinks, before 3.13
        reason = "its name has a NUL character" if isinstance(error, ValueError) else str(error)
        outline.error(path, f"can't be read: {getattr(error, 'strerror', None) or reason}; give it a file that can")


def _check_rollout(outline: Outline, name: str, entry: dict[str, Any]) -> None:
    rollout = entry.get("rollout") or {}
    written = outline.given(("instances", name, "rollout"))
    unavailable = rollout.get("max_unavailable", 1 if "max_unavailable" in written else 0)
    if rollout.get("max_surge") == 0 and unavailable == 0:
        outline.error(
            ("instances", name, "rollout"),
            "with max_surge 0 and max_unavailable 0 nothing could ever be replaced; raise one of them",
        )
    if entry.get("type_change") == "in-place" and unavailable == 0:
        outline.error(
            ("instances", name, "type_change"),
            "in-place stops instances, so rollout.max_unavailable must be 1 or more; set it, or choose replace",
        )
