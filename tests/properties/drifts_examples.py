"""What somebody can do by hand to a kind, whichever it is: every property that its `EXAMPLE` changes, and its deletion."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Protected
from alb_reconcile.model.resource import field_names
from tests.kinds import behind
from tests.kinds.example import example_of, path_in_spec, path_of, place_of, put
from tests.properties.examples import loads
from tests.properties.scene import Deed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.model.resource import Observed
    from tests.harness import Spec
    from tests.properties.scene import Scene


def properties(scene: Scene) -> Iterator[Deed]:
    """Properties that the spec declares, each with another value."""
    return (deed for deed in _changes(scene) if deed.shown_at)


def unmanaged(scene: Scene) -> Iterator[Deed]:
    """Those that it leaves out."""
    return (deed for deed in _changes(scene) if not deed.shown_at)


def _changes(scene: Scene) -> Iterator[Deed]:
    for item in scene.found:
        wish = scene.desired.get(item.address)
        entry = _path_in(scene, item) if wish else ()
        said = place_of(scene.spec, entry)
        for path, values in _values(item.address.kind).items() if wish else ():
            others = tuple(value for value in values if value != _said(said, path))
            act = partial(_change, scene, item, entry, path, others)
            yield Deed(f"{item.address} {path}", act, _shown_at(item) if _is_managed(wish and wish.state, path) else ())


def _path_in(scene: Scene, item: Observed) -> tuple[str, ...]:
    """Where its entry stands; found in what was loaded once."""
    wish = scene.desired[item.address]
    return path_in_spec(str(wish.carrier or wish.address))


def _is_managed(state: Any, path: str) -> bool:
    name, _, key = path.partition(".")
    value = getattr(state, name)
    return value.get(key) is not None if key and isinstance(value, Mapping) else value is not None


def removals(scene: Scene) -> Iterator[Deed]:
    """What nothing needs, deleted as its kind does that."""
    for item in scene.found:
        if wish := scene.desired.get(item.address):
            act = partial(behind.delete, scene.account, scene.spec, str(item.address))
            # of rules of which the spec declares none, there is nothing to miss; of an entry that says nothing there is
            names = [name for name in field_names(type(wish.state)) if name != wish.state.parent]
            is_missed = not wish.state.parent or any(getattr(wish.state, name) for name in names)
            yield Deed(f"{item.address} is deleted", act, _shown_at(item) if is_missed else ())


def _shown_at(item: Observed) -> tuple[str, ...]:
    """An order of members is a step of its own."""
    return (
        str(item.address),
        f"{item.address.kind}_",
        *(f"{kind}." for kind in load_kinds() if item.state.parent == kind),
    )


@cache
def _values(name: str) -> dict[str, list[Any]]:
    """By path, the values that the example of a kind has for it."""
    kind, example = load_kinds()[name], example_of(name)
    found: dict[str, list[Any]] = {}
    for address, path, value in example.every_change:
        if isinstance(kind, Protected) and path in kind.protections:
            continue  # nobody switches that off unattended
        own = _said(place_of(example.spec, path_of(example.spec, address)), path)
        found.setdefault(path, []).extend(item for item in (value, own) if item is not None)
    return found


def _said(entry: Spec, path: str) -> Any:
    name, _, key = path.partition(".")
    inner, _, below = key.partition(".")
    place = entry.get(name)
    if not key or not isinstance(place, dict):
        return place
    if below and isinstance(place.get(inner), dict):
        return place[inner].get(below)
    return place.get(key)


def _change(scene: Scene, item: Observed, entry: tuple[str, ...], path: str, values: tuple[Any, ...]) -> None:
    """Let it have the first of these values that is valid there. Raises LookupError where none is."""
    for value in values:
        spec = copy.deepcopy(scene.spec)
        put(place_of(spec, entry), path, copy.deepcopy(value))
        if loads(spec):
            behind.change(scene.account, spec, str(item.address), path)
            scene.account.clock.advance(example_of(item.address.kind).rest)
            return
    raise LookupError(f"no other value of {path}")
