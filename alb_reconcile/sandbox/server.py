"""The sandbox's own process: the strict emulator behind HTTP, on a socket that `alb_reconcile.local` opened."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from alb_reconcile.local import HOST, IDENTITY, Sandbox, now_text, read_state
from alb_reconcile.sandbox.strict import StrictAws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOOK = 2.0
"""Seconds between looks at the state file: without it nobody can find this process any more."""


class Application:
    """moto's application, and an address where the sandbox says who it is and can be emptied."""

    def __init__(self, sandbox: Sandbox, empty: Callable[[], None]) -> None:
        self.sandbox = sandbox
        self.empty = empty
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("PATH_INFO") != IDENTITY:
            answer: Iterable[bytes] = self.moto(environ, start_response)
            return answer
        if environ["REQUEST_METHOD"] == "POST":
            if environ.get("HTTP_X_TOKEN") != self.sandbox.token:
                start_response("403 Forbidden", [("Content-Type", "application/json")])
                return [b"{}"]
            self.empty()
        body = json.dumps({"pid": self.sandbox.pid, "token": self.sandbox.token}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def main() -> None:
    """Serve until SIGTERM, or until the state file is gone."""
    parser = argparse.ArgumentParser(prog="python -m alb_reconcile.sandbox.server")
    parser.add_argument("--listener", type=int, required=True, help="the listening socket's descriptor")
    parser.add_argument(
        "--lock", type=int, required=True, help="the descriptor of the lock to let go when serving"
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--token", required=True)
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    strict = StrictAws(lambda: time.monotonic() * args.speed, mock=False)
    strict.install()

    server = make_server(
        HOST, 0, lambda *_: [], threaded=True, request_handler=MotoRequestHandler, fd=args.listener
    )
    sandbox = Sandbox(os.getpid(), server.port, args.speed, now_text(), args.token)
    server.app = Application(sandbox, lambda: _empty(strict))
    sandbox.write(args.state)
    os.close(args.lock)
    threading.Thread(target=_end_without, args=(args.state, sandbox), daemon=True).start()
    server.serve_forever()


def _empty(strict: StrictAws) -> None:
    with strict._lock:  # between two requests
        moto_api_backend.reset()


def _end_without(state: Path, sandbox: Sandbox) -> None:
    while read_state(state) == sandbox:
        time.sleep(_LOOK)
    os._exit(0)


if __name__ == "__main__":
    main()
