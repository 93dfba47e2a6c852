"""Seals sessions and login attempts, so that clients keep them and only this load balancer can read them."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_SHARD: Final = 4000
"""Characters of a cookie's value: 'most browsers limit a cookie to 4K' (AWS ELB, 'Authenticate users')."""
_MOST: Final = 16


class UnreadableError(Exception):
    """The text isn't a sealed value, or it was changed after it was sealed."""


class Seal:
    """Encrypts and authenticates small values with a key of its own."""

    def __init__(self) -> None:
        self._key = OctKey.generate_key(256, {"kid": secrets.token_hex(8)})

    def close(self, value: Mapping[str, Any]) -> str:
        """The sealed value: a text that is safe in cookies and queries."""
        header = {"alg": "dir", "enc": "A256GCM", "kid": self._key.kid}
        return jwe.encrypt_compact(header, json.dumps(value, separators=(",", ":")), self._key)

    def open(self, text: str) -> dict[str, Any] | None:
        """The value in a sealed text; None if another key sealed it, such as an earlier sandbox's. Raises UnreadableError."""
        try:
            if json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))["kid"] != self._key.kid:
                return None
            return dict(json.loads(jwe.decrypt_compact(text, self._key).plaintext or b""))
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise UnreadableError from error


def read_shards(cookies: Mapping[str, str], name: str) -> str:
    """The value of a cookie that was split into several cookies; empty if the request has none of them."""
    return "".join(cookies[f"{name}-{number}"] for number in range(_MOST) if f"{name}-{number}" in cookies)


def write_shards(name: str, value: str, dated: Callable[[str, str], str]) -> Iterator[str]:
    """The Set-Cookie headers of a value, which may be split into several cookies. `dated` makes a header from a name and a value."""
    for number, start in enumerate(range(0, len(value), _SHARD)):
        yield dated(f"{name}-{number}", value[start : start + _SHARD])
