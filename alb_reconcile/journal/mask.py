"""Removes secrets from texts and fields. The only module that does so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from alb_reconcile.model.secrets import HIDDEN, forms_of, hide, is_secret_name
from alb_reconcile.model.secrets import NAMES as _NAMES
from alb_reconcile.model.text import printable

VARIABLES: Final = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "ALB_RECONCILE_WEBHOOK_SECRET",
    "GITHUB_TOKEN",
    "GH_TOKEN",
)
"""Environment variables that have secrets as values."""
_SHORTEST: Final = 8
"""Characters of a known secret below which texts aren't searched for it: it would be found in words."""
_DEEPEST: Final = 6

_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", HIDDEN),
        # headers are secret to the end of their line
        (r"((?:authorization|cookie|x-amz-security-token|x-api-key)[\"']?\s{0,3}:\s{0,3})[^\r\n]+", rf"\1{HIDDEN}"),
        # name="value", "name": "value", name=value
        (rf"({_NAMES}[\w-]{{0,40}}\\?[\"']?\s{{0,3}}[=:]\s{{0,3}})(\\?[\"']).*?(?:\2|\Z)", rf"\1\2{HIDDEN}\2"),
        (rf"({_NAMES}[\w-]{{0,40}}\s{{0,3}}=\s{{0,3}})[^\s,;&\"']+", rf"\1{HIDDEN}"),
        # AWS's errors read `Code: text`, and their codes have such words; so these names only
        (
            r"((?:passw(?:or)?d|passphrase|secret[-_ ]?access[-_ ]?key|session[-_ ]?token|api[-_ ]?key)\s{0,3}:\s{0,3})[^\s\"']+",
            rf"\1{HIDDEN}",
        ),
        (r"\b(bearer\s+)[\w.~+/=-]{8,}", rf"\1{HIDDEN}"),
        (r"\beyJ[\w-]{10,2000}\.[\w-]+(?:\.[\w-]*)?", HIDDEN),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b", HIDDEN),
    )
)  # fmt: skip

_URL: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)([^\s/?#\"'<>]*)([^\s?#\"'<>]*)([^\s\"'<>]*)", re.IGNORECASE)


class Mask:
    """Hides known secrets, in the forms in which they get into texts, and whatever looks like a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in forms_of(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    @classmethod
    def of(cls, environ: Mapping[str, str], *secrets: str) -> Mask:
        """A mask for the environment's secrets and for further ones."""
        return cls([*(environ[name] for name in VARIABLES if name in environ), *secrets])

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        text = hide(text)
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = _URL.sub(_hide_in_url, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def line(self, text: object, limit: int = 500) -> str:
        """The text without secrets, on one line of at most `limit` characters, without control characters of a terminal."""
        # masked before it is cut: a cut secret wouldn't be recognised any more
        shown = printable(self(str(text)))
        return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"

    def field(self, name: str, value: Any, depth: int = 0) -> Any:
        """A value as JSON has it: hidden if its name says that it is secret, else with all texts in it as `line`."""
        if is_secret_name(name):
            return HIDDEN
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {self.line(key, 100): self.field(str(key), item, depth + 1) for key, item in value.items()}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self.field("", item, depth + 1) for item in value]
        return self.line(value)


def _hide_in_url(found: re.Match[str]) -> str:
    """A URL without its user and password, its query and its fragment."""
    scheme, authority, path, rest = found.groups()
    user, at, host = authority.rpartition("@")
    return f"{scheme}{HIDDEN if user else ''}{at}{host}{path}{f'?{HIDDEN}' if rest[1:] else rest}"
