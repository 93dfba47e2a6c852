"""Makes Envoy's LocalReplyConfig: the status, page and headers of answers that an Application Load Balancer gives itself."""

from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.sandbox.identity.service import STANDS_FOR_561
from alb_reconcile.sandbox.pages import word_page

SERVER: Final = "awselb/2.0"
# The status that an ALB answers (AWS ELB, "Troubleshoot"), with Envoy's flags for the causes: 502 without a connection, for a
# connection that ends too soon, and for an answer that isn't HTTP; 503 without a target; 504 without an answer in time.
_CAUSES: Final = (
    (502, ("UF", "UC", "UR", "UPE", "LR")),
    (503, ("UH", "NC", "UO", "URX")),
    (504, ("UT",)),
    (400, ("NR",)),
)


def own_answers(inserted: Mapping[str, str], tells_server: bool) -> dict[str, Any]:
    """Envoy's LocalReplyConfig. `inserted`: headers that the listener sets in all answers."""
    headers = [_header(key, value.replace("%", "%%")) for key, value in inserted.items()]
    headers += [_header("Server", SERVER)] if tells_server else []
    mappers = [_by_cause(status, flags) for status, flags in _CAUSES]
    mappers += [_by_cause(504, ("SI",), only=504), _by_cause(408, ("SI",), only=408)]
    mappers += [_by_cause(400, ("DPE",), only=400)]
    mappers += [_by_cause(561, ("UAEX",), only=STANDS_FOR_561), _by_cause(500, ("UAEX",), only=500)]
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
