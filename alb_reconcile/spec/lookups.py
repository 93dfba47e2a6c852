"""Reads look-ups in a document: mappings that stand in the place of a reference and describe the resource instead of naming it."""

from typing import Any, Final, get_args

from alb_reconcile.model.lookup import By, Lookup
from alb_reconcile.model.nodes import Node
from alb_reconcile.spec.document import to_plain
from alb_reconcile.spec.schema import resolved

_BY: Final[tuple[By, ...]] = get_args(By)


def read_lookups(root: Node) -> None:
    """Put a Lookup in the place of each such mapping, and a list of one Lookup where the mapping stands for a list."""
    _read(root, resolved("stack"))


def _read(node: Node, schema: dict[str, Any]) -> None:
    if isinstance(node.value, list):
        for item in node.value:
            _read(item, schema.get("items", {}))
    elif isinstance(node.value, dict) and "x-lookup" in schema:
        many = schema["x-lookup"] == "all"
        found = _lookup_of(node, (schema["items"] if many else schema).get("x-refers", ""), many=many)
        node.value = [Node(found, node.line, node.column)] if many else found
    elif isinstance(node.value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
        for key, item in node.value.items():
            _read(item, known.get(key, others))


def _lookup_of(node: Node, kind: str, *, many: bool) -> Lookup:
    """The Lookup that a mapping describes; a Lookup without tags if the schema has refused the mapping."""
    given = to_plain(node)
    by = next((name for name in _BY if set(given) == {name}), None)
    value = given[by] if by else None
    fits = {
        "tag": isinstance(value, dict) and bool(value) and all(isinstance(item, str) for item in value.values()),
        "default": value is True,
        "ssm": isinstance(value, str),
        "domain": isinstance(value, str),
    }
    return Lookup.of(kind, by, value, many=many) if by and fits[by] else Lookup.of(kind, "tag", {}, many=many)
