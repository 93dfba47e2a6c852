"""`fits` against jsonschema: the same answer for each part of the schemas, on many values."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.kinds import load_kinds
from alb_reconcile.spec import schema
from alb_reconcile.spec.fitting import fits
from tests.harness import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator

BELOW = ("items", "additionalProperties", "propertyNames", "not", "if", "then", "else")
LISTS = ("allOf", "anyOf", "oneOf")
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2.0, 0.5, 80, 443, 3600, 10**6, 10**12, "", "a", "a\n", "web-1", "é", "ａ１", "٣", "10.0.0.0/16", "::/0", "HTTP", "30s",
    "2d", "*", "sg-0123456789abcdef0", "/health", "x" * 300, "true", "80", [], [1], ["a", "a"], ["a", "b"], [1, True], [1, 1.0], [{"a": 1}, {"a": 1}],
    [{"a": 1}, {"a": True}], [[]], [None], ["x" * 300], list(range(120)), {}, {"a": 1}, {"a": {}}, {"": None}, {"a b": "c"}, {"k" * 300: 1},
    {f"k{number}": "v" for number in range(60)},
]  # fmt: skip
"""Values of each type, at the edges of what keywords judge."""
OTHERS: list[Any] = [None, True, 1, "a", [], {}]


@cache
def parts() -> dict[str, Any]:
    """Each part of the schemas that differs from the others, by its text."""
    found: dict[str, Any] = {}

    def walk(part: Any) -> None:
        if not isinstance(part, dict) or (text := json.dumps(part, sort_keys=True)) in found:
            return
        found[text] = part
        for below in (part.get(word) for word in BELOW):
            walk(below)
        for word in LISTS:
            for below in part.get(word, ()):
                walk(below)
        for below in part.get("properties", {}).values():
            walk(below)

    for name in ("stack", schema.FLEET, *load_kinds()):
        walk(schema.resolved(name))
    return found


@cache
def documents() -> list[dict[str, Any]]:
    """The shipped specs, and the tests' broken ones that are mappings, but those of aliases, which may have no end."""
    broken = [file.read_text(encoding="utf-8") for file in sorted((Path(__file__).parent / "broken").glob("*.yaml"))]
    shipped = [file.read_text(encoding="utf-8") for file in sorted(SPECS.rglob("*.yaml"))]
    found = []
    for text in [*shipped, *(text for text in broken if "*" not in text)]:
        with suppress(yaml.YAMLError):
            found.append(yaml.safe_load(text))
    return [item for item in found if isinstance(item, dict)]


def placed(part: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """Each value in a document, with the part of the schema that judges it there."""
    yield part, value
    if isinstance(value, dict):
        for key, item in value.items():
            under = part.get("properties", {}).get(key, part.get("additionalProperties"))
            yield from placed(under, item) if isinstance(under, dict) else ()
    if isinstance(value, list) and "items" in part:
        for item in value:
            yield from placed(part["items"], item)


def varied(value: Any) -> Iterator[Any]:
    """A value with a key or item less, twice or more, and with another value in it."""
    if isinstance(value, dict):
        for key in value:
            yield {name: item for name, item in value.items() if name != key}
            yield from ({**value, key: other} for other in OTHERS)
        yield {**value, "unknown": 1}
    elif isinstance(value, list) and value:
        yield value[1:]
        yield [*value, copy.deepcopy(value[0])]
        yield [*value, None]


def judge(part: Any) -> Any:
    """jsonschema's validator of a part of the schemas, as specs are validated by."""
    return schema._validator("").evolve(schema=part)


def test_each_part_on_values_of_each_type() -> None:
    for part in parts().values():
        validator = judge(part)
        for value in VALUES:
            assert fits(part, value) == validator.is_valid(value), (part, value)


def test_each_part_on_what_it_takes_and_on_variations() -> None:
    """The values are those that documents have where the part holds, and those that the part itself names."""
    tried = {True: 0, False: 0}
    for part in parts().values():
        named = [*part.get("enum", ()), *(item["const"] for item in [part] if "const" in item)]
        edges = [part[word] + more for word in ("minimum", "maximum") if word in part for more in (-1, 0, 1)]
        lengths = [part[word] + more for word in ("minLength", "maxLength") if word in part for more in (-1, 0, 1)]
        validator = judge(part)
        for value in [*named, *edges, *("x" * length for length in lengths)]:
            said = fits(part, value)
            assert said == validator.is_valid(value), (part, value)
            tried[said] += 1
    assert min(tried.values()) > 100


def test_documents_and_their_variations() -> None:
    """Each value of each document by the part that judges it there, as it is and varied, and each document as a whole."""
    seen, tried, stack = set[str](), {True: 0, False: 0}, schema.resolved("stack")
    for document in documents():
        assert fits(stack, document) == judge(stack).is_valid(document)
        for part, value in placed(stack, document):
            text = json.dumps([part.get("description"), value], default=str)
            if part is stack or text in seen or len(text) > 2000:
                continue
            seen.add(text)
            validator = judge(part)
            for given in (value, *varied(value)):
                said = fits(part, given)
                assert said == validator.is_valid(given), (part, given)
                tried[said] += 1
    assert min(tried.values()) > 500


@pytest.mark.parametrize("name", ["stack", schema.FLEET])
def test_a_document_that_is_no_mapping(name: str) -> None:
    part = schema.resolved(name)
    for value in VALUES:
        assert fits(part, value) == judge(part).is_valid(value)


def test_a_keyword_that_isnt_known_is_no_agreement() -> None:
    with pytest.raises(KeyError):
        fits({"type": "array", "contains": {"type": "string"}}, [])
