"""Instance groups: where they go, what they run."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from alb_reconcile.kinds.base import Entry
from alb_reconcile.model.address import MAX_USER_DATA
from alb_reconcile.model.files import read_file
from alb_reconcile.spec.checks.targets import targets_of
from alb_reconcile.spec.document import shorten
from alb_reconcile.spec.outline import Outline

MAX_RESOURCES: Final = 10_000
_TOO_LARGE: Final = f"AWS takes at most {MAX_USER_DATA:,}: fetch the rest at boot"


def check(outline: Outline) -> None:
    """Report instance groups that AWS would refuse."""
    for name, entry in outline.entries("instances").items():
        _check_placement(outline, name, entry)
        _check_user_data(outline, name, entry)
    _check_size(outline)


def _check_size(outline: Outline) -> None:
    counts = {name: entry.get("count", 1) for name, entry in outline.entries("instances").items()}
    targets = [target.text for group in outline.entries("target_groups") for target in targets_of(outline, group)]
    total = sum(counts.values()) + sum(counts.get(target, 1) for target in targets)
    if total > MAX_RESOURCES:
        outline.error(
            ("instances",),
            f"these are {total:,} instances and registrations, more than {MAX_RESOURCES:,}; split them into several stacks",
            at_key=True,
        )


def _check_placement(outline: Outline, name: str, entry: Entry) -> None:
    vpcs = sorted(filter(None, outline.subnet_vpcs("instances", name)))
    if len(vpcs) > 1:
        outline.error(
            ("instances", name, "subnets"), f"these are in different VPCs ({', '.join(vpcs)}); choose subnets of one"
        )
    if len(entry.get("security_groups") or ()) > 16:  # as far as AWS raises its quota of 5
        outline.error(("instances", name, "security_groups"), "AWS allows 16 at most for an interface; merge some")


def _check_user_data(outline: Outline, name: str, entry: Entry) -> None:
    file = ("instances", name, "user_data_file")
    if "user_data" in entry and "user_data_file" in entry:
        outline.error(file, "user_data is given too; keep one of them", at_key=True)
    size = len(entry.get("user_data", "").encode())
    if size > MAX_USER_DATA:
        outline.error(("instances", name, "user_data"), f"is {size:,} bytes; {_TOO_LARGE}")
    if "user_data_file" in entry and (mistake := _file_mistake(outline.folder, entry["user_data_file"])):
        outline.error(file, mistake)


def _file_mistake(folder: Path, name: str) -> str | None:
    """Why a file of user data can't be used; None if it can."""
    shown = shorten(name)
    try:
        file = (folder / name).resolve()
        if not file.is_relative_to(folder.resolve()):
            return f"{shown} is outside the spec's folder; put the file next to the spec or below it"
        if not file.is_file():
            with suppress(FileNotFoundError, NotADirectoryError):
                file.stat()  # a loop of symlinks, from 3.13 on
            return f"there is no file {shown} in {folder}; correct the name (it is relative to the spec)"
        if (size := file.stat().st_size) > MAX_USER_DATA:
            return f"{shown} is {size:,} bytes; {_TOO_LARGE}"
        read_file(file, MAX_USER_DATA)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of symlinks, before 3.13
        reason = "its name has a NUL character" if isinstance(error, ValueError) else str(error)
        return f"can't be read: {getattr(error, 'strerror', None) or reason}; give it a file that can"
    return None
