"""Checks what a rule promises in addition to its action: what transforms make of a request, and the headers of all answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from alb_reconcile.model.requests.conditions import Transform
from alb_reconcile.model.secrets import hide_query
from alb_reconcile.verification.client import Reply, Shot

_RESPONSE: Final = re.compile(r"routing\.http\.response\.(?P<name>[a-z_]+)\.header_value")
_GROUPS: Final = re.compile(r"\$([0-9])")


def inserted_headers(attributes: Mapping[str, str]) -> dict[str, str]:
    """The headers that a listener's attributes put into all answers, in lower case."""
    found = ((_RESPONSE.fullmatch(key), value) for key, value in attributes.items())
    return {match["name"].replace("_", "-"): value for match, value in found if match and value}


def missing_header(headers: Mapping[str, str], reply: Reply) -> str:
    """Which of the promised headers an answer lacks, in words, or nothing."""
    for name, value in sorted(headers.items()):
        if (found := reply.headers.get(name)) != value:
            return f'the header {name} is "{found}" instead of "{value}"' if found else f"the header {name} is missing"
    return ""


def untransformed(transforms: Iterable[Transform], shot: Shot, reply: Reply) -> str | None:
    """How what the target saw differs from what transforms make of the request, in words, or nothing. None: the answer doesn't say.

    The demo's web API answers with the request's `path` and, in `headers`, its `host`; others may answer with `host` itself.
    """
    seen = _told(reply.body)
    unknown = False
    for item in transforms:
        key, sent = ("path", shot.target) if item.type == "url_rewrite" else ("host", shot.authority)
        found, wanted = seen.get(key), _rewritten(item, sent)
        if not isinstance(found, str) or not wanted:
            unknown = True
        elif not any(_same(key, found, text) for text in wanted):
            return f'the target saw the {key} "{hide_query(found)}" instead of "{hide_query(wanted[0])}"'
    return None if unknown else ""


def _rewritten(item: Transform, text: str) -> list[str]:
    """What a transform makes of a text: of the first match or of each, which AWS doesn't document."""
    replacement = _GROUPS.sub(r"\\g<\1>", item.replacement.replace("\\", r"\\"))
    try:
        return [re.sub(item.regex, replacement, text, count=count) for count in (1, 0)]
    except (re.error, IndexError, RecursionError):
        return []


def _same(key: str, found: str, wanted: str) -> bool:
    """Whether two values of a key are the same, perhaps without the query, or the port."""
    if key == "path":
        return found in (wanted, wanted.partition("?")[0])
    return found.partition(":")[0].lower() == wanted.partition(":")[0].lower()


def _told(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    headers = found.get("headers")
    host = headers.get("host") if isinstance(headers, dict) else None
    return {"host": host, **found}
