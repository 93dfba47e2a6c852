"""Makes the schema for editors, which also accepts a variable, or a number in quotes, wherever a spec may have one in place of a value."""

from typing import Any, Final

_VARIABLE: Final = {"type": "string", "pattern": r"\$\{[^}]+\}"}
_DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}
_LIMITS: Final = frozenset({"enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "format", "const"})
_TOLD: Final = ("title", "description", "default", "examples")
_MAPS: Final = ("properties", "patternProperties", "$defs")
_LISTS: Final = ("oneOf", "anyOf", "allOf")
_AS_IT_IS: Final = ("propertyNames", "not", "enum", "const", "default", "examples")


def accept_variables(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with `${NAME}` allowed for each value that is a number, a boolean, or a text of some form.

    An editor can't know the variable's value; `validate` does.
    """
    result: dict[str, Any] = _opened(schema, itself=False)
    return result


def _opened(schema: Any, *, itself: bool = True) -> Any:
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAPS:
            result[key] = {name: _opened(item) for name, item in value.items()}
        elif key in _LISTS:  # a variable is one of all alternatives, not one of each
            result[key] = [_opened(item, itself=False) for item in value]
        elif isinstance(value, dict) and key not in _AS_IT_IS:
            result[key] = _opened(value)
        else:
            result[key] = value
    if not itself or not _is_limited(schema):
        return result
    told = {key: result.pop(key) for key in _TOLD if key in result}
    kinds = schema.get("type", "string integer" if "x-prefix" in schema else "")
    other = [_DIGITS] * ("integer" in kinds) + [{"type": "integer"}] * (
        "string" in kinds and kinds != ["integer", "string"]
    )
    return {**told, "anyOf": [result, *map(dict, (_VARIABLE, *other))]}


def _is_limited(schema: dict[str, Any]) -> bool:
    """Whether a schema refuses some scalars."""
    kinds = schema.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if kinds and not kinds & {"string", "integer", "number", "boolean"}:
        return False
    alternatives = any(_may_be_scalar(item) for key in _LISTS for item in schema.get(key, ()))
    return bool(kinds) or not _LIMITS.isdisjoint(schema) or alternatives


def _may_be_scalar(schema: Any) -> bool:
    return (
        isinstance(schema, dict)
        and schema.get("type") not in ("object", "array")
        and bool({"type", "$ref", "enum"} & schema.keys())
    )
