"""The schema as `alb-reconcile schema` prints it: one file for editors."""

from typing import Any

from alb_reconcile.spec.schema import load_schemas


def bundle() -> dict[str, Any]:
    """One self-contained JSON Schema 2020-12, for editors and for whoever has no folder of files."""
    schemas = {file.removesuffix(".schema.json"): _rewrite(schema, file) for file, schema in load_schemas().items()}
    stack = schemas.pop("stack")
    for definition in schemas.values():
        del definition["$schema"], definition["$id"]
    return {**stack, "$defs": schemas}


def _rewrite(schema: Any, file: str) -> Any:
    """References between files as references inside the bundle."""
    if isinstance(schema, list):
        return [_rewrite(item, file) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _rewrite(value, file) for key, value in schema.items()}
    if "$ref" in schema:
        target, _, pointer = schema["$ref"].partition("#")
        result["$ref"] = f"#/$defs/{(target or file).removesuffix('.schema.json')}{pointer}"
    return result
