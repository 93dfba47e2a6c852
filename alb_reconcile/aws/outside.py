"""Checks whether addresses outside of AWS's API, which AWS will call, answer from this machine."""

import json
import ssl
from typing import Any, Final

TIMEOUT: Final = 5.0
"""Seconds for one address."""
_MOST: Final = 1 << 20
"""Bytes of an answer that are read."""


def ask(url: str, *, keys: bool = False, context: ssl.SSLContext | None = None) -> str:
    """Why an address doesn't answer as it should; empty if it does. Any answer will do, but where `keys` are wanted the answer has to be
    a JSON Web Key Set. Redirects aren't followed: they could lead to an address that no spec names."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

    class NoRedirects(HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """A redirect is the answer."""

    request = Request(url, headers={"Accept": "application/json", "User-Agent": "alb-reconcile"})  # noqa: S310  # the schema wants https
    try:
        with build_opener(NoRedirects, HTTPSHandler(context=context)).open(request, timeout=TIMEOUT) as answer:
            body = answer.read(_MOST) if keys else b""
    except HTTPError as error:
        return f"answers {error.code}" if keys else ""
    except URLError as error:
        return f"doesn't answer ({error.reason})"
    except (OSError, HTTPException, ValueError) as error:
        return f"doesn't answer ({error or type(error).__name__})"
    return "" if not keys or _has_keys(body) else "answers something that isn't a JSON Web Key Set"


def _has_keys(body: bytes) -> bool:
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("keys"), list)
