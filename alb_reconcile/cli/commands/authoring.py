"""The commands `validate`, `schema` and `explain`, which help to write a spec and don't ask AWS."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from alb_reconcile.cli.render.annotations import annotate_problems
from alb_reconcile.cli.render.console import emit
from alb_reconcile.cli.render.editor_schema import accept_variables
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.schema import bundle, output_bundle, output_schemas
from alb_reconcile.cli.render.validate import ValidationView, validations_json, validations_text
from alb_reconcile.cli.session.specs import chosen_specs, refuse_twins, refuse_unused
from alb_reconcile.kinds import in_spec_order
from alb_reconcile.model.errors import ExitCode, SpecError, UsageError
from alb_reconcile.model.text import did_you_mean
from alb_reconcile.spec import schema
from alb_reconcile.spec.security import audit
from alb_reconcile.spec.stack import load_outline, stack_of

_MOST: Final = 3
"""The most places of a key that a message names."""


@dataclass(frozen=True)
class ValidateOptions:
    specs: tuple[str, ...]
    variables: Mapping[str, str]
    region: str | None
    security: bool
    verbose: int
    output: Output


def validate(options: ValidateOptions) -> ExitCode:
    """Print every mistake and risk in the given specs, one a line; with `security` also each control that they don't meet."""
    seen: dict[tuple[str, str | None], str] = {}
    files = chosen_specs(options.specs)
    refuse_unused(options.variables, *files)
    views = [_look(file, options, seen) for file in files]
    for view in views:
        annotate_problems(view.file, view.problems)
    options.output.show(views, partial(validations_text, verbose=options.verbose), validations_json)
    if any(view.resources is None for view in views):
        return ExitCode.INVALID
    return ExitCode.CHANGES if any(view.audit and view.audit.open for view in views) else ExitCode.OK


def _look(file: str, options: ValidateOptions, seen: dict[tuple[str, str | None], str]) -> ValidationView:
    try:
        outline = load_outline(file, options.variables, options.region)
        stack = stack_of(outline, file)
        refuse_twins(stack, seen)
    except SpecError as error:
        return ValidationView(file, error.problems, None, None)
    found = audit(outline) if options.security else None
    warnings = [*stack.warnings, *(found.unused if found else ())]
    return ValidationView(file, warnings, len(stack.desired), found)


@dataclass(frozen=True)
class SchemaOptions:
    name: str | None


def print_schema(options: SchemaOptions) -> ExitCode:
    """Print the bundled JSON Schema of specs, or that of a command's JSON."""
    if options.name is None:
        emit(json.dumps(accept_variables(bundle()), indent=2))
        return ExitCode.OK
    known = output_schemas()
    if options.name not in known:
        raise UsageError(f'"{options.name}" has no JSON output; known: {", ".join(known)}')
    emit(json.dumps(output_bundle(options.name), indent=2, ensure_ascii=False))
    return ExitCode.OK


@dataclass(frozen=True)
class ExplainOptions:
    topic: str | None


def explain(options: ExplainOptions) -> ExitCode:
    """Print what the schema says of a kind or of one of its properties."""
    if not options.topic:
        emit("alb-reconcile explain KIND[.KEY], where KIND is one of:\n")
        width = max(map(len, kind_names())) + 2
        for kind in kind_names():
            emit(f"  {kind:<{width}}{schema.resolved(kind)['description']}")
        return ExitCode.OK
    word, *keys = options.topic.split(".")
    name = schema.SECTIONS.get(word, word)
    if name not in kind_names() and word in schema.with_keys(schema.resolved("stack"))["properties"]:
        name, keys = "stack", [word, *keys]
    if name not in kind_names():
        paths = sorted((path for kind in kind_names() for path in _paths_to(word, (kind,))), key=len)[:_MOST]
        near = f"did you mean {' or '.join('.'.join([*path, *keys]) for path in paths)}?"
        raise UsageError(f'there is no kind "{word}"; {near if paths else _meant(word, kind_names())}')
    found, done, is_required = schema.resolved(name), name, False
    while keys:
        properties = schema.with_keys(found).get("properties", {})
        joined = (".".join(keys[: count + 1]) for count in range(len(keys)))  # some names have dots
        key = next((name for name in joined if name in properties), "")
        if not key:
            raise UsageError(f'{done} has no key "{keys[0]}"; {_meant(keys[0], properties)}')
        is_required = key in schema.with_keys(found).get("required", ())
        found, done, keys = properties[key], f"{done}.{key}", keys[key.count(".") + 1 :]
    emit("\n".join(_explanation(done, found, is_required=is_required)))
    return ExitCode.OK


def _paths_to(word: str, path: tuple[str, ...], found: dict[str, Any] | None = None) -> Iterator[tuple[str, ...]]:
    """The paths of keys of that name below a kind; sections of other kinds aren't entered, since each kind is searched itself."""
    below = schema.with_keys(schema.resolved(path[0]) if found is None else found).get("properties", {})
    for key, item in below.items():
        if key not in schema.SECTIONS:
            yield from [(*path, key)] if key == word else _paths_to(word, (*path, key), item)


def _meant(word: str, known: Collection[str]) -> str:
    """The nearest of the known words, or all."""
    return did_you_mean(word, known).removeprefix("; ") or f"known: {', '.join(known) or 'none'}"


def kind_names() -> list[str]:
    """The kinds that can be explained: those of a spec's entries, and those that a plan calls members of entries."""
    return ["stack", *(kind.name for kind in in_spec_order())]


def _explanation(title: str, found: dict[str, Any], *, is_required: bool) -> Iterator[str]:
    yield title
    yield f"  {found.get('description', '(no description)')}"
    yield ""
    yield f"  type      {schema.describe_form(found)}"
    if is_required:
        yield "  required  yes"
    if "default" in found:
        yield f"  default   {json.dumps(found['default']) if not isinstance(found['default'], str) else found['default']}"
    if "x-refers" in found:
        yield f"  refers to {found['x-refers']}"
    if "x-aws" in found:
        yield f"  AWS       {found['x-aws']}"
    below = schema.with_keys(found)
    if properties := below.get("properties"):
        yield ""
        yield "  keys"
        width = max(map(len, properties)) + 2
        for key, item in properties.items():
            mark = "(required) " if key in below.get("required", ()) else ""
            yield f"    {key:<{width}}{mark}{item.get('description', '')}"
