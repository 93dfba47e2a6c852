"""Says what an answer has to be: a status that counts, the redirect, or the fixed response, as the ALB documents them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from alb_reconcile.model.actions import Action
from alb_reconcile.model.secrets import hide_query
from alb_reconcile.verification.client import Reply, Shot

_PORTS: Final = {"http": 80, "https": 443}
_ALB_SAYS: Final = {
    502: "the load balancer got no valid answer from a target: it refuses or resets connections, or answers no HTTP",
    503: "no target is registered, or all are unused, or the service itself or a fixed response says so",
    504: "a target didn't answer in time, or can't be connected to: check its security group",
}


@dataclass(frozen=True)
class Statuses:
    """HTTP statuses that count as an answer."""

    text: str
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Statuses:
        """The statuses in a text: `200`, `200-399`, `200,301-308`. Raises ValueError."""
        ranges = []
        for part in text.split(","):
            match = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", part.strip())
            if match is None or int(match[1]) > int(match[2] or match[1]):
                raise ValueError(f"{text!r} isn't a list of statuses; write 200, 200-399 or 200,301-308")
            ranges.append((int(match[1]), int(match[2] or match[1])))
        return cls(text, tuple(ranges))

    def __contains__(self, status: int) -> bool:
        return any(first <= status <= last for first, last in self.ranges)


ANSWERED: Final = Statuses("below 500", ((100, 499),))


def mismatch(action: Action, shot: Shot, reply: Reply, statuses: Statuses, ports: Mapping[int, int]) -> str:
    """How an answer differs from what the action says, in words, or nothing.

    `ports`: the local ports that may stand for listeners' ports in a redirect, where the two differ.
    """
    if reply.status is None:
        raise AssertionError("only an answer can be compared")
    if action.redirect:
        return _redirect(dict(action.redirect), shot, reply, ports)
    if action.forward:
        if reply.status in statuses:
            return ""
        hint = _ALB_SAYS.get(reply.status)
        return f"status {reply.status} instead of {statuses.text}" + (f" ({hint})" if hint else "")
    return _fixed(dict(action.fixed_response), shot, reply)


def _redirect(wanted: Mapping[str, str], shot: Shot, reply: Reply, ports: Mapping[int, int]) -> str:
    status = int(wanted["status_code"].removeprefix("HTTP_"))
    if reply.status != status:
        return f"status {reply.status} instead of the redirect's {status}"
    location, expected = reply.headers.get("location", ""), redirect_location(wanted, shot)
    if _normal(location, ports) != _normal(expected, {}):
        found, right = hide_query(location), hide_query(expected)
        return f'redirected to "{found}" instead of ' + ("the right query" if found == right else f'"{right}"')
    return ""


def redirect_location(wanted: Mapping[str, str], shot: Shot) -> str:
    """The URL to which a redirect leads, its placeholders filled in from the request (ELBv2 RedirectActionConfig)."""
    scheme = "https" if shot.endpoint.tls is not None else "http"
    values = {
        "#{protocol}": scheme,
        "#{host}": shot.request.host,
        "#{port}": str(shot.endpoint.listener_port),
        "#{path}": shot.request.path.removeprefix("/"),
        "#{query}": urlencode(shot.request.query),
    }

    def fill(key: str, default: str) -> str:
        return re.sub(r"#\{[a-z]+\}", lambda match: values.get(match[0], match[0]), wanted.get(key, default))

    query = fill("query", "#{query}")
    place = f"{fill('protocol', '#{protocol}').lower()}://{fill('host', '#{host}')}:{fill('port', '#{port}')}"
    return f"{place}{fill('path', '/#{path}')}" + (f"?{query}" if query else "")


def _normal(location: str, ports: Mapping[int, int]) -> tuple[object, ...]:
    """The significant parts of a location: without case in the host, with the port that the scheme implies."""
    try:
        parts = urlsplit(location)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return (location,)
    return parts.scheme, parts.hostname, ports.get(port or 0, port), parts.path or "/", parts.query


def _fixed(wanted: Mapping[str, str], shot: Shot, reply: Reply) -> str:
    status = int(wanted["status_code"])
    if reply.status != status:
        return f"status {reply.status} instead of the fixed response's {status}"
    body = wanted.get("message_body", "").encode()
    if shot.request.method != "HEAD" and reply.body != body:
        return "the body isn't the fixed response's"
    kind = wanted.get("content_type", "text/plain")
    found = reply.headers.get("content-type", "")
    if body and found.partition(";")[0].strip().lower() != kind.lower():
        return f'the content type is "{found}" instead of "{kind}"'
    return ""
