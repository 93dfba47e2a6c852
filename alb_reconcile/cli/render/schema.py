"""Bundles the schemas that `alb-reconcile schema` prints, each as one file: of specs for editors, of JSON outputs for programs."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from alb_reconcile.model.schemas import schema_folder
from alb_reconcile.spec.schema import load_schemas


def bundle() -> dict[str, Any]:
    """One self-contained JSON Schema 2020-12, for editors and for users without the folder of files."""
    schemas = {file.removesuffix(".schema.json"): _rewrite(schema, file) for file, schema in load_schemas().items()}
    stack = schemas.pop("stack")
    for definition in schemas.values():
        del definition["$schema"], definition["$id"]
    return {**stack, "$defs": schemas}


def _rewrite(schema: Any, file: str) -> Any:
    """The schema with references between files as references inside the bundle."""
    if isinstance(schema, list):
        return [_rewrite(item, file) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _rewrite(value, file) for key, value in schema.items()}
    if "$ref" in schema:
        target, _, pointer = schema["$ref"].partition("#")
        result["$ref"] = f"#/$defs/{(target or file).removesuffix('.schema.json')}{pointer}"
    return result


@cache
def output_schemas() -> Mapping[str, dict[str, Any]]:
    """The JSON Schema of each command's JSON, by the command's name; `run` is a part of others, `error` may be written by all."""
    files = sorted((schema_folder() / "output").glob("*.schema.json"))
    schemas = {file.name.removesuffix(".schema.json"): json.loads(file.read_text(encoding="utf-8")) for file in files}
    return dict(sorted({**schemas, "destroy": schemas["apply"]}.items()))


def output_bundle(name: str) -> dict[str, Any]:
    """An output's schema with all schemas that it refers to."""
    wanted = output_schemas()[name]
    parts = {key: part for key, part in output_schemas().items() if f'"{key}.schema.json"' in json.dumps(wanted)}
    plain = {key: {k: v for k, v in part.items() if k not in ("$schema", "$id")} for key, part in parts.items()}
    rewritten: dict[str, Any] = _rewrite(wanted, f"{name}.schema.json")
    return {**rewritten, "$defs": _rewrite(plain, "")} if len(plain) > 1 else rewritten
