"""Finds the address of AWS's API: the one that the user gives, or AWS's own."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from alb_reconcile.model.errors import UsageError

VARIABLE: Final = "AWS_ENDPOINT_URL"


def endpoint_of(option: str | None, environ: Mapping[str, str]) -> str:
    """The option's address, else AWS_ENDPOINT_URL's; empty for AWS's own. Raises UsageError for a text that can't be an address."""
    url = option or environ.get(VARIABLE) or ""
    if url and not is_address(url):
        name = "--endpoint-url" if option else VARIABLE
        shown = ascii(url.rpartition("@")[2][:80])
        raise UsageError(f"{name} expects an address such as http://localhost:5000, not {shown}; correct it")
    return url


def without_passwords(text: str) -> str:
    """A text without the users and passwords of the addresses in it, even if a password has a slash."""
    return re.sub(r"(?<=://)\S*@", "***@", text)


def is_address(url: str) -> bool:
    """Whether requests can be sent to a URL: HTTP, a host, a port from 1 to 65535, perhaps a path."""
    try:
        parts = urlsplit(url)
        return bool(re.fullmatch(r"https?://[!-~]+", url) and parts.hostname and parts.port != 0) and not (
            parts.query or parts.fragment
        )
    except ValueError:
        return False
