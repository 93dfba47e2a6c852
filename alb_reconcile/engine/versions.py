"""Pins the versions of what user data names, an artifact and secrets, before the stack is read (ADR 28)."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Pinned
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.resource import Desired

_Versions = Mapping[str, str]
_MOST: Final = 256
"""The most characters of a tag's value, which keeps a version."""


async def pin_versions(aws: Aws, target: DesiredStack) -> DesiredStack:
    """The stack with the newest versions, or, if it `keeps_versions`, with those that the newest running instance of each entry has, where one
    runs. Asks nothing of AWS where no entry names anything that has versions.

    Raises RefusedError, with the place, where there is no version; AwsError.
    """
    named: dict[str, list[Desired]] = {}
    for item in target.desired.values():
        if isinstance(has := load_kinds()[item.address.kind], Pinned) and has.places_of(item.state):
            named.setdefault(item.lifecycle.group or item.address.name, []).append(item)
    if not named:
        return target
    running = await _read_running(aws, target.stack, named.values()) if target.keeps_versions else {}
    newest = await _read_newest(aws, [items[0] for items in named.values()])
    desired: dict[Address, Desired] = dict(target.desired)
    remarks: list[str] = []
    problems: list[str] = []
    for group, items in named.items():
        kind = _kind_of(items[0])
        versions: dict[str, str] = {}
        for name, place in kind.places_of(items[0].state).items():
            version, problem = newest[place]
            old = running.get(group, {}).get(name, "")
            if old and version != old and not (version and kind.takes_new(items[0].state, name)):
                told = f"has version {version} now" if version else f"can't be had any more ({problem})"
                remarks.append(
                    f"{place} {told}; the instances of {group} keep version {old}, until apply takes the new one"
                )
                version, problem = old, ""
            if len(version) > _MOST:
                problem = f"{place} has a version of {len(version)} characters, and the tag that keeps it takes {_MOST}"
            if problem:
                problems.append(str(Finding(items[0], kind.path_of(name), problem)))
            versions[name] = version
        for item in items:
            state, creation = (kind.pinned(found, versions) for found in (item.state, item.creation))
            desired[item.address] = replace(item, state=state, creation=creation)
    if problems:
        raise RefusedError("\n".join(problems))
    return replace(target, desired=desired, remarks=(*target.remarks, *remarks))


def _kind_of(item: Desired) -> Pinned:
    kind = load_kinds()[item.address.kind]
    if not isinstance(kind, Pinned):
        raise TypeError(f"{item.address} names nothing that has versions")
    return kind


async def _read_newest(aws: Aws, items: Iterable[Desired]) -> Mapping[str, tuple[str, str]]:
    """By place: the newest version, and why there is none."""
    places = {place: _kind_of(item) for item in items for place in _kind_of(item).places_of(item.state).values()}
    answers = await asyncio.gather(*(kind.read_version(aws, place) for place, kind in places.items()))
    return dict(zip(places, answers, strict=True))


async def _read_running(aws: Aws, stack: str, groups: Iterable[list[Desired]]) -> Mapping[str, _Versions]:
    """By entry: the versions that its newest running resource has, by name."""
    kinds = {items[0].address.kind: _kind_of(items[0]) for items in groups}
    answers = await asyncio.gather(*(kind.read_pinned(aws, stack) for kind in kinds.values()))
    return {group: versions for answer in answers for group, versions in answer.items()}
