"""Secrets that are made up, and where they have got to: as they are, and as JSON, YAML, HTML, a URL or base64 would write them."""

from __future__ import annotations

import base64
import html
import json
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def canary(name: str) -> str:
    """A text of its own, which each encoding writes in another way."""
    return f'cnry+{name}/"Kq7 é&~{sum(name.encode()) * 7919:x}=Zx3'


def plain_canary(name: str) -> str:
    """One of characters that a header and a URL may have."""
    return f"cnry{name}Kq7{sum(name.encode()) * 7919:x}Zx3vw9"


def parts_of_key(pem: str) -> dict[str, str | bytes]:
    """Parts of a certificate's key (RSA, PEM) that only the key has, as text and as what that stands for (DER).

    It begins with the modulus, which the certificate has as well.
    """
    lines = pem.split("-----")[2].split()
    places = range(len(lines) // 2, len(lines) - 1, 3)
    parts: dict[str, str | bytes] = {f"key's line {place}": lines[place] for place in places}
    return parts | {f"key's bytes {place}": base64.b64decode(lines[place]) for place in places}


@cache
def forms(secret: str | bytes) -> frozenset[bytes]:
    """All that counts as that secret."""
    if isinstance(secret, bytes):
        return _encoded(secret) | {secret, repr(secret)[2:-1].encode()}
    texts = {
        secret,
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        _in_yaml(secret, allow_unicode=True),
        _in_yaml(secret, allow_unicode=False),
        html.escape(secret, quote=True),
        html.escape(secret, quote=False),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    return frozenset(text.encode() for text in texts) | _encoded(secret.encode())


def _in_yaml(secret: str, *, allow_unicode: bool) -> str:
    """Between double quotes, in one line."""
    written = yaml.safe_dump(secret, default_style='"', width=len(secret) * 10, allow_unicode=allow_unicode)
    return str(written).strip()[1:-1]


def _encoded(data: bytes) -> frozenset[bytes]:
    found = {data.hex().encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):  # a secret in the midst of something that is encoded
            whole = encode(b"\0" * before + data)
            found.add(whole[(0, 2, 3)[before] : -4])
    return frozenset(found)


def _closed_up(data: bytes) -> bytes:
    """Without blanks, ends of lines and backslashes: YAML, base64 and whoever wraps lines break a text in two."""
    return data.translate(None, b" \t\r\n\\")


@cache
def _sought(secret: str | bytes) -> frozenset[bytes]:
    return frozenset(map(_closed_up, forms(secret)))


def leaks(secrets: Mapping[str, str | bytes], text: str | bytes) -> set[str]:
    """The names of the secrets that a text holds, in whatever lines."""
    data = _closed_up(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return {name for name, secret in secrets.items() if any(form in data for form in _sought(secret))}


def leaks_in_files(secrets: Mapping[str, str | bytes], folder: Path, inputs: Iterable[Path]) -> dict[str, set[str]]:
    """The same of all files below a folder and their names, but those that a user put there."""
    given = set(inputs)
    files = [file for file in folder.rglob("*") if file not in given]
    found = {
        str(file.relative_to(folder)): leaks(secrets, (file.read_bytes() if file.is_file() else b"") + bytes(file))
        for file in files
    }
    return {name: names for name, names in found.items() if names}
