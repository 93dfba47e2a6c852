"""Tells whether a document fits a JSON schema, without saying where it doesn't: most documents fit, and jsonschema takes 40 ms to import.

It knows the keywords that the schemas of specs and fleets use; `tests/spec/test_fitting.py` compares each with jsonschema's.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from unicodedata import category

_Schema = Mapping[str, Any]


def fits(schema: _Schema | bool, value: Any) -> bool:
    """Whether jsonschema would find no error. Raises KeyError for a keyword that isn't known here."""
    if isinstance(schema, bool):
        return schema
    return all(_CHECKS[word](wanted, value, schema) for word, wanted in schema.items() if word[:2] != "x-")


def is_of_type(value: object, name: str) -> bool:
    """Whether a value is of a type of JSON Schema's; 2.0 isn't an integer, since AWS takes it for none."""
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def repeated(items: list[Any]) -> Iterator[int]:
    """The indices of items that are there before. jsonschema compares each pair, which takes minutes for a large list of mappings."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        text = json.dumps(item, sort_keys=True, default=str)
        if text in seen:
            yield index
        seen.add(text)


def has_form(wanted: str, text: str, schema: _Schema) -> bool:
    """Whether a text has the form of a pattern, and only the letters of other languages that the schema's `x-letters` allows.

    Python's $ matches before a final line break too, which JSON Schema's (ECMAScript's) doesn't; and each dialect has its own patterns
    for letters, digits and blanks of all languages.
    """
    others = schema.get("x-letters", text)
    return bool(re.fullmatch(wanted, text)) and all(item in others or category(item)[0] in "LNZ" for item in text)


def _equal(value: Any, other: Any) -> bool:
    """Equality as JSON has it: true isn't 1."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_equal, value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_equal(item, other[key]) for key, item in value.items())
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _has_type(wanted: str | list[str], value: Any, _: _Schema) -> bool:
    return any(is_of_type(value, name) for name in ([wanted] if isinstance(wanted, str) else wanted))


def _has_known_keys(wanted: _Schema | bool, value: Any, schema: _Schema) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(fits(wanted, item) for key, item in value.items() if key not in known)


def _follows(wanted: _Schema, value: Any, schema: _Schema) -> bool:
    return fits(schema.get("then" if fits(wanted, value) else "else", True), value)


def _on(kind: type | tuple[type, ...], check: Callable[[Any, Any], bool]) -> Callable[[Any, Any, _Schema], bool]:
    """The check of a keyword that is about one type: a value of another type fits."""
    return lambda wanted, value, _: not isinstance(value, kind) or isinstance(value, bool) or check(wanted, value)


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_NUMBER: Final = (int, float)
_CHECKS: Final[Mapping[str, Callable[[Any, Any, _Schema], bool]]] = {
    **dict.fromkeys(("title", "description", "default", "examples", "then", "else"), lambda *_: True),
    "type": _has_type,
    "enum": lambda wanted, value, _: any(_equal(item, value) for item in wanted),
    "const": lambda wanted, value, _: _equal(wanted, value),
    "minimum": _on(_NUMBER, lambda wanted, value: not value < wanted),
    "maximum": _on(_NUMBER, lambda wanted, value: not value > wanted),
    "minLength": _on(str, lambda wanted, value: len(value) >= wanted),
    "maxLength": _on(str, lambda wanted, value: len(value) <= wanted),
    "pattern": lambda wanted, value, schema: not isinstance(value, str) or has_form(wanted, value, schema),
    "minItems": _on(list, lambda wanted, value: len(value) >= wanted),
    "maxItems": _on(list, lambda wanted, value: len(value) <= wanted),
    "uniqueItems": _on(list, lambda wanted, value: not (wanted and any(True for _ in repeated(value)))),
    "items": _on(list, lambda wanted, value: all(fits(wanted, item) for item in value)),
    "minProperties": _on(dict, lambda wanted, value: len(value) >= wanted),
    "maxProperties": _on(dict, lambda wanted, value: len(value) <= wanted),
    "required": _on(dict, lambda wanted, value: all(key in value for key in wanted)),
    "properties": _on(
        dict, lambda wanted, value: all(fits(below, value[key]) for key, below in wanted.items() if key in value)
    ),
    "propertyNames": _on(dict, lambda wanted, value: all(fits(wanted, key) for key in value)),
    "additionalProperties": _has_known_keys,
    "allOf": lambda wanted, value, _: all(fits(item, value) for item in wanted),
    "anyOf": lambda wanted, value, _: any(fits(item, value) for item in wanted),
    "oneOf": lambda wanted, value, _: sum(fits(item, value) for item in wanted) == 1,
    "not": lambda wanted, value, _: not fits(wanted, value),
    "if": _follows,
}
"""By keyword, whether a value fits what a schema says by the keyword; the schema is for keywords that depend on others."""
