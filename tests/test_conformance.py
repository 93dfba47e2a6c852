"""Kinds, schemas and dataclasses hold to each other."""

from __future__ import annotations

import dataclasses
import gzip
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore
import pytest
from jsonschema import Draft202012Validator

from alb_reconcile.aws import shapes
from alb_reconcile.aws.tagging import service_named
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind, Grouped, Kind
from alb_reconcile.kinds.plain import PlainKind
from alb_reconcile.model import service
from alb_reconcile.model.resource import Lifecycle, Properties, field_names
from alb_reconcile.sandbox import allowed_services
from alb_reconcile.spec import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
KINDS = load_kinds()
MEMBERS = {name for name, kind in KINDS.items() if not kind.section}
"""Kinds without an entry of their own: they have no tags, and no life without their entry."""
NESTED = {name for name, kind in KINDS.items() if kind.section and kind.properties.parent}
"""Kinds whose entries stand in another kind's."""
SHORT = "https"
"""The short form of entries, whose keys are theirs."""
HANDLING = {item.name for item in dataclasses.fields(Lifecycle)} | {"others", SHORT}
"""Keys that say how a resource is handled, and nothing that AWS knows."""


PARTS = sorted(
    {part for kind in KINDS.values() for part in kind.properties.__mro__ if part.__module__ == service.__name__},
    key=str,
)
"""What kinds play in a service."""


class Property(NamedTuple):
    """A property of a schema, at any depth."""

    kind: str
    path: tuple[str, ...]
    schema: dict[str, Any]

    def __str__(self) -> str:
        return ".".join([self.kind, *self.path])


def properties(found: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every property of a schema, at any depth, by its path."""
    for name, item in found.get("properties", {}).items():
        yield (*path, name), item
        if "x-lookup" not in item:  # what leads to a resource is no property of this one
            yield from properties(item, (*path, name))
    for below in (found.get("items"), found.get("additionalProperties")):
        if isinstance(below, dict) and {"title", "x-lookup"}.isdisjoint(below):  # a kind of its own is tested by itself
            yield from properties(below, path)


ALL = [Property(kind, path, item) for kind in ["stack", *KINDS] for path, item in properties(schema.resolved(kind))]


def keys_of(name: str) -> dict[str, dict[str, Any]]:
    """What an entry of a kind may say."""
    found: dict[str, dict[str, Any]] = schema.resolved(name)["properties"]
    return found


def fields_of(name: str) -> dict[str, dataclasses.Field[Any]]:
    """A kind's properties."""
    return {item.name: item for item in dataclasses.fields(KINDS[name].properties)}


def unsaid(name: str) -> set[str]:
    """The properties that the place in the file says: the parent of what nests, the parts of a registration; or that others say."""
    kind = KINDS[name].properties
    parent = {str(kind.parent)} - {"None"}
    place = (parent | set(kind.replaced_on)) - keys_of(name).keys() if name in MEMBERS else parent
    return place | kind.said_elsewhere


def children_of(name: str) -> set[str]:
    """The sections inside of an entry."""
    return {KINDS[child].section for child in NESTED if KINDS[child].properties.parent == name}


def members_of(name: str) -> set[str]:
    """The keys of an entry that describe members: each is another schema's."""
    file = schema.load_schemas()[f"{name}.schema.json"]["properties"]
    return {
        key
        for key, item in file.items()
        for member in MEMBERS
        if item.get("$ref") == f"{member}.schema.json#/properties/{key}"
    }


def own_keys(name: str) -> set[str]:
    """The keys of an entry for which AWS has no term."""
    return {*HANDLING, *children_of(name), "count"} - fields_of(name).keys()


def consumed(name: str) -> set[str]:
    """The keys of an entry that become tags, other resources or what is done with it, and no property."""
    keys = keys_of(name)
    said = {keys[field].get("x-aws") for field in fields_of(name) if field in keys}
    return {
        key
        for key, item in keys.items()
        if key in own_keys(name) | members_of(name) | {"tags"}
        or item.get("x-aws") == "Tag Name"
        or item.get("x-aws") in said  # another way to say a property
        or item.get("x-secret")  # which is no property, so that nothing shows it
    }


def test_one_schema_a_kind() -> None:
    files = {name.removesuffix(".schema.json") for name in schema.load_schemas()}
    assert files == {*KINDS, "stack", "common"}


def test_a_kinds_folder_has_what_it_offers() -> None:
    rooms = [import_module(f"alb_reconcile.kinds.{name}") for name in KINDS]
    assert {
        f"{room.__name__}.{name}" for room in rooms for name in getattr(room, "__all__", ()) if not hasattr(room, name)
    } == set()


def test_one_section_a_kind() -> None:
    """Sections are plurals; what nests has one too, for `explain`."""
    assert set(schema.SECTIONS.values()) | MEMBERS == set(KINDS)
    assert all(section == f"{kind}s" for section, kind in schema.SECTIONS.items())
    top = {key for key, item in schema.resolved("stack")["properties"].items() if "additionalProperties" in item}
    assert top - {"tags", "policy", "security", "sync"} == {
        KINDS[kind].section for kind in KINDS.keys() - MEMBERS - NESTED
    }


def test_what_has_no_section_is_described_in_somebodys_entry() -> None:
    described = {name: members_of(name) for name in KINDS}
    for name in MEMBERS:
        assert any(keys_of(name).keys() <= keys for keys in described.values()), name


def test_a_kind_is_what_its_module_says() -> None:
    assert [text for name in KINDS for text in faults_of(name, KINDS[name])] == []


def faults_of(name: str, kind: AnyKind) -> Iterator[str]:
    """What isn't in order with a kind's own facts."""
    state, fields = kind.properties, fields_of(name).keys()
    rules = {
        "it is a Kind of Properties": isinstance(kind, Kind) and issubclass(state, Properties),
        "it has its module's name": type(kind).__module__.removesuffix(".kind")
        == f"{Kind.__module__.rpartition('.')[0]}.{name}",
        "its name is the same": kind.name == name == state.kind,
        "both of its classes say what they are": bool(type(kind).__doc__ and state.__doc__),
        "it has an article": kind.noun.startswith(("a ", "an ")),
        "what replaces it are properties": {path.partition(".")[0] for path in state.replaced_on} <= fields,
        "its parent is one": state.parent is None or state.parent in fields,
        "what is removed late are properties": set(state.removed_late) <= fields,
        "it follows kinds": set(state.follows) <= KINDS.keys(),
        "kinds tell of it": set(kind.recognized_after) <= KINDS.keys(),
        "it has tags and a section, or none": bool(kind.section) == bool(state.service),
        "an id or an ARN names it": (bool(kind.id_prefix), bool(kind.arn_type))
        == (state.service == "ec2", "TYPE" in service_named(state.service).ids if state.service else False),
        "the sandbox answers for its service (SERVICES in sandbox/allowed_services.py)": state.service
        in {"", *allowed_services.SERVICES.values()},
        "EC2 lists it": (kind.listing is not None) == (state.service == "ec2"),
        "what it refers to comes first": all(
            KINDS[part["x-refers"]].position <= kind.position
            for item in ALL
            for part in (item.schema, item.schema.get("items", {}))
            if item.kind == name and "x-refers" in part
        ),
    }
    yield from (f"{name}: not so that {rule}" for rule, holds in rules.items() if not holds)


def test_what_can_be_written_is_built_and_what_is_built_can_be_written() -> None:
    wrong = {}
    for name in KINDS:
        keys, fields = keys_of(name).keys(), fields_of(name).keys()
        if name in MEMBERS:  # its keys are those of somebody's entry
            wrong[name] = (fields - keys) ^ unsaid(name)
        else:
            wrong[name] = ((fields - keys) ^ unsaid(name)) | (keys - fields - consumed(name)) | (needed(name) - keys)
    assert {name: found for name, found in wrong.items() if found} == {}


def needed(name: str) -> set[str]:
    """The keys that an entry of a kind must have beside its properties."""
    kind = KINDS[name]
    found = {"tags", "prevent_destroy"} | children_of(name)
    if kind.properties.service == "ec2":
        found.add("name")
    if isinstance(kind, Grouped):
        found.add("count")
    lists = any(keys_of(name)[key]["type"] == "array" for key in members_of(name))
    if children_of(name) or lists or hasattr(kind.properties, "with_others"):
        found.add("others")  # which somebody else may have put there
    return found


def test_what_the_schema_requires_the_dataclass_requires() -> None:
    """A key that may be left out is a field that may be None."""
    wrong = [
        f"{name}.{key}"
        for name in KINDS
        for key, field in fields_of(name).items()
        if key not in {"vpc", "image_id", *unsaid(name)}  # which image says as well
        and (field.default is dataclasses.MISSING) != (key in schema.resolved(name).get("required", ()))
    ]
    assert wrong == []


def test_schemas_say_what_they_are() -> None:
    for name in ("stack", "common", *KINDS):
        file = schema.load_schemas()[f"{name}.schema.json"]
        assert file["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert file["$id"] == f"{name}.schema.json"
        assert file["title"], name
        if name != "common":
            assert file["description"].endswith("."), name
            assert file["additionalProperties"] is False, name


def test_each_pattern_has_words_and_is_of_the_whole_text() -> None:
    wrong = []
    for item in ALL:
        below = (item.schema.get(key, {}) for key in ("items", "propertyNames", "additionalProperties"))
        for part in (item.schema, *below):
            if isinstance(part, dict) and "pattern" in part:
                whole = part["pattern"].startswith("^") and part["pattern"].endswith("$")
                wrong += [] if whole and part.get("x-expect") else [str(item)]
    assert wrong == []


def test_a_plain_kind_calls_what_aws_has() -> None:
    assert [text for kind in KINDS.values() if isinstance(kind, PlainKind) for text in faults_of_calls(kind)] == []


def faults_of_calls(kind: PlainKind[Any]) -> Iterator[str]:
    """What AWS doesn't have of what a plain kind, or its schema's `x-aws`, says."""
    try:
        own = kind.setters["name"][1]
    except ValueError as error:
        yield str(error)
        return
    describe, create, delete = map(kind.operation, ("Describe", "Create", "Delete"))
    wanted = [
        *((f"x-aws of {field}", setter, {member, own}) for field, (setter, member) in kind.setters.items()),
        *((f"unset of {field}", setter, {own}) for field, setter in kind.unset.items()),
        ("prefix", describe, {kind.prefix} - {""}),
        ("operations", delete, {own}),
    ]
    for where, operation, members in wanted:
        try:
            for member in sorted(members - shapes.parameters(kind.service, operation).keys()):
                yield f"{kind.name}: {where}: {operation} takes no {member}"
        except ValueError as error:
            yield f"{kind.name}: {where}: {error}"
    try:
        _, shown = shapes.list_of(kind.service, describe)
        for field, (_, member) in kind.setters.items():
            if member not in shown:
                yield f"{kind.name}: x-aws of {field}: {describe} shows no {member}"
        shapes.tags_for(kind.service, create, {})
        for operation in ("TagResource", "UntagResource", "ListTagsForResource"):
            shapes.of_resource(kind.service, operation, "")
    except ValueError as error:
        yield f"{kind.name}: {error}"
    if unknown := sorted(kind.unset.keys() - kind.setters.keys()):
        yield f"{kind.name}: unset: it has no {', '.join(unknown)}"
    if kind.properties.replaced_on != {"name"} and hasattr(kind.properties, "name"):
        yield f"{kind.name}: what is replaced for more than its name needs the name said: name: str, and required in the schema"


@cache
def model(service: str) -> dict[str, Any]:
    """A service's model in botocore."""
    file = max((Path(botocore.__file__).parent / "data" / service).glob("*/service-2.json*"))
    data = file.read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
    return found


def test_defaults_fit() -> None:
    """A default is a value that could be written."""
    given = [item for item in ALL if "default" in item.schema]
    assert given
    wrong = [str(item) for item in given if not Draft202012Validator(item.schema).is_valid(item.schema["default"])]
    assert wrong == []


@pytest.mark.parametrize("part", PARTS)
def test_a_kind_has_all_that_rules_ask_of_its_part(part: type[Properties]) -> None:
    """The type checker doesn't ask for fields that a base class only announces."""
    asked = set(part.__annotations__) | {name for name in vars(part) if not name.startswith("_")}
    for kind in (kind.properties for kind in KINDS.values() if issubclass(kind.properties, part)):
        fields = set(field_names(kind))
        lacking = {name for name in set(part.__annotations__) if name not in fields}
        unsaid = {name for name in asked - fields if _is_left_open(getattr(kind, name, None))}
        assert not lacking | unsaid, f"{kind.kind} is a {part.__name__} without {sorted(lacking | unsaid)}"


def _is_left_open(member: object) -> bool:
    """Whether a method or property is still the one of the part, which raises."""
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    return "NotImplementedError" in getattr(getattr(function, "__code__", None), "co_names", ())
