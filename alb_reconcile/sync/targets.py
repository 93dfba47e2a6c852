"""Finds the stacks that a `sync` works on: files, folders and patterns, and the specs in them."""

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import ReconcileError, SpecError, UnreachableError, UsageError
from alb_reconcile.model.nodes import shorten
from alb_reconcile.model.policy import Policy
from alb_reconcile.spec.stack import Stack

_ENDINGS: Final = (".yaml", ".yml")


@dataclass(frozen=True)
class Broken:
    """A spec that can't be used, and why, one problem a line; or another reason why a stack wasn't looked at."""

    file: str
    text: str
    is_spec: bool = True


@dataclass(frozen=True)
class Targets:
    """The stacks of one round."""

    stacks: tuple[DesiredStack, ...]
    broken: tuple[Broken, ...] = ()


def find_specs(places: Sequence[str]) -> list[str]:
    """The spec files that files, folders (their *.yaml and *.yml, not those of folders in them) and patterns name.

    Each file once, in the order in which the files were named. Raises UsageError where a place names no file.
    """
    files: dict[str, str] = {}
    for place in places:
        for file in _find(place):
            files.setdefault(os.path.realpath(file), file)
    return list(files.values())


def _find(place: str) -> list[str]:
    try:
        return _files_of(place)
    except (OSError, RuntimeError, ValueError) as error:  # an unreadable folder, a circle of links, a name too long
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{shorten(place)} can't be read: {reason.lower()}; correct it, or name specs") from None


def _files_of(place: str) -> list[str]:
    path = Path(place)
    if path.is_dir():
        found = sorted(
            str(item) for item in path.iterdir()
            if item.suffix in _ENDINGS and not item.name.startswith(".") and item.is_file()
        )  # fmt: skip
        if not found:
            raise UsageError(
                f"there is no *.yaml or *.yml in the folder {shorten(place)}; name a spec, or a folder of specs"
            )
        return found
    if glob.has_magic(place) and not path.exists():
        found = sorted(file for file in glob.glob(place, recursive=True) if Path(file).is_file())  # noqa: PTH207 (a pattern may begin at the root)
        if not found:
            raise UsageError(f"no file matches {shorten(place)}; correct the pattern, or name specs")
        return found
    if path.suffix not in _ENDINGS and not path.exists():
        kind = "folder" if place.endswith("/") else "file or folder"
        raise UsageError(f"there is no {kind} {shorten(place)}; name a spec, or a folder of specs")
    return [place]  # the loader reports whether the file can be read


def load_targets(
    places: Sequence[str], load: Callable[[str], Stack | None], load_policy: Callable[[], Policy]
) -> Targets:
    """Load the stacks as they are now: since the first round some specs may have been removed or broken.

    `load` reads one spec (None: the spec isn't meant for this run); `load_policy` reads the policy that counts for all specs, in
    addition to their own.
    """
    files: dict[str, None] = {}
    lost: list[Broken] = []
    for place in places:
        try:
            files |= dict.fromkeys(find_specs([place]))
        except UsageError as error:
            lost.append(Broken(place, str(error)))
    try:
        further = load_policy()
    except SpecError as error:
        return Targets((), (*lost, Broken(error.file, str(error))))
    found = _load(find_specs(list(files)), load, further)
    return replace(found, broken=(*lost, *found.broken))


def _load(files: Iterable[str], load: Callable[[str], Stack | None], further: Policy) -> Targets:
    """All specs that can be used, and those that can't: broken specs, and all specs that claim the same stack."""
    loaded: list[Stack] = []
    broken: list[Broken] = []
    for file in files:
        try:
            stack = load(file)
        except ReconcileError as error:
            broken.append(Broken(file, str(error), is_spec=not isinstance(error, UnreachableError)))
        else:
            if stack is not None:
                loaded.append(replace(stack, policy=stack.policy.tighten(further)))
    claims: dict[tuple[str, str | None], list[str]] = {}
    for stack in loaded:
        claims.setdefault((stack.name, stack.region), []).append(stack.file)
    targets = []
    for stack in loaded:
        others = [other for other in claims[stack.name, stack.region] if other != stack.file]
        if others:
            line, column = stack.place
            broken.append(
                Broken(
                    stack.file,
                    f'{stack.file}:{line}:{column}: stack: "{stack.name}" is also the stack of {", ".join(others)}, and none of '
                    "these files is used; one stack is one file: rename or merge",
                )
            )
        else:
            targets.append(stack.target())
    return Targets(tuple(targets), tuple(broken))
