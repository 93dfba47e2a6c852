"""Kinds, schemas and dataclasses hold to each other, and the bundled schema to the single ones."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Kind
from alb_reconcile.spec import schema
from alb_reconcile.spec.build import _Builder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
KINDS = load_kinds()

STRUCTURAL = {
    "listener": {"load_balancer"},
    "registration": {"target_group", "target", "port"},
    "rule": {"listener"},
    "security_group_rules": {"security_group"},
}
"""Fields that the place in the file says: the parents of what nests, and the parts of a registration."""

CONSUMED = {
    "instance": {"count", "image_update", "name", "rollout", "type_change", "user_data_file"},
    "internet_gateway": {"name"},
    "listener": {"others", "rules"},
    "load_balancer": {"listeners", "others"},
    "registration": {"targets"},
    "route_table": {"name", "others"},
    "rule": set(),
    "security_group": {"egress", "ingress", "others"},
    "security_group_rules": set(),
    "subnet": {"name"},
    "target_group": {"min_healthy", "others", "targets"},
    "vpc": {"name"},
}
"""Keys that the builder turns into tags, lifecycle or other resources; of all but members, tags and prevent_destroy too."""

MEMBERS = {"registration", "security_group_rules"}
"""Kinds without an entry of their own: they have no tags, and no life without their entry."""

OWN_KEYS = {
    "count",
    "image_update",
    "type_change",
    "rollout",
    "min_healthy",
    "weights",
    "prevent_destroy",
    "others",
    "listeners",
    "rules",
}
OWN_BELOW = {"rollout", "weights"}
"""Keys of ours, for which AWS has no term."""


def properties(
    found: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every property of a schema, at any depth, by its path."""
    for name, item in found.get("properties", {}).items():
        yield (*path, name), item
        yield from properties(item, (*path, name))
    for below in (found.get("items"), found.get("additionalProperties")):
        if isinstance(below, dict) and "title" not in below:  # a kind of its own is tested by itself
            yield from properties(below, path)


ALL = [(kind, path, item) for kind in ["stack", *KINDS] for path, item in properties(schema.resolved(kind))]
EACH_PROPERTY = pytest.mark.parametrize(
    ("kind", "path", "item"), ALL, ids=[".".join([kind, *path]) for kind, path, _ in ALL]
)


def test_one_schema_a_kind() -> None:
    files = {name.removesuffix(".schema.json") for name in schema.load_schemas()}
    assert files == {*KINDS, "stack", "common"}


def test_one_section_a_kind() -> None:
    """Sections are plurals; what nests has one too, for `explain`."""
    assert set(schema.SECTIONS.values()) | MEMBERS == set(KINDS)
    assert all(section == f"{kind}s" for section, kind in schema.SECTIONS.items())
    top = {
        key for key, item in schema.resolved("stack")["properties"].items() if "additionalProperties" in item
    }
    assert top - {"tags", "policy", "sync"} == set(schema.SECTIONS) - {"listeners", "rules"}


def test_the_builder_knows_each_section() -> None:
    for section, kind in schema.SECTIONS.items():
        assert hasattr(_Builder, f"add_{kind}") or section in ("listeners", "rules")


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_what_its_module_says(name: str) -> None:
    kind = KINDS[name]
    assert issubclass(kind, Kind)
    assert kind.kind == name
    assert kind.__doc__
    fields = {field.name for field in dataclasses.fields(kind)}
    assert kind.replaced_on <= fields
    assert all(item in KINDS for item in kind.follows)
    assert kind.parent is None or kind.parent in fields


@pytest.mark.parametrize("name", KINDS)
def test_fields_and_properties_hold_to_each_other(name: str) -> None:
    """What can be written is built, and what is built can be written."""
    fields = {field.name for field in dataclasses.fields(KINDS[name])}
    keys = set(schema.resolved(name)["properties"])
    consumed = CONSUMED[name] | (set() if name in MEMBERS else {"tags", "prevent_destroy"})
    assert fields - keys == STRUCTURAL.get(name, set())
    assert keys - fields == consumed


def test_the_tables_name_nothing_that_is_gone() -> None:
    assert set(CONSUMED) == set(KINDS)
    assert set(STRUCTURAL) <= set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_what_the_schema_requires_the_dataclass_requires(name: str) -> None:
    """A key that may be left out is a field that may be None."""
    required = set(schema.resolved(name).get("required", ()))
    for field in dataclasses.fields(KINDS[name]):
        optional = field.default is not dataclasses.MISSING
        if field.name not in ("vpc", *STRUCTURAL.get(name, ())):
            assert optional != (field.name in required), field.name


@pytest.mark.parametrize("name", ["stack", "common", *KINDS])
def test_schemas_say_what_they_are(name: str) -> None:
    file = schema.load_schemas()[f"{name}.schema.json"]
    assert file["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert file["$id"] == f"{name}.schema.json"
    assert file["title"]
    if name != "common":
        assert file["description"].endswith(".")
        assert file["additionalProperties"] is False


@EACH_PROPERTY
def test_each_property_is_described(kind: str, path: tuple[str, ...], item: dict[str, Any]) -> None:
    """In a sentence, and with words for whatever a pattern asks for."""
    assert re.fullmatch(r"\S.*[.…]", item["description"])
    assert schema.describe_type(item) != "a value"
    for part in (
        item,
        item.get("items", {}),
        item.get("propertyNames", {}),
        item.get("additionalProperties", {}),
    ):
        if isinstance(part, dict) and "pattern" in part:
            assert part["x-expect"]
            assert part["pattern"].startswith("^")
            assert part["pattern"].endswith("$")


@EACH_PROPERTY
def test_each_property_has_awss_term(kind: str, path: tuple[str, ...], item: dict[str, Any]) -> None:
    """But those that are ours."""
    ours = kind == "stack" and path != ("tags",)
    ours = ours or path[-1] in OWN_KEYS or bool(OWN_BELOW & set(path[:-1]))
    assert ("x-aws" in item) != ours


@cache
def aws_words() -> frozenset[str]:
    """Every operation, shape and member of EC2's and ELBv2's APIs."""
    words: set[str] = set()
    for service in ("ec2", "elbv2"):
        folder = Path(botocore.__file__).parent / "data" / service
        file = max(folder.glob("*/service-2.json*"))
        data = file.read_bytes()
        model = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
        words |= model["operations"].keys() | model["shapes"].keys()
        for shape in model["shapes"].values():
            for name, member in shape.get("members", {}).items():
                words |= {name, member.get("locationName", name), member.get("queryName", name)}
    return frozenset(words)


@EACH_PROPERTY
def test_awss_terms_are_awss(kind: str, path: tuple[str, ...], item: dict[str, Any]) -> None:
    """They can be looked up: each word is in botocore's models."""
    for word in re.split(r"[ ,.]+", item.get("x-aws", "")):
        if word.endswith("…"):
            assert any(known.startswith(word[:-1]) for known in aws_words())
        elif word not in ("", "Tag", "Name"):
            assert word in aws_words()


@EACH_PROPERTY
def test_defaults_fit(kind: str, path: tuple[str, ...], item: dict[str, Any]) -> None:
    """A default is a value that could be written."""
    if "default" in item:
        assert list(Draft202012Validator(item).iter_errors(item["default"])) == []


@EACH_PROPERTY
def test_references_name_a_section(kind: str, path: tuple[str, ...], item: dict[str, Any]) -> None:
    for part in (item, item.get("items", {})):
        assert part.get("x-refers", "vpc") in schema.SECTIONS.values()


# -- the bundle


def references(found: Any) -> Iterator[str]:
    """Every $ref."""
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"]
        found = list(found.values())
    for item in found if isinstance(found, list) else ():
        yield from references(item)


def test_the_bundle_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.bundle())
    for file in schema.load_schemas().values():
        Draft202012Validator.check_schema(file)


def test_the_bundle_is_complete_in_itself() -> None:
    bundle = schema.bundle()
    found = set(references(bundle))
    assert len(found) > 20
    for reference in found:
        assert reference.startswith("#/$defs/")
        target: Any = bundle
        for part in reference[2:].split("/"):
            target = target[part]
        assert isinstance(target, dict)


def test_the_bundle_changes_nothing_that_is_loaded() -> None:
    before = json.dumps(dict(schema.load_schemas()))
    assert schema.bundle() == schema.bundle()
    schema.resolved("stack")
    assert json.dumps(dict(schema.load_schemas())) == before


@cache
def validators() -> tuple[Draft202012Validator, Draft202012Validator, Draft202012Validator]:
    """By the single files, by the bundle, and by what the loader uses."""
    resources = [(name, Resource.from_contents(file)) for name, file in schema.load_schemas().items()]
    split = Draft202012Validator(
        schema.load_schemas()["stack.schema.json"], registry=Registry().with_resources(resources)
    )
    return split, Draft202012Validator(schema.bundle()), Draft202012Validator(schema.resolved("stack"))


def documents() -> list[tuple[str, Any]]:
    """The shipped specs with their defaults put in, and the broken ones that are YAML at all."""
    found: list[tuple[str, Any]] = []
    for file in sorted([*ROOT.glob("specs/*.yaml"), *ROOT.glob("tests/spec/broken/*.yaml")]):
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", file.read_text(encoding="utf-8"))
        text = text.replace("${EC2_SSH_KEY_NAME}", "key")
        if file.stem.startswith(("bomb", "deep")):
            continue  # PyYAML expands them
        try:
            found.append((file.stem, yaml.safe_load(text)))
        except (yaml.YAMLError, ValueError):
            continue
    return found


DOCUMENTS = documents()


@pytest.mark.parametrize("document", [item for _, item in DOCUMENTS], ids=[name for name, _ in DOCUMENTS])
def test_bundle_and_single_schemas_agree(document: Any) -> None:
    """They refuse the same documents, for the same reasons at the same places."""
    reasons = [
        sorted((list(map(str, error.absolute_path)), str(error.validator), error.message) for error in found)
        for found in (validator.iter_errors(document) for validator in validators())
    ]
    assert reasons[0] == reasons[1] == reasons[2]


def test_documents_of_both_sorts_were_compared() -> None:
    verdicts = [validators()[0].is_valid(document) for _, document in DOCUMENTS]
    assert verdicts.count(True) > 50
    assert verdicts.count(False) > 50
