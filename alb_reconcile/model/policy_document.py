"""Policy documents (IAM's JSON), compared by their meaning instead of by how they are written."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from alb_reconcile.model.text import text_of

_LISTS: Final = ("Action", "NotAction", "Resource", "NotResource")
_ROOT: Final = re.compile(r"arn:[a-z-]+:iam::(\d{12}):root")


@dataclass(frozen=True)
class PolicyDocument:
    """A policy in a canonical form, which is compared, and in the written form, which AWS gets."""

    meaning: str
    text: str = field(compare=False, repr=False)

    @classmethod
    def of(cls, document: object) -> Self:
        """The policy of a document that is a mapping, or JSON. Raises ValueError for anything else."""
        given = json.loads(document) if isinstance(document, str) else document
        if not isinstance(given, dict) or not given.get("Statement"):
            raise ValueError("a policy is a mapping with a Statement")
        statements = given["Statement"] if isinstance(given["Statement"], list) else [given["Statement"]]
        if not all(isinstance(item, dict) for item in statements):
            raise ValueError("each Statement is a mapping")
        meaning = {
            **given,
            "Version": given.get("Version", "2008-10-17"),  # IAM User Guide, "Version": the default
            "Statement": sorted(map(_statement, statements), key=_dump),
        }
        return cls(_dump(meaning), _dump(given))

    def __str__(self) -> str:
        return self.text


def _statement(given: Mapping[str, Any]) -> dict[str, Any]:
    """A statement in canonical form (IAM User Guide, "Grammar of the IAM JSON policy language": a value may stand for a list of one)."""
    found = {key: value for key, value in given.items() if value not in ("", None)}
    for key in _LISTS:
        if key in found:
            found[key] = _values(found[key])
    for key in ("Principal", "NotPrincipal"):
        if key in found:
            named = {"AWS": "*"} if found[key] == "*" else found[key]
            found[key] = {sort: _values(value) for sort, value in named.items()} if isinstance(named, dict) else named
    if isinstance(found.get("Condition"), dict):
        found["Condition"] = {
            operator: {key: _values(value) for key, value in tests.items()} if isinstance(tests, dict) else tests
            for operator, tests in found["Condition"].items()
        }
    return found


def _values(given: Any) -> list[str]:
    values = given if isinstance(given, list) else [given]
    return sorted({_text(value) for value in values})


def _text(value: object) -> str:
    text = text_of(value)
    account = _ROOT.fullmatch(text)  # the same as its number alone
    return account[1] if account else text


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
