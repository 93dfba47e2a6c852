"""Finds the JSON schemas, bundles them into one, and applies them with errors that a user can act on."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import accumulate, islice
from typing import Any, Final
from unicodedata import category

from alb_reconcile.kinds import by_section, sections_of
from alb_reconcile.model.controls import CONTROLS
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path, render_path, shorten
from alb_reconcile.model.schemas import schema_folder
from alb_reconcile.model.secrets import HIDDEN, is_secret_place
from alb_reconcile.model.text import printable
from alb_reconcile.spec.document import MAX_PROBLEMS, find, to_plain

SECTIONS: Final = {section: kind.name for section, kind in by_section().items()}
"""The kinds that have entries of their own, by section; a kind that nests in another's entries has a section there."""
FLEET: Final = "fleet"
"""The name of the schema of fleets, which is in a folder of its own, since it is no kind's."""
_LONGEST_LIST: Final = 150
"""The most characters of the keys that a message lists."""
_Schema = dict[str, Any]


@cache
def load_schemas() -> Mapping[str, _Schema]:
    """Each schema by its $id: the files, with the kinds' own parts in the stack's schema."""
    files = sorted(schema_folder().glob("*.schema.json"))
    schemas = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}
    stack = schemas["stack.schema.json"]
    sections: _Schema = {}
    for section, kind in SECTIONS.items():
        text = schemas[f"{kind}.schema.json"].pop("x-section", None)
        if text is not None:  # else it nests in the entry of another kind
            sections[section] = {
                "description": text,
                "type": "object",
                "propertyNames": {"$ref": "common.schema.json#/$defs/entry_name"},
                "additionalProperties": {"$ref": f"{kind}.schema.json"},
            }
    before = {key: stack["properties"][key] for key in ("stack", "region", "account_ids", "tags")}
    stack["properties"] = {**before, **sections, **stack["properties"]}
    spared = stack["properties"]["policy"]["properties"]["never_delete"]["items"]
    del spared["x-kinds"]
    spared["enum"] = list(SECTIONS.values())
    accept = stack["properties"]["security"]["properties"]["accept"]
    reasons = accept.pop("x-controls")
    accept["properties"] = {item.id: {**reasons, "description": f"{item.title}."} for item in CONTROLS.values()}
    accept["x-instead"] = {name: f"it is {item.id} here" for item in CONTROLS.values() for name in item.checkov}
    return schemas


@cache
def resolved(name: str) -> _Schema:
    """A kind's schema, or `fleet`'s, with all its references put in place (none is recursive). Keys next to a $ref win."""
    result: _Schema = _referred(f"{name}.schema.json", "")
    return result


@cache
def _named(file: str) -> _Schema:
    schemas = load_schemas()
    if file in schemas:
        return schemas[file]
    found: _Schema = json.loads((schema_folder() / "fleet" / file).read_text(encoding="utf-8"))
    return found


def _inline(schema: Any, file: str) -> Any:
    if isinstance(schema, list):
        return [_inline(item, file) for item in schema]
    if not isinstance(schema, dict):
        return schema
    own = {key: _inline(value, file) for key, value in schema.items() if key not in ("$ref", "$defs", "$id", "$schema")}
    if "$ref" not in schema:
        return own
    target, _, pointer = schema["$ref"].partition("#")
    return {**_referred(target or file, pointer), **own}


@cache
def _referred(file: str, pointer: str) -> Any:
    """What a reference leads to, with its own references put in place: one object, however many references lead there."""
    found: Any = _named(file.removeprefix("../"))
    for part in pointer.strip("/").split("/") if pointer else ():
        found = found[part]
    return _inline(found, file)


@cache
def _wanted(section: str) -> _Schema:
    """The schema of a whole document: of a spec, of a fleet, or of a section in a file of its own."""
    if section == FLEET:
        return resolved(FLEET)
    found: _Schema = resolved("stack")["properties"][section] if section else resolved("stack")
    return found


@cache
def _validator(section: str) -> Any:
    from jsonschema import Draft202012Validator, ValidationError, validators

    def unique(_: Any, wanted: bool, instance: Any, __: _Schema) -> Iterator[ValidationError]:
        # jsonschema compares each pair, which takes minutes for a large list of mappings
        if wanted and isinstance(instance, list):
            seen: set[str] = set()
            for index, item in enumerate(instance):
                text = json.dumps(item, sort_keys=True, default=str)
                if text in seen:
                    yield ValidationError("given twice", path=[index])
                seen.add(text)

    def pattern(_: Any, wanted: str, instance: Any, schema: _Schema) -> Iterator[ValidationError]:
        # Python's $ matches before a final line break too, which JSON Schema's (ECMAScript's) doesn't; and each dialect has its own
        # patterns for letters, digits and blanks of all languages
        others = schema.get("x-letters", instance)
        if isinstance(instance, str) and not (
            re.fullmatch(wanted, instance) and all(item in others or category(item)[0] in "LNZ" for item in instance)
        ):
            yield ValidationError("has another form")

    # 2.0 counts as an integer in JSON Schema, but not for AWS
    types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    extend: Any = validators.extend  # untyped in the stubs
    keywords = {"uniqueItems": unique, "pattern": pattern}
    return extend(Draft202012Validator, keywords, type_checker=types)(_wanted(section))


def validate(root: Node, section: str = "") -> tuple[list[Path], list[Problem]]:
    """All problems by which the document departs from the schema, and the paths that it makes unusable.

    The document is a spec, one section of it in a file of its own, or a fleet.

    A value that is written in the other of two usual ways, as digits in quotes are, gets the schema's form (in place).
    """
    errors = _errors(root, section)
    problems = (problem for error in errors for problem in _explain(error, root, tuple(error.absolute_path), section))
    unusable = [
        tuple(error.absolute_path)
        for error in errors
        if error.validator not in _PARTIAL and "propertyNames" not in error.absolute_schema_path
    ]
    return unusable, list(islice(problems, MAX_PROBLEMS))


_PARTIAL: Final = frozenset({"required", "additionalProperties", "minProperties", "maxProperties", "uniqueItems"})
"""Keywords that refuse a part of a value, or something missing in it; the rest of it is usable."""


def _errors(root: Node, section: str, rounds: int = 2) -> list[Any]:
    """The errors that remain, as many as are worth telling, after repairable values have been repaired, in so many rounds."""
    errors, coerced = [], False
    for error in _validator(section).iter_errors(to_plain(root)):
        if rounds and _coerce(root, error):
            coerced = True
        else:
            errors.append(error)
        if len(errors) == MAX_PROBLEMS:
            return errors  # with those that follow from others: so many are told, and nothing else is looked at
    if coerced:
        return _errors(root, section, rounds - 1)
    unknown = {tuple(item.absolute_path): item.schema for item in errors if item.validator == "additionalProperties"}

    def follows(error: Any) -> bool:
        # a key with a slip of the pen, or another tool's word for it, isn't missing; nor is one that `<<` was meant to give
        path, keyword, is_one_of = tuple(error.absolute_path), error.validator, error.validator == "oneOf"
        if find(root, path)[0].unmerged:
            return keyword in ("required", "minProperties") or (is_one_of and not error.instance)
        return path in unknown and (is_one_of or _is_meant_otherwise(error, unknown[path]))

    return [error for error in errors if not follows(error)]


def _is_meant_otherwise(error: Any, schema: _Schema) -> bool:
    """Whether a missing key is there under a name that `schema` doesn't know, with a hint that names the key."""
    if error.validator != "required":
        return False
    wanted, known, instead = error.message.split("'")[1], schema.get("properties", {}), schema.get("x-instead", {})
    others = [key for key in islice(error.instance, 100) if isinstance(key, str) and key not in known]
    return any(
        instead[key].partition(":")[0] == f"write {wanted}"
        if key in instead
        else get_close_matches(key[:80], known, 1, 0.6) == [wanted]
        for key in others
    )


def _types(schema: _Schema) -> list[str]:
    wanted = schema.get("type", [])
    return [wanted] if isinstance(wanted, str) else wanted


def _coerce(root: Node, error: Any) -> bool:
    """Give a whole number, or its digits in quotes, the form that the schema has, with its `x-prefix`; and a variable the boolean that it
    says. Returns whether the value has changed."""
    node, _ = find(root, tuple(error.absolute_path))
    given, forms = node.value, list[str | int]()
    text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
    if re.fullmatch(r"0|-?[1-9][0-9]{0,16}", text):
        forms = [int(text), text, f"{error.schema.get('x-prefix')}{text}"]
    elif node.template and text in ("true", "false"):
        forms = [text == "true"]
    node.value = next(filter(_validator("").evolve(schema=error.schema).is_valid, forms), given)
    return node.value is not given


def _explain(error: Any, root: Node, path: Path, section: str) -> Iterable[Problem]:
    """The problems of one jsonschema error: what is wrong; what to do."""
    node, place = find(root, path)
    value, schema, keyword = error.instance, error.schema, error.validator
    if keyword == "additionalProperties":
        return _unknown_keys(node, path, schema)
    if keyword == "required":
        key = error.message.split("'")[1]
        path = (*path, key)
        what = f"; it is {_describe(schema['properties'][key])}" if key in schema.get("properties", {}) else ""
        message = f"is missing{what}"
    elif "propertyNames" in error.absolute_schema_path:
        path, place = (*path, str(value)), node.keys.get(str(value), place)
        hint = _did_you_mean(value, schema.get("enum", ())) or f"; use {describe_type(schema)}"
        message = f"{shorten(value)} can't be a key here{hint}"
    elif value is None and keyword in ("type", "enum", "oneOf"):
        empty = (
            "{}"
            if "object" in _types(schema) and "string" not in _types(schema)
            else "[]"
            if "array" in _types(schema)
            else None
        )
        is_too_little = schema.keys() & {"minItems", "minProperties", "oneOf", "required"}
        todo = f"give it {describe_type(schema)}" if empty is None or is_too_little else f"write {empty}"
        if not _is_required(path, section):
            todo += ", or leave the key out" if isinstance(path[-1], str) else ", or remove it"
        message = f"is empty; {todo}"
    else:
        place = node.line, node.column
        message = _MESSAGES[keyword](value, schema) if keyword in _MESSAGES else str(error.message)
        if is_secret_place(path):
            message = message.replace(shorten(value) if isinstance(value, str) else str(value), HIDDEN)
    return [Problem(*place, render_path(path), message)]


_MESSAGES: Final[dict[str, Callable[[Any, _Schema], str]]] = {
    "type": lambda value, schema: (
        _meant_otherwise(value, schema)
        or f"is {_kind_of(value)}; give it {describe_type(schema)}{_quote_hint(value, schema)}"
    ),
    "enum": lambda value, schema: (
        f"is {shorten(value)}; choose {describe_type(schema)}{_did_you_mean(value, schema['enum'])}"
    ),
    "pattern": lambda value, schema: f"is {shorten(value)}; give it {describe_type(schema)}",
    "not": lambda value, schema: f"is {_kind_of(value)}; give it {describe_type(schema)}",
    "minimum": lambda value, schema: f"is {value}; give it {describe_type(schema)}",
    "maximum": lambda value, schema: f"is {value}; give it {describe_type(schema)}",
    "minLength": lambda value, schema: "is empty text; write something, or leave the key out",
    "maxLength": lambda value, schema: f"is {len(value)} characters long; give it at most {schema['maxLength']}",
    "minItems": lambda value, schema: f"has {len(value)} of at least {schema['minItems']}; add what is missing",
    "maxItems": lambda value, schema: f"has {len(value)} entries; give it at most {schema['maxItems']}",
    "minProperties": lambda value, schema: (
        f"has {len(value)} of at least {schema['minProperties']} keys; give it {describe_type(schema)}"
        if value
        else "says nothing; give "
        + (f"one of {', '.join(schema['properties'])}" if "properties" in schema else describe_type(schema))
    ),
    "maxProperties": lambda value, schema: (
        f"has {len(value)} keys ({', '.join(printable(key[:60]) for key in list(value)[:4])}); give only {'one' if schema['maxProperties'] == 1 else schema['maxProperties']}"
    ),
    "uniqueItems": lambda value, schema: "is given twice; keep one",
    "oneOf": lambda value, schema: (
        f"has {', '.join(printable(str(key)[:60]) for key in list(value)[:4]) or 'nothing'}; give it {describe_type(schema)}"
        if isinstance(value, dict | list)
        else f"is {_kind_of(value)}; give it {describe_type(schema)}"
    ),
}
"""The text about a value and the schema that it doesn't fit, by the keyword that refuses the value."""


def _is_required(path: Path, section: str) -> bool:
    schema = _wanted(section)
    for part in path[:-1]:
        below = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        schema = below or schema.get("additionalProperties") or {}
    return path[-1] in schema.get("required", ())


def _unknown_keys(node: Node, path: Path, schema: _Schema) -> Iterator[Problem]:
    known = list(schema.get("properties", {}))
    for key in node.value if isinstance(node.value, dict) else ():
        if key not in known:
            if key in SECTIONS and not path:
                hint = f"; write {key} inside their entry under {sections_of(by_section()[key])[0]}"
            elif instead := schema.get("x-instead", {}).get(key):
                hint = f"; {instead}"
            else:
                hint = _did_you_mean(key, known) or f"; known here: {_shortened(known, path)}"
            yield Problem(*node.keys[key], render_path((*path, key)), f"unknown key {shorten(key)}{hint}")


def _shortened(names: list[str], path: Path) -> str:
    lengths = accumulate(len(name) + 2 for name in names)
    shown = names[: sum(length <= _LONGEST_LIST for length in lengths)]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more, which `alb-reconcile explain {_topic(path)}` lists" if more else "")


def _topic(path: Path) -> str:
    """The topic of `explain` for a place in a spec: without the names of entries, and of things in a map."""
    topic, found, keys = ["stack"], resolved("stack"), iter(path)
    for key in keys:
        if key in SECTIONS:
            topic, found = [SECTIONS[str(key)]], resolved(SECTIONS[str(key)])
            next(keys, None)
        elif key in (below := with_keys(found).get("properties", {})):
            topic, found = [*topic, str(key)], below[key]
    return ".".join(topic)


def with_keys(schema: _Schema) -> _Schema:
    """The part of a schema that has the keys: for a list or a map of things, the things' schema; for attributes, the schema with all that
    AWS documents."""
    for below in (schema, schema.get("items"), schema.get("additionalProperties"), *schema.get("allOf", ())[:1]):
        if isinstance(below, dict) and below.get("properties"):
            return below
    return {}


def _did_you_mean(value: object, choices: Iterable[object]) -> str:
    words = [word for word in choices if isinstance(word, str)]
    near = [word for word in words if word.startswith(f"{value}/")] or get_close_matches(str(value)[:80], words, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {shorten(value)[1:-1]}"
    if isinstance(value, str):
        return f"the text {shorten(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _meant_otherwise(value: object, schema: _Schema) -> str:
    """The text that `schema` has for a key of a mapping, where no mapping is expected."""
    instead = schema.get("x-instead", {})
    return next((str(instead[key]) for key in value if key in instead), "") if isinstance(value, dict) else ""


def _quote_hint(value: object, schema: _Schema) -> str:
    if "quotes" in describe_type(schema):
        return ""
    if "string" in _types(schema) and isinstance(value, int | float) and not isinstance(value, bool):
        pattern, units = schema.get("pattern", ""), [] if _types(schema) == ["boolean", "string"] else ["", "s", "%"]
        fits = [unit for unit in units if re.search(pattern, f"{value}{unit}")]
        return f"; write {value}{fits[0]}" if fits and fits[0] else "; put it in quotes" if fits else ""
    if isinstance(value, str) and "array" in _types(schema) and re.fullmatch(r"[\w.*/-]{1,60}", value):
        return f"; write [{value}]"
    return ""


def _choices(values: list[object]) -> str:
    words = [str(value) for value in values]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


_NOUNS: Final = {
    "object": "a mapping",
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
}


def describe_type(schema: _Schema) -> str:
    """What a property takes, in words: its form, its choices, its range or its type."""
    if "x-expect" in schema:
        return str(schema["x-expect"])
    if "enum" in schema:
        return _choices(schema["enum"])
    if "minimum" in schema and "maximum" in schema:
        return f"{_NOUNS['number' if 'number' in _types(schema) else 'integer']} from {schema['minimum']} to {schema['maximum']}"
    return " or ".join(_NOUNS[name] for name in _types(schema)) or "a value"


def describe_form(schema: _Schema) -> str:
    """What a property takes, in more words: for a list also what each item is."""
    form = describe_type(schema)
    return f"{form}; each is {describe_type(schema['items'])}" if form == "a list" and "items" in schema else form


def _describe(schema: _Schema) -> str:
    text = str(schema.get("description", describe_type(schema)))
    first = text.split(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:] if first[1:2].islower() else first
