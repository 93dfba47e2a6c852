"""What can be said otherwise in any spec, out of the schemas: no kind and no property is named here.

A change is one declared property with another value, or none; an entry more or less; another name of one; or an item that goes from one
list to another.
"""

from __future__ import annotations

import copy
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from alb_reconcile.kinds import load_kinds
from alb_reconcile.spec.schema import SECTIONS, resolved
from tests.harness import Spec, load
from tests.kinds.example import example_of, place_of, references
from tests.properties.examples import PROTECTION, loads
from tests.properties.scene import SHAPES

if TYPE_CHECKING:
    from random import Random

Path = tuple[Any, ...]
MOST = 70
"""Resources of a spec: a larger one shows no more, and takes longer."""
_ID = re.compile("[a-z0-9-]+-[0-9a-f]{8,17}$")
TRIES = 60
"""Of so many changes one has been valid so far."""


@dataclass(frozen=True)
class Change:
    """Something that is said otherwise: which kind of property, where, and what (None is nothing). `to` is a list that gets what a
    place no longer has."""

    what: str
    path: Path
    value: Any
    renames: bool = False
    to: Path = ()

    def made(self, spec: Spec) -> Spec:
        """The spec with it. Raises LookupError, TypeError where there is no such place."""
        result = copy.deepcopy(spec)
        *above, last = self.path
        holder = place_of(result, above)
        if self.renames:
            return _renamed(result, self.path, self.value)
        if self.to:
            place_of(result, self.to).append(copy.deepcopy(holder[last]))
        if self.value is None:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(self.value)
        return result

    def is_possible(self, spec: Spec) -> bool:
        """Whether the spec has that place, and is valid with it."""
        try:
            return loads(self.made(spec))
        except (LookupError, TypeError, AttributeError):
            return False

    def __str__(self) -> str:
        place = ".".join(map(str, self.path))
        said = "is left out" if self.value is None else json.dumps(self.value)
        said += f", and is in {'.'.join(map(str, self.to))}" if self.to else ""
        return f"{place} is called {self.value}" if self.renames else f"{place}: {said}"


@dataclass(frozen=True)
class Place:
    """Where a spec says something, or could: `given` is what, `schema` what of it there can be."""

    what: str
    path: Path
    schema: Mapping[str, Any]
    given: Any
    is_entry: bool = False

    @property
    def kind(self) -> str:
        """Whose property it is."""
        return re.split(r"\W", self.what)[0]


def places(spec: Spec) -> Iterator[Place]:
    """All there are."""
    for key, schema in resolved("stack")["properties"].items():
        if key in SECTIONS:
            yield from _within(schema, spec.get(key), (key,), SECTIONS[key])


def _missing(spec: Spec) -> Iterator[Place]:
    """The sections that it could have, and has not."""
    for key, schema in resolved("stack")["properties"].items():
        if key in SECTIONS and not spec.get(key):
            yield Place(SECTIONS[key], (key,), schema["additionalProperties"], None)


def _within(schema: Mapping[str, Any], given: Any, path: Path, what: str) -> Iterator[Place]:
    if not schema.keys() - {"description"}:
        return  # somebody else's words, such as a statement of a policy: others, but not a part of them
    if isinstance(given, dict):
        known = dict(schema.get("properties", {}))
        for part in schema.get("allOf", ()):
            known |= part.get("properties", {})
        known = {key: {} for key in schema.get("propertyNames", {}).get("enum", ())} | known
        others = schema.get("additionalProperties") or {}
        for key in dict.fromkeys([*known, *given]):
            if key == PROTECTION:
                continue
            below, name = known.get(key, others), f"{what}.{key}" if key in known else what
            is_entry = key not in known and bool(others.get("properties"))
            if key in SECTIONS and key in known and "additionalProperties" in below:
                yield from _within(below, given.get(key), (*path, key), SECTIONS[key])
                continue
            yield Place(name, (*path, key), below, given.get(key), is_entry)
            yield from _within(below, given.get(key), (*path, key), name)
    elif isinstance(given, list):
        for index, item in enumerate(given):
            yield Place(f"{what}[]", (*path, index), schema.get("items", {}), item)
            yield from _within(schema.get("items", {}), item, (*path, index), f"{what}[]")


@cache
def _pool() -> Mapping[str, list[Any]]:
    """What examples, shapes and the kinds' own changes say, by what it is said of."""
    found: dict[str, list[Any]] = defaultdict(list)
    specs = [example_of(kind).spec for kind in load_kinds()] + [make() for make in SHAPES.values()]
    for kind in load_kinds():
        example = example_of(kind)
        for address, path, value in example.every_change:
            changed = example.with_change(address, path, value)
            if loads(changed):
                specs.append(changed)
    for spec in specs:
        for place in places(spec):
            if place.given is not None and place.given not in found[place.what]:
                found[place.what].append(place.given)
        for section in (key for key in spec if key in SECTIONS):
            entries = {
                name: {key: item for key, item in entry.items() if key != PROTECTION}
                for name, entry in spec[section].items()
            }
            if entries not in found[section]:
                found[section].append(entries)
    return found


def draw_change(random: Random, spec: Spec) -> Change:
    """Something that can be said otherwise, so that it is still a valid spec: of any kind, whether the spec has it or not, as likely
    as of another, and of any property."""
    by_kind: dict[str, dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
    for place in (*places(spec), *_missing(spec)):
        by_kind[place.kind][place.what].append(place)
    for _ in range(TRIES):
        kind = random.choice(sorted(by_kind))
        what = random.choice(sorted(by_kind[kind]))
        place = random.choice(by_kind[kind][what])
        options = list((_first if len(place.path) == 1 else _options)(random, spec, place))
        if not options:
            continue
        change = random.choice(options)
        after = change.made(spec)
        if after != spec and loads(after) and len(load(after).desired) <= MOST:
            return change
    raise AssertionError(f"nothing can be said otherwise in {TRIES} tries")


def _first(random: Random, spec: Spec, place: Place) -> Iterator[Change]:
    """A whole section, of which one entry may need another, such as an endpoint of S3 a gateway's; or one entry of it, if all
    don't fit in."""

    def say(entries: Mapping[str, Any]) -> Change:
        found = {name: _at_home(random, spec, entry, place.schema) for name, entry in entries.items()}
        return Change(place.what, place.path, found)

    section = random.choice(_pool()[place.path[0]])
    whole = say(section)
    if loads(whole.made(spec)):
        yield whole
    else:
        yield from (say({_free({}): entry}) for entry in section.values())


def _options(random: Random, spec: Spec, place: Place) -> Iterator[Change]:
    def say(value: Any, path: Path = place.path) -> Change:
        return Change(place.what, path, value)

    given, schema = place.given, place.schema
    if given is not None:
        yield say(None)
    yield from _moves(spec, place)
    if place.is_entry:
        above = place.path[:-1]
        if random.randrange(2):  # each of them needs a `move`
            yield Change(place.what, place.path, _free(place_of(spec, above)), renames=True)
        yield say(varied(random, spec, place), (*above, _free(place_of(spec, above))))
        return
    types = schema.get("type", ())
    yield from map(say, schema.get("enum", ()))
    if "boolean" in types:
        yield from map(say, (True, False))
    if "integer" in types:
        least, most = schema.get("minimum", 0), schema.get("maximum", 99)
        near = (given - 1, given + 1) if isinstance(given, int) else (least,)
        yield from (say(number) for number in near if least <= number <= most)
    if "x-refers" in schema:
        yield from map(say, spec.get(load_kinds()[schema["x-refers"]].section, {}))
    if isinstance(given, list):
        items = _pool().get(f"{place.what}[]", [])
        if "x-refers" in schema.get("items", {}):
            items = list(spec.get(load_kinds()[schema["items"]["x-refers"]].section, {}))
        for item in items:
            yield say([*given, _at_home(random, spec, item, schema.get("items", {}))])
    yield from (say(_at_home(random, spec, value, schema)) for value in _of_others(random, spec, place.what))


def _of_others(random: Random, spec: Spec, what: str) -> Iterator[Any]:
    """What other specs say there. Of their networks' ids not all: most of those nobody can have here."""
    said = json.dumps(spec)
    for value in _pool().get(what, ()):
        is_strange = isinstance(value, str) and _ID.match(value) and value not in said
        if not is_strange or random.randrange(3) == 0:
            yield value


def _moves(spec: Spec, place: Place) -> Iterator[Change]:
    """An item of a list to another list of the same sort."""
    if place.given is None or not isinstance(place.path[-1], int):
        return
    for other in places(spec):
        is_like = f"{other.what}[]" == place.what and other.path != place.path[:-1]
        if is_like and isinstance(other.given, list) and place.given not in other.given:
            yield Change(place.what, place.path, None, to=other.path)


def _free(entries: Mapping[str, Any]) -> str:
    return next(name for name in ("new", "newer", "newest", *(f"new-{n}" for n in range(9))) if name not in entries)


def varied(random: Random, spec: Spec, place: Place) -> Any:
    """An entry like that one, of which something is said otherwise: what two can't have alike, for one."""
    entry = copy.deepcopy(place.given)
    within = [item for item in _within(place.schema, entry, (), place.what) if item.path]
    for item in random.sample(within, min(len(within), 2)):
        options = [] if item.is_entry else list(_options(random, spec, item))
        if options:
            with suppress(LookupError, TypeError):  # what the first has taken out, or said in another form
                entry = random.choice(options).made(entry)
    return entry


def _at_home(random: Random, spec: Spec, value: Any, schema: Mapping[str, Any]) -> Any:
    """A value from another spec, in which names of its entries become names of this one's, and ids that this one doesn't say, too:
    what they are of is in another VPC."""
    said = json.dumps(spec)
    holder: Spec = {"": copy.deepcopy(value)}
    for path, kind in references(value, schema):
        *above, last = ("", *path)
        names = list(spec.get(load_kinds()[kind].section, {}))
        place = place_of(holder, above)
        if (
            names
            and re.fullmatch("[a-z][a-z0-9-]*", place[last])
            and not (_ID.match(place[last]) and place[last] in said)
        ):
            place[last] = random.choice(names)
    return holder[""]


def _renamed(spec: Spec, path: Path, name: str) -> Spec:
    """The entry under another name, and so in whatever refers to it."""
    *above, old = path
    kind = SECTIONS.get(above[-1])  # none of what is only part of an entry, such as its volumes
    for (*parents, last), referred in references(spec, resolved("stack")):
        holder = place_of(spec, parents)
        if (referred, holder[last]) == (kind, old):
            holder[last] = name
    siblings = place_of(spec, above)
    siblings[name] = siblings.pop(old)
    return spec
