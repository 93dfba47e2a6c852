"""Refuses answers that AWS didn't send: a proxy's page, a captive portal's page, or the first part of an answer that broke off."""

import re
from contextvars import ContextVar
from typing import Any, Final

from alb_reconcile.model.text import printable

HINT: Final = "something between this machine and AWS may have answered: check the proxy and the endpoint"
_ROOT: Final = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?\s*<([A-Za-z_][\w.:-]*)")
_SHOWN: Final = 80

_FOREIGN: ContextVar[str] = ContextVar("foreign", default="")
"""The status and first words of the last answer to this thread's call, if the answer wasn't AWS's."""


class ForeignAnswerError(Exception):
    """An answer isn't AWS's, so that botocore must not read it; the text says the answer's status and first words."""


def check_answer(*, response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    """Refuse an answer that isn't in the service's protocol (botocore's event before-parse).

    botocore takes a well-formed page for an answer that lists nothing. A page with a server's error is left to botocore's
    retries. Raises ForeignAnswerError.
    """
    _FOREIGN.set("")
    body, status = response_dict["body"], int(response_dict["status_code"])
    if not isinstance(body, bytes) or not body.strip():
        return  # a stream, or nothing
    protocol = str(operation_model.service_model.resolved_protocol)
    if _is_complete(body, "json" if status < 300 and _is_text(operation_model) else protocol):
        return
    _FOREIGN.set(described := _describe(status, body))
    if status < 500:
        raise ForeignAnswerError(described)
    response_dict["body"] = b""  # so that botocore takes the status for the error


def _is_text(operation_model: Any) -> bool:
    """Whether all of the answer is one text: S3 GetBucketPolicy's, in JSON."""
    shape = operation_model.output_shape
    payload = shape.serialization.get("payload") if shape is not None else None
    return payload is not None and shape.members[payload].type_name == "string"


def foreign_answer() -> str:
    """The status and first words of the last answer to this thread's call, if it wasn't AWS's; else empty."""
    return _FOREIGN.get()


def _is_complete(body: bytes, protocol: str) -> bool:
    if protocol in ("json", "rest-json"):
        return body.lstrip().startswith(b"{") and body.rstrip().endswith(b"}")
    if protocol not in ("ec2", "query", "rest-xml"):
        return True  # a protocol that no service had when this was written
    root = _ROOT.match(body)
    if root is None or root[1].lower() == b"html":
        return False
    end = body.rstrip()
    return end.endswith(b"</" + root[1] + b">") or (end.endswith(b"/>") and end.count(b"<") <= 2)


def _describe(status: int, body: bytes) -> str:
    words = re.sub(r"\s+", " ", body[: 4 * _SHOWN].decode("utf-8", "replace")).strip()
    return printable(f'status {status} with "{words[:_SHOWN]}{"…" if len(words) > _SHOWN else ""}"')
