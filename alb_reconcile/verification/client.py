"""Sends one request: over which connection, and what came back or went wrong, in words."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from alb_reconcile.model.files import read_file
from alb_reconcile.verification.attribution import Attribution, attribute
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.tls import Tls, read_tls

MAX_BODY: Final = 64 * 1024
"""Bytes of a body that are read; further bytes are ignored."""
LANES: Final = 4
"""Pools that requests for one host take turns in: at least as many connections."""
_LARGEST: Final = 16 * 1024 * 1024
"""The most bytes of a file of authorities."""
_IDLE: Final = 30.0
"""Seconds after which an idle connection isn't used again; the ALB closes it after 60 by default."""
_AGENT: Final = "alb-reconcile-verify"
_NO_COOKIES: Final = DefaultCookiePolicy(allowed_domains=[])
"""A cookie of stickiness would keep all requests on one target."""


@dataclass(frozen=True)
class Trust:
    """Which servers to trust with TLS: those of the system's authorities, of `ca_file`'s, or with `insecure` all; and the certificate,
    with its key, to show where one is asked for."""

    ca_file: str | None = None
    insecure: bool = False
    client_certificate: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """An address where a listener answers: what to connect to, and the listener's own port, which clients see."""

    host: str
    port: int
    listener_port: int
    tls: Trust | None = None


@dataclass(frozen=True)
class Shot:
    """One request to send. `key` comes back with the answer; `http` is 1.1 or 2.

    `check_name`: whether a certificate has to be the host's; its chain is checked anyway. `fresh`: over a connection that isn't used
    again. `keep_body`: whether the reply keeps the body. `anonymous`: from a client that isn't logged in, where the rule asks for a
    login.
    """

    key: str
    endpoint: Endpoint
    request: Request
    http: str = "1.1"
    check_name: bool = True
    fresh: bool = False
    keep_body: bool = False
    anonymous: bool = False

    @property
    def authority(self) -> str:
        """The Host header: as a browser sends it, with the port unless that is the scheme's own."""
        usual = 443 if self.endpoint.tls else 80
        port = self.endpoint.listener_port
        return self.request.host if port == usual else f"{self.request.host}:{port}"

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        query = urlencode(self.request.query)
        return f"{self.request.path}?{query}" if query else self.request.path


@dataclass(frozen=True)
class Reply:
    """The result of a request. `error` is its kind, as in `ERRORS`, or nothing; `detail` says more about the error."""

    status: int | None = None
    http: str = ""
    error: str = ""
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    target: str | None = None
    version: str | None = None
    seen: tuple[str, ...] = ()
    tls: Tls | None = None


ERRORS: Final = {
    "refused": "the connection is refused; is the load balancer active, and does its security group allow you?",
    "connect": "no connection; check the network and the load balancer's security group",
    "connect-timeout": "no connection within the time-out; check the load balancer's security group and your network",
    "timeout": "no whole answer within the time-out; is the service stuck, or --timeout too short?",
    "reset": "the connection was closed before a whole answer had come",
    "dns": "the name doesn't resolve; check it, and the network",
    "certificate": "the certificate isn't trusted; renew it, or name its authority with --ca-file",
    "name": "the certificate is for other names; add this name to it, or choose another certificate",
    "tls": "no TLS connection; does the listener speak HTTPS?",
    "protocol": "the answer isn't HTTP",
}
"""What each kind of error means and what to do."""
_MISNAMED: Final = (62, 64)
"""OpenSSL's codes for a certificate of other host names, and of other IP addresses."""
_BY_NUMBER: Final = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset"}


class Client:
    """Sends requests through a few pools of connections for each host. Close a client after use (`opened`)."""

    def __init__(self, attribution: Attribution, timeout: float) -> None:
        self._attribution = attribution
        self.timeout = timeout
        self._contexts: dict[tuple[Trust | None, str, bool], ssl.SSLContext] = {}
        self._lanes: dict[tuple[Endpoint, str, str, bool], deque[httpx.AsyncClient]] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls, attribution: Attribution, timeout: float) -> AsyncIterator[Client]:
        """A client for the length of a block. `timeout` in seconds, of one request from its start to its last byte."""
        client = cls(attribution, timeout)
        try:
            yield client
        finally:
            await asyncio.gather(*(lane.aclose() for lanes in client._lanes.values() for lane in lanes))

    def context(self, trust: Trust | None, http: str, *, check_name: bool) -> ssl.SSLContext:
        """Settings of TLS, separate for each HTTP version, since each connection sets what it offers."""
        key = (trust, http, check_name)
        if key not in self._contexts:
            self._contexts[key] = make_context(trust or Trust(insecure=True), check_name=check_name)
        return self._contexts[key]

    def _lane(self, shot: Shot) -> httpx.AsyncClient:
        key = (shot.endpoint, shot.request.host, shot.http, shot.check_name)
        lanes = self._lanes.setdefault(key, deque())
        if len(lanes) < LANES:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE)
            context = self.context(shot.endpoint.tls, shot.http, check_name=shot.check_name)
            lane = httpx.AsyncClient(
                http2=shot.http == "2",
                verify=context,
                limits=limits,
                timeout=self.timeout,
                cookies=CookieJar(_NO_COOKIES),
                trust_env=False,
            )
            lanes.appendleft(lane)
        else:
            lanes.rotate(1)
        return lanes[0]

    async def fire(self, shot: Shot) -> Reply:
        """Send one request and read its answer. Whatever goes wrong on the way is in the reply."""
        try:
            async with asyncio.timeout(self.timeout + 0.5):  # httpx bounds each step, and this bounds their sum
                return await self._fire(shot)
        # ValueError: httpcore may count a request twice that is cut short on HTTP/2 (encode/httpcore#1022)
        except (httpx.TransportError, httpx.StreamError, OSError, ssl.SSLError, ValueError) as error:
            kind, detail = classify(error)
            return Reply(error=kind, detail=detail)

    async def _fire(self, shot: Shot) -> Reply:
        endpoint, request = shot.endpoint, shot.request
        headers = {"Host": shot.authority, "Accept-Encoding": "identity", "User-Agent": _AGENT, **dict(request.headers)}
        if shot.fresh and shot.http == "1.1":
            headers["Connection"] = "close"
        # the target as it is: a path that rules tell apart mustn't be normalised
        extensions: dict[str, Any] = {"target": shot.target.encode()}
        if endpoint.tls is not None:
            extensions["sni_hostname"] = request.host
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        url = f"{'https' if endpoint.tls is not None else 'http'}://{host}:{endpoint.port}/"
        call = self._lane(shot).stream(request.method, url, headers=headers, extensions=extensions)
        async with call as response:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) >= MAX_BODY:
                    break
            origin = attribute(self._attribution, response.headers, bytes(body[:MAX_BODY]))
            return Reply(
                status=response.status_code,
                http=response.http_version.removeprefix("HTTP/"),
                headers=response.headers,
                body=bytes(body[:MAX_BODY]) if shot.keep_body else b"",
                target=origin.target,
                version=origin.version,
                seen=origin.seen,
                tls=_tls(response) if endpoint.tls is not None else None,
            )


def _tls(response: httpx.Response) -> Tls | None:
    stream = response.extensions.get("network_stream")
    return read_tls(stream.get_extra_info("ssl_object"), time.time()) if stream is not None else None


def make_context(trust: Trust, *, check_name: bool) -> ssl.SSLContext:
    """TLS settings for a client. Raises OSError if a file can't be read (ssl.SSLError: it has another content)."""
    context = _trusting(trust, check_name=check_name)
    if trust.client_certificate:
        context.load_cert_chain(trust.client_certificate, password="")  # no password is asked for
    return context


def _trusting(trust: Trust, *, check_name: bool) -> ssl.SSLContext:
    if trust.insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    # an empty file must not stand for the system's authorities
    chosen = read_file(trust.ca_file, _LARGEST).decode("ascii", "ignore") or "empty" if trust.ca_file else None
    context = ssl.create_default_context(cadata=chosen)
    context.check_hostname = check_name
    return context


def classify(error: BaseException) -> tuple[str, str]:
    """The kind of an error, as in `ERRORS`, and the system's own word for it."""
    causes = [error]
    while (cause := _cause(causes[-1])) is not None and cause not in causes:
        causes.append(cause)
    detail = next((_say(item) for item in reversed(causes) if str(item)), type(error).__name__)
    for item in causes:
        kind = _kind(item)
        if kind:
            return kind, detail
    if isinstance(error, httpx.ConnectTimeout):
        return "connect-timeout", ""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "timeout", ""
    if isinstance(error, httpx.RemoteProtocolError):
        return ("reset" if "disconnected" in str(error) else "protocol"), str(error)
    if isinstance(error, httpx.ConnectError):
        return "connect", detail
    return ("reset" if isinstance(error, httpx.NetworkError | ConnectionError) else "protocol"), detail


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):  # one for each address of a name
        return error.exceptions[0]
    return error.__cause__ or error.__context__


def _say(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _kind(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name" if error.verify_code in _MISNAMED else "certificate"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "dns"
    return _BY_NUMBER.get(error.errno or 0, "") if isinstance(error, OSError) else ""
