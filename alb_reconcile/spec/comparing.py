"""Compares what two specs want, resource by resource, without knowing what exists."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Change, Desired, diff, field_names
from alb_reconcile.model.secrets import redact_change
from alb_reconcile.spec.stack import Stack

_HANDLING = ("prevent_destroy", "keep_others", "rollout", "image_update", "type_change", "min_healthy")


@dataclass(frozen=True)
class Difference:
    """What the new spec would do to one resource: create, update, replace or delete it."""

    action: str
    address: Address
    changes: tuple[Change, ...] = ()
    unmanaged: tuple[str, ...] = ()
    """The properties that the old spec said and the new one leaves as they are."""


def compare(old: Stack, new: Stack) -> list[Difference]:
    """The differences in the order of the specs, deletions last; without values that are secret in one of the specs."""
    found = [
        Difference("create", address) if address not in old.desired else _changed(old.desired[address], desired)
        for address, desired in new.desired.items()
    ]
    found += [Difference("delete", address) for address in reversed([*old.desired]) if address not in new.desired]
    lists = (old.secret_headers, new.secret_headers)
    headers = None if None in lists else frozenset().union(*(item for item in lists if item))
    found = [replace(item, changes=tuple(redact_change(change, headers) for change in item.changes)) for item in found]
    return [item for item in found if item.changes or item.unmanaged or item.action != "update"]


def _changed(before: Desired, after: Desired) -> Difference:
    changes = [
        *diff(after.state, before.state),
        *_of_tags(before.tags, after.tags),
        *(
            Change(name, was, now)
            for name in _HANDLING
            for was, now in [(getattr(before.lifecycle, name), getattr(after.lifecycle, name))]
            if was != now and (name != "rollout" or before.spec_digest != after.spec_digest)  # a share of another count
        ),
    ]
    fixed = after.state.replaced_on
    if after.lifecycle.type_change == "in-place":
        fixed = fixed - after.state.stopped_on
    forced = any(not fixed.isdisjoint({item.path, item.top}) for item in changes)
    return Difference("replace" if forced else "update", after.address, tuple(changes), _left(before, after))


def _of_tags(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    return [
        Change(f"tags.{key}", before.get(key), value)
        for key, value in sorted(after.items())
        if before.get(key) != value
    ]


def _left(before: Desired, after: Desired) -> tuple[str, ...]:
    found = []
    for name in field_names(type(before.state)):
        was, now = getattr(before.state, name), getattr(after.state, name, None)
        if was is not None and now is None:
            found.append(name)
        elif isinstance(was, Mapping) and isinstance(now, Mapping):
            found += [f"{name}.{key}" for key in was if key not in now]
    return (*found, *(f"tags.{key}" for key in before.tags if key not in after.tags))
