"""Secrets in a call's parameters: AWS's validation errors repeat what they refuse."""

import base64
from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.model.errors import AwsError

_NAMES: Final = ("ClientSecret", "UserData")


def hide_secrets(error: AwsError, params: Any) -> None:
    """Take the secrets that a call was sent with out of the error's words."""
    for secret in sorted(filter(None, _secrets_in(params)), key=len, reverse=True):
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            error.message = error.message.replace(form, "***")
            error.args = tuple(str(item).replace(form, "***") for item in error.args)


def _secrets_in(params: Any) -> Iterator[str]:
    if isinstance(params, list):
        for item in params:
            yield from _secrets_in(item)
    elif isinstance(params, dict):
        for name, value in params.items():
            if name in _NAMES:
                yield value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            else:
                yield from _secrets_in(value)
