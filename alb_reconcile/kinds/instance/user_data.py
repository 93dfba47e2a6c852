"""Adds the values of an entry to user data: as a file on the instance, without a change to the user data that the spec gives.

The result is a MIME multi-part archive, as cloud-init takes it (cloud-init, "User data formats"): a boothook writes the values before any other
part runs, and the spec's user data follows as it is. Parts of cloud-config would replace each other's lists.
"""

import base64
import shlex
from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.kinds.base import Around
from alb_reconcile.model.address import MAX_USER_DATA
from alb_reconcile.model.files import read_file
from alb_reconcile.model.text import digest, text_of

PATH: Final = "/etc/alb-reconcile/values"
"""Where an instance finds its values: lines that a shell can read (`. /etc/alb-reconcile/values`)."""
_TYPES: Final = {
    b"#!": "text/x-shellscript",
    b"#cloud-config-archive": "text/cloud-config-archive",
    b"#cloud-config-jsonp": "text/cloud-config-jsonp",
    b"#cloud-config": "text/cloud-config",
    b"#cloud-boothook": "text/cloud-boothook",
    b"#include-once": "text/x-include-once-url",
    b"#include": "text/x-include-url",
    b"#part-handler": "text/part-handler",
    b"## template: jinja": "text/jinja2",
}
"""How user data begins, and its type (cloud-init, `INCLUSION_TYPES_MAP`): a longer beginning before those that it begins with."""


def user_data_of(around: Around, entry: Mapping[str, Any]) -> bytes | None:
    """The user data that an entry gives, with its values; None where it gives none."""
    content = given_content(around, entry)
    values = values_of(entry)
    return with_values(content or b"", values) if values else content


def given_content(around: Around, entry: Mapping[str, Any]) -> bytes | None:
    """The user data of an entry as the spec or the file has it."""
    if "user_data_file" in entry:
        return read_file(around.folder / entry["user_data_file"], MAX_USER_DATA)
    return entry["user_data"].encode() if "user_data" in entry else None


def values_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """The values of an entry, as texts."""
    values = entry.get("user_data_values") or {}
    return {name: text_of(value) for name, value in values.items()}


def why_unfit(content: bytes) -> str:
    """Why values can't be added to user data; empty where they can."""
    if content.startswith(b"\x1f\x8b"):
        return "is compressed; give it as it is, or leave the values out"
    if content[:2000].lstrip().lower().startswith((b"content-type: multipart", b"mime-version:")):
        return "is a MIME archive already; give its parts' text instead, or leave the values out"
    if content and not _type_of(content):
        return "begins with neither #! nor #cloud-config, so an instance wouldn't run it beside values; begin it with one of them"
    return ""


def with_values(content: bytes, values: Mapping[str, str]) -> bytes:
    """User data that first writes the values to a file. The same arguments give the same bytes."""
    lines = "".join(f"{name}={shlex.quote(text)}\n" for name, text in sorted(values.items()))
    hook = f"#cloud-boothook\n#!/bin/sh\nmkdir -p {PATH.rpartition('/')[0]}\ncat > {PATH} <<'END OF VALUES'\n{lines}END OF VALUES\n"
    parts = [("text/cloud-boothook", hook.encode()), *([(_type_of(content), content)] if content else [])]
    boundary = f"alb-reconcile-{digest([text.hex() for _, text in parts], 16)}"
    head = f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n\n'
    body = b"".join(f"--{boundary}\n".encode() + _part(kind, text) + b"\n" for kind, text in parts)
    return head.encode() + body + f"--{boundary}--\n".encode()


def _part(kind: str, text: bytes) -> bytes:
    """A part of the archive. cloud-init decodes user data before it parses it, so that only ASCII gets through as it is: other text is
    encoded, which takes a third more."""
    encoding, body = ("7bit", text) if text.isascii() else ("base64", base64.encodebytes(text))
    head = f'Content-Type: {kind}; charset="utf-8"\nContent-Transfer-Encoding: {encoding}\n\n'
    return head.encode() + body


def _type_of(content: bytes) -> str:
    return next((kind for start, kind in _TYPES.items() if content.startswith(start)), "")
