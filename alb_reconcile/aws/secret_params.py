"""Secrets in a call's parameters: AWS's validation errors repeat what they refuse."""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote_plus

from alb_reconcile.model.errors import AwsError

_NAMES: Final = ("ClientSecret", "PrivateKey", "UserData")
"""The secret parameters of all calls that are made; botocore's models call some of them sensitive, and ClientSecret not."""


def hide_secrets(error: AwsError, params: Any) -> None:
    """Take the secrets that a call was sent with out of the error's words."""
    forms = {form for secret in _secrets_in(params) for form in _forms(secret)}
    for form in sorted(filter(None, forms), key=len, reverse=True):
        error.message = error.message.replace(form, "***")
        error.args = tuple(str(item).replace(form, "***") for item in error.args)


def _forms(secret: bytes) -> Iterator[str]:
    """How requests write it: as it is or in base64; in JSON, in a form's fields, and as Python shows it."""
    for text in (secret.decode(errors="replace"), base64.b64encode(secret).decode()):
        yield from (text, json.dumps(text)[1:-1], quote_plus(text), repr(text)[1:-1])
    yield repr(secret)[2:-1]


def _secrets_in(params: Any) -> Iterator[bytes]:
    if isinstance(params, list):
        for item in params:
            yield from _secrets_in(item)
    elif isinstance(params, dict):
        for name, value in params.items():
            if name in _NAMES:
                yield value if isinstance(value, bytes) else str(value).encode()
            else:
                yield from _secrets_in(value)
