"""Finds the JSON schemas, and reads what a kind's schema says about AWS's calls."""

import json
from functools import cache
from pathlib import Path
from typing import Any

Schema = dict[str, Any]


def schema_folder() -> Path:
    """The folder of the schemas: in a wheel inside the package, in a checkout next to the package."""
    package = Path(__file__).parent.parent
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@cache
def calls_in_schema(kind: str) -> dict[str, tuple[str, str]]:
    """By property of a kind, AWS's operation that sets the property, and the operation's parameter: `x-aws` in the kind's schema."""
    file = schema_folder() / f"{kind}.schema.json"
    properties = json.loads(file.read_text(encoding="utf-8"))["properties"].items()
    named = {name: item["x-aws"].split() for name, item in properties if "x-aws" in item}
    return {name: (words[0], words[1]) for name, words in named.items() if len(words) == 2}
