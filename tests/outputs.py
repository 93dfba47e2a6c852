"""JSON outputs are held to their schemas, whichever test makes them."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from alb_reconcile.cli.render.schema import output_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@cache
def validator(name: str) -> Any:
    """For the JSON of a command."""
    schemas = output_schemas()
    resources = [(schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator(schemas[name], registry=registry)


def documents(text: str) -> Iterator[Any]:
    """All JSON documents of an output, one after the other."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        found, end = decoder.raw_decode(rest)
        yield found
        rest = rest[end:].lstrip()


def check(arguments: Sequence[str], stdout: str) -> None:
    """Hold what a command wrote to its schema, where it was to write JSON and wrote anything."""
    words = list(arguments)
    if "--format" not in words or words[words.index("--format") + 1 :][:1] != ["json"]:
        return
    for document in documents(stdout):
        name = "error" if "error" in document else words[0]
        faults = [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(document)]
        assert faults == [], f"{' '.join(words)}: {faults}"
