"""Checks a queue's messages before Celery reads them: only what this program sends is let through, built again from its parts."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from alb_reconcile.fleet.cells import LARGEST, MessageError
from alb_reconcile.model.text import printable

TASK: Final = "alb_reconcile.fleet.run_cell"
_Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]{1,64}\Z")]


class _Headers(msgspec.Struct):
    task: str
    id: _Id
    eta: None = None
    expires: datetime | None = None


class _Properties(msgspec.Struct):
    delivery_tag: Any
    delivery_info: dict[str, Any]


class _Envelope(msgspec.Struct):
    headers: _Headers
    properties: _Properties
    body: Annotated[str, msgspec.Meta(max_length=8 * LARGEST)]
    content_type: str = msgspec.field(name="content-type")
    content_encoding: str = msgspec.field(name="content-encoding")


def rebuild(raw: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """The message that Celery gets: the task, its id, when it expires, one text; and the fields that the broker added.

    Celery itself ends the worker on some messages, keeps messages for the future in memory, and follows messages that name further
    tasks. Raises MessageError for a message that this program doesn't send.
    """
    try:
        found = msgspec.convert(raw, _Envelope)
        if (found.content_type, found.content_encoding) != ("application/json", "utf-8"):
            raise MessageError(f"the message isn't JSON but {_shown(found.content_type)}")
        if found.headers.task != TASK:
            raise MessageError(f"the message is for {_shown(found.headers.task)}, and workers do {TASK} only")
        text = _text_of(found.body)
    except (msgspec.ValidationError, binascii.Error, ValueError, RecursionError) as error:
        raise MessageError(f"the message isn't one of this program's: {printable(str(error))[:200]}") from None
    expires = found.headers.expires.isoformat() if found.headers.expires else None
    given = found.properties
    place = {"exchange": "", "routing_key": queue}
    kept = {key: given.delivery_info[key] for key in _BROKERS if key in given.delivery_info}
    return {
        "body": json.dumps([[text], {}, {}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": TASK, "id": found.headers.id, "expires": expires, "argsrepr": "", "kwargsrepr": ""},
        "properties": {"delivery_tag": given.delivery_tag, "delivery_info": {**place, **kept}, "body_encoding": None},
    }  # fmt: skip


_BROKERS: Final = ("sqs_message", "sqs_queue", "deliveries", "redelivered")
"""Fields that the broker sets, and not the sender."""


def text_of(raw: Mapping[str, Any]) -> str:
    """The cell's message in a queue's message, as text for people; a message that can't be read is shown as it is."""
    try:
        return printable(_text_of(raw["body"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return printable(str(raw))[:200]


def _text_of(body: object) -> str:
    """The task's one argument. Raises ValueError or TypeError for any other body."""
    if not isinstance(body, str):
        raise TypeError("its body isn't text")
    args, named, _ = json.loads(base64.b64decode(body, validate=True) if not body.startswith("[") else body)
    if len(args) != 1 or not isinstance(args[0], str) or named:
        raise ValueError("it doesn't have one argument")
    return str(args[0])


def _shown(text: str) -> str:
    return f'"{printable(text[:60])}"'
