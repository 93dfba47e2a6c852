"""Secrets that are made up, where they have got to (as they are, and as JSON, YAML, HTML, a URL or base64 write them), and what is started."""

from __future__ import annotations

import base64
import html
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_plus

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def canary(name: str) -> str:
    """A text of its own, which each encoding writes in another way."""
    return f'cnry+{name}/"Kq7 é&~{sum(name.encode()) * 7919:x}=Zx3'


def plain_canary(name: str) -> str:
    """One of characters that a header and a URL may have."""
    return f"cnry{name}Kq7{sum(name.encode()) * 7919:x}Zx3vw9"


def parts_of_key(pem: str) -> dict[str, str]:
    """Lines of a certificate's key (RSA, PEM) that only the key has: it begins with the modulus, which the certificate has as well."""
    lines = pem.split("-----")[2].split()
    return {f"key's line {place}": lines[place] for place in range(len(lines) // 2, len(lines) - 1, 3)}


@cache
def forms(secret: str) -> frozenset[bytes]:
    """All that counts as that secret."""
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
def _sought(secret: str) -> frozenset[bytes]:
    return frozenset(map(_closed_up, forms(secret)))


def leaks(secrets: Mapping[str, str], text: str | bytes) -> set[str]:
    """The names of the secrets that a text holds, in whatever lines."""
    data = _closed_up(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return {name for name, secret in secrets.items() if any(form in data for form in _sought(secret))}


def leaks_in_files(secrets: Mapping[str, str], folder: Path, inputs: Iterable[Path]) -> dict[str, set[str]]:
    """The same of all files below a folder and their names, but those that a user put there."""
    given = set(inputs)
    files = [file for file in folder.rglob("*") if file not in given]
    found = {
        str(file.relative_to(folder)): leaks(secrets, (file.read_bytes() if file.is_file() else b"") + bytes(file))
        for file in files
    }
    return {name: names for name, names in found.items() if names}


_STARTS = {"subprocess.Popen": (0, 1, 3), "os.posix_spawn": (0, 1, 2), "os.exec": (0, 1, 2), "os.spawn": (1, 2, 3)}
"""By Python's audit event: which of its arguments are the program, the program's arguments and the environment."""


class Child(NamedTuple):
    """A process that was started."""

    arguments: bytes
    """With the program's path before them."""
    environment: bytes

    @property
    def command(self) -> str:
        """Its arguments, to read."""
        return self.arguments.replace(b"\0", b" ").decode(errors="replace")


_heard: list[Child] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _STARTS:
        program, given, environment = (arguments[place] for place in _STARTS[event])
        words = [given] if isinstance(given, str | bytes | os.PathLike) else given
        told = os.environ if environment is None else environment
        pairs = [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in told.items()]
        _heard.append(Child(b"\0".join(map(os.fsencode, [program or b"", *words])), b"\0".join(pairs)))


@cache
def _listen() -> None:
    """An audit hook can't be removed."""
    sys.addaudithook(_hear)


def recorded_children() -> list[Child]:
    """Every process that this one starts from now on, as Python's audit events tell it."""
    _listen()
    _heard.clear()
    return _heard
