"""Takes secrets in a call's parameters out of error messages: AWS's validation errors repeat the values that they refuse."""

from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.secrets import HIDDEN, SHORTEST, forms_of, hide, is_secret_name

_NAMES: Final = ("ClientSecret", "PrivateKey", "UserData", "Query")
"""The secret parameters of all calls that are made; botocore's models mark some of them as sensitive, but not ClientSecret."""
_CONDITIONS: Final = ("HttpHeaderConfig", "QueryStringConfig")
"""The conditions of rules that have secret values."""


def hide_secrets(error: AwsError, params: Any) -> None:
    """Remove the secrets in a call's parameters from the words of the call's error."""
    forms = {form for secret in _secrets_in(params) if len(secret) >= SHORTEST for form in forms_of(secret)}
    for form in sorted(forms, key=len, reverse=True):
        error.message = error.message.replace(form, HIDDEN)
        error.args = tuple(str(item).replace(form, HIDDEN) for item in error.args)
    error.message, error.args = hide(error.message), tuple(hide(str(item)) for item in error.args)


def _secrets_in(params: Any, *, all_values: bool = False) -> Iterator[str | bytes]:
    """The secrets in parameters; with `all_values` every text but for the names of headers and keys."""
    if isinstance(params, list):
        for item in params:
            yield from _secrets_in(item, all_values=all_values)
    elif isinstance(params, dict):
        is_secret_tag = is_secret_name(str(params.get("Key", "")))
        for name, value in params.items():
            if name in _NAMES or (name == "Value" and is_secret_tag):
                yield value if isinstance(value, bytes) else str(value)
            elif name not in ("HttpHeaderName", "Key"):
                yield from _secrets_in(value, all_values=all_values or name in _CONDITIONS)
    elif all_values:
        yield str(params)
