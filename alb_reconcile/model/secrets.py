"""Decides which values are secret, and hides them in everything that is shown, kept or sent.

A value is secret by where it comes from: a variable that a spec marks, a tag by its key, a header or a query. The old value
of a secret is secret, too. No digest of a secret is kept: a short secret could be found by trying.
"""

import base64
import dataclasses
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import quote, quote_plus

from alb_reconcile.model.resource import Change
from alb_reconcile.model.text import printable

HIDDEN: Final = "***"
CHANGED: Final = "*** (changed)"
"""Shown instead of a new value, next to the hidden old value."""
NAMES: Final = (
    r"(?:secret|token|passw|pwd|passphrase|credential|signature|authorization|cookie|user[-_ ]?data"
    r"|(?:api|access|private)[-_ ]?key)"
)
"""Words in the names of keys that have secret values, in any case (a regular expression)."""
Headers = frozenset[str] | None
"""The names, in lower case, of the headers that have secret values in the conditions of rules; None for all."""
_KEYS: Final = {"client_secret", "external_id", "private_key"}
_CONDITIONS: Final = {"http_header", "query_string"}
_NAME: Final = re.compile(NAMES, re.IGNORECASE)
_OWN_TAGS: Final = "tags.alb-reconcile:"
SHORTEST: Final = 4
"""Texts aren't searched for a marked secret of fewer characters, since it would be found in words: it is hidden as a whole value,
and a value into which it was put is marked as a whole."""
_marked: set[str] = set()


@runtime_checkable
class Redactable(Protocol):
    """A value that knows which of its parts are secret."""

    def redacted(self, headers: Headers, instead: str) -> object:
        """The value, with a text instead of each secret."""


def mark(*secrets: str) -> None:
    """Make this process hide these values from now on, in everything that it shows, keeps and sends."""
    if new := {*filter(None, secrets)} - _marked:
        _marked.update(new)
        _pattern.cache_clear()


def unmark() -> None:
    """Forget all marked values: a process of the tests stands for many runs."""
    _marked.clear()
    _pattern.cache_clear()


def hide(text: str) -> str:
    """A text without marked secrets, also in the forms in which secrets get into texts."""
    if not _marked:
        return text
    return HIDDEN if text in _marked else _pattern().sub(HIDDEN, text)


def hide_all(data: Any) -> Any:
    """Data that becomes JSON, with marked secrets hidden in all texts but keys of mappings."""
    if isinstance(data, dict):
        return {key: hide_all(item) for key, item in data.items()}
    if isinstance(data, list):
        return [hide_all(item) for item in data]
    return hide(data) if isinstance(data, str) else data


def hide_document(text: str) -> str:
    """A document for programs without marked secrets: JSON stays JSON."""
    if not _marked:
        return text
    try:
        data = json.loads(text)
    except ValueError:
        return hide(text)
    return json.dumps(hide_all(data), indent=2, ensure_ascii=False)


def is_secret_place(path: Sequence[str | int]) -> bool:
    """Whether a spec's value at a path is secret, by the names of the path's keys."""
    above, last = ("", "", *path)[-2:]
    if (above, last) == ("redirect", "query") or (above == "tags" and is_secret_name(str(last))):
        return True
    is_condition = not _CONDITIONS.isdisjoint(path) and last not in ("http_header_name", "key")
    return is_condition or not _KEYS.isdisjoint((above, last))


def hide_query(url: str) -> str:
    """A URL, or a path, without its query."""
    return re.sub(r"\?.+", f"?{HIDDEN}", url)


def is_secret_name(name: str) -> bool:
    """Whether a key's name says that its value is secret."""
    return bool(_NAME.search(name))


def is_secret_header(name: str, headers: Headers) -> bool:
    """Whether the value that a rule wants a header to have is secret."""
    return headers is None or name.lower() in headers or is_secret_name(name)


def redact(value: Any, headers: Headers, instead: str = HIDDEN) -> Any:
    """A property as it may be shown: in a list each member by itself."""
    if type(value) is tuple:
        return tuple(redact(item, headers, instead) for item in value)
    if isinstance(value, Mapping):
        return {key: redact(item, headers, instead) for key, item in value.items()}
    if _is_marked(value):
        return instead
    return value.redacted(headers, instead) if isinstance(value, Redactable) else value


def redact_change(change: Change, headers: Headers) -> Change:
    """A change as it may be shown: a value that is secret on one side is hidden on both."""
    before, after = change.before, change.after
    if isinstance(after, Mapping):
        pairs = {key: Change(f"{change.path}.{key}", (before or {}).get(key), item) for key, item in after.items()}
        shown = {key: redact_change(item, headers) for key, item in pairs.items()}
        there = before and {**redact(before, headers), **{key: item.before for key, item in shown.items()}}
        return Change(change.path, there, {key: item.after for key, item in shown.items()})
    is_marked = _is_marked(before) or _is_marked(after)
    if type(after) is not tuple and (is_marked or _is_secret_tag(change.path)):
        return Change(change.path, before and HIDDEN, after and (CHANGED if before else HIDDEN))
    old, new = redact(before, headers), redact(after, headers)
    if type(after) is tuple:
        there = before or ()
        # a member that a secret one replaces may have been secret, too
        old = tuple(HIDDEN if is_marked and item not in after else redact(item, headers) for item in there)
        new = tuple(
            redact(item, headers, CHANGED if item not in there and redact(item, headers) in old else HIDDEN)
            for item in after
        )
    elif old == new:
        new = redact(after, headers, CHANGED)
    return Change(change.path, old, new)


def _is_secret_tag(path: str) -> bool:
    return path.startswith("tags.") and is_secret_name(path) and not path.startswith(_OWN_TAGS)


def _is_marked(value: object) -> bool:
    """Whether there is a marked secret in a property."""
    return bool(_marked) and any(hide(text) != text for text in _texts(value))


def _texts(value: object) -> Iterator[str]:
    """The texts and numbers in a property."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)
    elif isinstance(value, Mapping):
        yield from _texts(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _texts(item)
    elif dataclasses.is_dataclass(value):
        yield from _texts(tuple(getattr(value, item.name) for item in dataclasses.fields(value)))


@cache
def _pattern() -> re.Pattern[str]:
    forms = {form for secret in _marked if len(secret) >= SHORTEST for form in forms_of(secret)}
    return re.compile(
        "|".join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form)))) or r"(?!)", re.IGNORECASE
    )


def forms_of(secret: str | bytes) -> set[str]:
    """A secret as it is, and as JSON, Python, HTML, a URL, a form's fields or base64 would write it."""
    data = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    text = data.decode(errors="replace")
    found = {repr(data)[2:-1]}
    for form in (text, base64.b64encode(data).decode()):
        found |= {form, json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], repr(form)[1:-1]}
        found |= {quote(form, safe=""), quote(form), quote_plus(form), html.escape(form), printable(form)}
    return found | {base64.b64encode(data).decode().rstrip("=")}
