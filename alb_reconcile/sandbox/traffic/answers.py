"""The answers that a load balancer gives itself, as an Application Load Balancer words them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

SERVER: Final = "awselb/2.0"
_REASONS: Final = {503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}
# What Envoy calls the cause, and the status that an ALB gives for it (AWS ELB, "Troubleshoot"): no connection, one
# that ends too soon, an answer that is no HTTP; no target; no answer in time.
_CAUSES: Final = (
    (502, ("UF", "UC", "UR", "UPE", "LR")),
    (503, ("UH", "NC", "UO", "URX")),
    (504, ("UT",)),
    (400, ("NR",)),
)


def word_page(status: int) -> str:
    """The small HTML page that comes with a status."""
    title = f"{status} {_REASONS.get(status) or HTTPStatus(status).phrase}"
    lines = ("<html>", f"<head><title>{title}</title></head>", "<body>")
    return "\r\n".join((*lines, f"<center><h1>{title}</h1></center>", "</body>", "</html>", ""))


def own_answers(inserted: Mapping[str, str], tells_server: bool) -> dict[str, Any]:
    """Envoy's LocalReplyConfig. `inserted`: headers that all answers of the listener get."""
    headers = [_header(key, value.replace("%", "%%")) for key, value in inserted.items()]
    headers += [_header("Server", SERVER)] if tells_server else []
    mappers = [_by_cause(status, flags) for status, flags in _CAUSES]
    mappers += [_by_cause(504, ("SI",), only=504), _by_cause(408, ("SI",), only=408)]
    mappers += [_by_cause(400, ("DPE",), only=400)]
    rest = {"filter": {"status_code_filter": _comparison("GE", 0)}}
    return {"mappers": [mapper | {"headers_to_add": headers} for mapper in (*mappers, rest)]}


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _comparison(how: str, status: int) -> dict[str, Any]:
    return {"comparison": {"op": how, "value": {"default_value": status, "runtime_key": "unset"}}}


def _by_cause(status: int, flags: tuple[str, ...], only: int | None = None) -> dict[str, Any]:
    cause: dict[str, Any] = {"response_flag_filter": {"flags": list(flags)}}
    if only is not None:
        cause = {"and_filter": {"filters": [cause, {"status_code_filter": _comparison("EQ", only)}]}}
    return {
        "filter": cause,
        "status_code": status,
        "body_format_override": {
            "text_format_source": {"inline_string": word_page(status)},
            "content_type": "text/html",
        },
    }
