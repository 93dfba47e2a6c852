"""Serves the sandbox's provider and gatekeeper, on one port of this machine."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from alb_reconcile.sandbox.identity.claims import Signer
from alb_reconcile.sandbox.identity.gatekeeper import Asked, Gatekeeper, Verdict
from alb_reconcile.sandbox.identity.guards import Guard
from alb_reconcile.sandbox.identity.places import slug_of
from alb_reconcile.sandbox.identity.provider import Provider

HOST: Final = "127.0.0.1"
CHECKS: Final = "/alb-reconcile/checks"
"""The path at which a load balancer asks whether a request may pass: CHECKS/KEY, followed by the request's own path."""
KEYS: Final = "/public-keys"
"""The path of the public keys that verify user claims: KEYS/KID, in place of https://public-keys.auth.elb.REGION.amazonaws.com/KID."""
STANDS_FOR_561: Final = 461
"""The status that Envoy gets instead of 561, and changes back to 561: Envoy takes a status of 500 or more for a failed check."""
_POLL: Final = 0.05  # seconds within which the server notices `close`
_REMOVE: Final = "x-envoy-auth-headers-to-remove"


class _Handler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # werkzeug's name for it
        """Logs nothing: requests contain codes and tokens."""


class Service:
    """Serves provider and gatekeeper from its own thread until it is closed. `now` is the time of day."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._signer, self._provider = Signer(), Provider(now)
        self._server = make_server(HOST, 0, self._respond, threaded=True, request_handler=_Handler)
        self.port: int = self._server.port
        self.url = f"http://{HOST}:{self.port}"
        """The provider's address, for load balancers and browsers."""
        self.gatekeeper = Gatekeeper(self.url, self._signer, now)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        serve = partial(self._server.serve_forever, poll_interval=_POLL)
        self._thread = threading.Thread(target=serve, name="identity", daemon=True)
        self._thread.start()

    def know(self, guards: Mapping[str, Guard]) -> None:
        """Replace all guards."""
        self._provider.issuers = {slug_of(guard.issuer): guard.issuer for guard in guards.values()}
        self.gatekeeper.guards = dict(guards)

    def close(self) -> None:
        """Stop the server and wait for its thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.gatekeeper.close()

    def _respond(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        path = request.path
        if path.startswith(f"{CHECKS}/"):
            response = self._check(request)
        elif path == f"{KEYS}/{self._signer.kid}":
            response = Response(self._signer.public_key, mimetype="text/plain")
        elif path == "/":
            response = Response(self._welcome(), mimetype="text/plain")
        else:
            response = self._provider.answer(request)
        return response(environ, start_response)

    def _check(self, request: Request) -> Response:
        raw = str(
            request.environ.get("REQUEST_URI") or request.full_path
        )  # a path that rules tell apart stays as it is
        key, _, target = raw.removeprefix(f"{CHECKS}/").partition("/")
        asked = Asked(request.host, f"/{target}", request.cookies, request.headers.get("Authorization", ""))
        return _worded(self.gatekeeper.decide(unquote(key), asked))

    def _welcome(self) -> str:
        issuers = sorted(self._provider.issuers.items(), key=lambda item: item[1])
        lines = [f"{issuer}: {self.url}/{slug}/.well-known/openid-configuration" for slug, issuer in issuers]
        title = "The provider of alb-reconcile's sandbox stands for:" if lines else "No load balancer asks who comes."
        return "\n".join([title, *lines, ""])


def _worded(verdict: Verdict) -> Response:
    response = Response(verdict.body, STANDS_FOR_561 if verdict.status == 561 else verdict.status)
    del response.headers["Content-Type"]
    for name, value in verdict.headers:
        response.headers.add(name, value.encode().decode("latin-1"))  # WSGI takes UTF-8 bytes as latin-1 text
    for cookie in verdict.cookies:
        response.headers.add("Set-Cookie", cookie)
    if verdict.removed:
        response.headers.set(_REMOVE, ",".join(verdict.removed))
    return response
