"""The small HTML pages with which a load balancer itself answers."""

from http import HTTPStatus
from typing import Final

_REASONS: Final = {503: "Service Temporarily Unavailable", 504: "Gateway Time-out", 561: "Unauthorized"}


def word_page(status: int) -> str:
    """The HTML page for an HTTP status."""
    title = f"{status} {_REASONS.get(status) or HTTPStatus(status).phrase}"
    lines = ("<html>", f"<head><title>{title}</title></head>", "<body>")
    return "\r\n".join((*lines, f"<center><h1>{title}</h1></center>", "</body>", "</html>", ""))
