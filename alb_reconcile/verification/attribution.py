"""Reads from an answer which target sent it: by a header, or by a field of the JSON body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

_LONGEST = 200
_NAMES = 12


@dataclass(frozen=True)
class Attribution:
    """How to find the target that sent an answer. `name` is a header's, or a field's, with dots between levels. `is_required`: whether
    an answer without it is wrong."""

    how: Literal["header", "json", "none"]
    name: str = ""
    is_required: bool = True

    @classmethod
    def parse(cls, text: str) -> Attribution:
        """The attribution in a text: `header:NAME`, `json:FIELD` or `none`. Raises ValueError."""
        how, colon, name = text.partition(":")
        if text == "none":
            return cls("none", is_required=False)
        if how == "header" and re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name):
            return cls("header", name)
        if how == "json" and colon and re.fullmatch(r"[^\s.]{1,100}(\.[^\s.]{1,100}){0,5}", name):
            return cls("json", name)
        raise ValueError(f"{text!r} isn't an attribution; write header:NAME, json:FIELD or none")

    def __str__(self) -> str:
        return {"header": f"header {self.name}", "json": f'JSON field "{self.name}"', "none": "none"}[self.how]


DEMO: Final = Attribution("json", "instance_id", is_required=False)
"""The field that the demo's web API sends; it is looked for unless another attribution is chosen."""


@dataclass(frozen=True)
class Origin:
    """What an answer says of where it comes from. `seen` are the names that it has instead, for a user who has to choose another
    attribution."""

    target: str | None = None
    version: str | None = None
    seen: tuple[str, ...] = ()


def attribute(how: Attribution, headers: Mapping[str, str], body: bytes) -> Origin:
    """The origin of an answer. Keys of `headers` are in lower case, or the mapping ignores case."""
    fields = _fields(headers, body) if how.how != "none" else {}
    version = _text(fields.get("version"))
    if how.how == "header":
        target = _text(headers.get(how.name.lower()))
        return Origin(target, version, () if target else tuple(sorted(headers))[:_NAMES])
    value: Any = fields
    for name in how.name.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    target = _text(value)
    return Origin(target, version, () if target else tuple(sorted(fields))[:_NAMES])


def _fields(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    if "json" not in headers.get("content-type", "").lower() and body.lstrip()[:1] != b"{":
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # cut off, or never meant to be read
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return str(value)[:_LONGEST] if isinstance(value, str | int) and value != "" else None
