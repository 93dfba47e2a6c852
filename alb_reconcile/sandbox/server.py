"""The sandbox's own process: the strict emulator behind HTTP, on a socket that `alb_reconcile.sandbox.client` opened."""

import argparse
import io
import json
import logging
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from alb_reconcile.model.errors import ReconcileError
from alb_reconcile.model.host import iso
from alb_reconcile.sandbox.allowed_services import SERVICES, refuse_pages, service_of
from alb_reconcile.sandbox.client import (
    HOST,
    IDENTITY,
    METADATA,
    OBJECTS,
    PREPARATION,
    TRAFFIC,
    Sandbox,
    Traffic,
    read_state,
)
from alb_reconcile.sandbox.metadata import Metadata
from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.aws import READING
from alb_reconcile.sandbox.strict.world import World
from alb_reconcile.sandbox.traffic.driver import Driver

_LOOK: Final = 2.0
"""Seconds between checks that the state file exists: without it, no command can find this process."""
_REPORT: Final = 5.0
"""The most seconds that a report of the traffic waits to be up to date."""
_THROTTLING: Final = "ALB_RECONCILE_SANDBOX_THROTTLING"
_SHARE: Final = re.compile(r"[01]|0?\.\d{1,3}")
_ENDING: Final = threading.Lock()
_ILL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
"""Characters that XML 1.0 and JSON can't contain unescaped. moto copies them from requests into its answers."""
_ACTION: Final = re.compile(rb"(?:^|&)Action=(\w+)")


class Application:
    """The WSGI application: moto's services, the instances' metadata service, and the sandbox's own paths. One reports the traffic; the
    others, which need the sandbox's token, identify it, empty it, make resources, and store objects."""

    def __init__(
        self,
        sandbox: Sandbox,
        empty: Callable[[], None],
        prepare: Callable[..., list[str]],
        store: Callable[[str, str, str, bytes], str],
        metadata: Metadata,
        driver: Driver | None,
    ) -> None:
        self.sandbox = sandbox
        self.empty, self.prepare, self.store = empty, prepare, store
        self.metadata, self.driver = metadata, driver
        self._services: dict[str, Any] = {}
        self._making = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        if refusal := refuse_pages(environ, self.sandbox.port):
            return _refuse(start_response, refusal)
        path: str = environ.get("PATH_INFO", "")
        if path.startswith(METADATA):
            instance_id, _, below = path.removeprefix(METADATA + "/").partition("/")
            status, text = self.metadata.answer(instance_id, environ["REQUEST_METHOD"], f"/{below}", environ)
            return _plain(start_response, status, text)
        if path == TRAFFIC:
            if self.driver is not None:
                self.driver.catch_up(_REPORT)  # load balancers may have become active since the last look
            return _json(start_response, asdict(self.driver.report() if self.driver else Traffic()))
        if path not in (IDENTITY, PREPARATION, OBJECTS):
            return self._of_aws(environ, start_response)
        if not secrets.compare_digest(environ.get("HTTP_X_TOKEN", "").encode(), self.sandbox.token.encode()):
            return _json(start_response, {}, "403 Forbidden")
        if environ["REQUEST_METHOD"] == "POST":
            if path == PREPARATION:
                return _json(start_response, {"made": self.prepare(**json.loads(_body(environ)))})
            if path == OBJECTS:
                place = dict(parse_qsl(environ["QUERY_STRING"]))
                version = self.store(place["region"], place["bucket"], place["key"], _body(environ))
                return _json(start_response, {"version": version})
            self.empty()
            if self.driver is not None:
                self.driver.clear()
        return _json(start_response, {"pid": self.sandbox.pid, "token": self.sandbox.token})

    def _of_aws(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """moto's answer to a request. It is returned after the traffic's driver has taken the request's changes over.

        A request that changes something is processed after all changes that are due by now have reached the load balancers.
        """
        service = service_of(environ)
        if service is None:
            return _refuse(start_response, f"The sandbox serves signed requests to {', '.join(SERVICES)} only.")
        changes = self.driver is not None and _changes(environ)
        if changes and self.driver is not None:
            self.driver.keep_up()
        answer: Iterable[bytes] = self._service(service)(environ, start_response)
        if service not in ("s3", "sqs"):  # objects and messages stay as they were sent
            answer = _well_formed(answer)
        if changes and self.driver is not None:
            self.driver.catch_up()
        return answer

    def _service(self, name: Any) -> Any:
        """moto's application for a service, made at its first use. moto's dispatcher would also serve moto's API, and Lambda in
        containers."""
        with self._making:
            if name not in self._services:
                self._services[name] = create_backend_app(name)
            return self._services[name]


def _well_formed(answer: Iterable[bytes]) -> list[bytes]:
    try:
        return [_ILL.sub(lambda found: b"?" * len(found[0]), part) for part in answer]
    finally:
        getattr(answer, "close", lambda: None)()


def _refuse(start_response: Any, why: str) -> list[bytes]:
    return _plain(start_response, "403 Forbidden", f"{why}\n")


def _plain(start_response: Any, status: str, text: str) -> list[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


def _json(start_response: Any, told: object, status: str = "200 OK") -> list[bytes]:
    body = json.dumps(told).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _changes(environ: dict[str, Any]) -> bool:
    """Whether a request is one of EC2 or ELBv2 that may change something. Its body can be read again."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return False
    body = _body(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    action = _ACTION.search(body)
    return action is not None and not action[1].decode().startswith(READING)


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def main() -> None:
    """Serve until SIGTERM, or until the state file is deleted."""
    args = _parse()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    strict = StrictAws(
        lambda: time.monotonic() * args.speed, mock=False, throttling=_left_by_others(args.failure), limited=True
    )
    strict.install()
    server = make_server(HOST, 0, lambda *_: [], threaded=True, request_handler=MotoRequestHandler, fd=args.listener)
    driver, ca_file, provider = None, None, None
    if args.traffic == "on":
        try:
            driver, ca_file, provider = _carry_traffic(args, strict, f"http://{HOST}:{server.port}")
        except (ReconcileError, OSError) as error:
            args.failure.write_text(str(error), encoding="utf-8")
            sys.exit(1)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, args=(driver,)).start())
    sandbox = Sandbox(
        os.getpid(),
        server.port,
        args.speed,
        iso(time.time()),
        secrets.token_hex(16),
        driver is not None,
        args.serve,
        ca_file,
        args.lag,
        args.serve_ports,
        provider,
        _serve_names(strict),
    )
    server.app = Application(
        sandbox,
        lambda: _empty(strict, args.state),
        lambda **named: _prepare(strict, args.state.parent, **named),
        lambda *given: _store(strict, *given),
        Metadata(strict),
        driver,
    )
    sandbox.write(args.state)
    os.close(args.lock)
    threading.Thread(target=_end_without, args=(args.state, sandbox, driver), daemon=True).start()
    server.serve_forever()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m alb_reconcile.sandbox.server")
    parser.add_argument("--listener", type=int, required=True, help="the listening socket's descriptor")
    parser.add_argument("--lock", type=int, required=True, help="the descriptor of the lock to let go when serving")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--failure", type=Path, required=True, help="where to say why it can't start")
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument(
        "--lag", type=float, required=True, help="seconds of AWS until a change reaches the load balancers"
    )
    parser.add_argument("--traffic", choices=("on", "off"), required=True)
    parser.add_argument("--serve", default="", help="the user's own web API")
    parser.add_argument("--serve-ports", required=True, help="where instances listen, with commas between")
    parser.add_argument("--cwd", type=Path, required=True, help="where to run that")
    return parser.parse_args()


def _left_by_others(failure: Path) -> float:
    """The share of AWS's request limits that the sandbox enforces; 0: it doesn't throttle."""
    text = os.environ.get(_THROTTLING) or "0"
    if not _SHARE.fullmatch(text):
        failure.write_text(f"{_THROTTLING} is {text!r}; set it to 1, or to 0.1 as if others left a tenth", "utf-8")
        sys.exit(1)
    return float(text)


def _carry_traffic(args: argparse.Namespace, strict: StrictAws, endpoint: str) -> tuple[Driver, str, str]:
    """The driver of the load balancers' traffic, the file of its CA certificate, and the address of the identity provider.

    `endpoint`: the URL of the API, which the instances' applications use. Raises TrafficError, OSError.
    """
    from alb_reconcile.sandbox.traffic.driver import Driver
    from alb_reconcile.sandbox.traffic.front import Front
    from alb_reconcile.sandbox.traffic.log_delivery import put_events, put_object
    from alb_reconcile.sandbox.traffic.log_events import LogEvents
    from alb_reconcile.sandbox.traffic.logbook import Logbook
    from alb_reconcile.sandbox.traffic.moto_snapshot import take_snapshot
    from alb_reconcile.sandbox.traffic.prober import Prober
    from alb_reconcile.sandbox.traffic.processes import Processes, Program

    folder = args.state.parent
    processes = Processes(Program.choose(args.serve, args.cwd), folder / "instances", endpoint=endpoint)
    strict.console = processes.console
    front = Front(folder / "front", args.speed)
    prober = Prober(strict.clock, args.speed)
    ports = tuple(map(int, args.serve_ports.split(",")))
    logs = Logbook(front.records, front.targets, put_object, args.speed)
    events = LogEvents(lambda *given: put_events(strict, *given))
    driver = Driver(strict, lambda: take_snapshot(strict, ports), front, processes, prober, args.lag, logs, events)
    return driver, str(front.ca_file), front.provider_url


def _serve_names(strict: StrictAws) -> int:
    """Start the name server of the hosted zones. Returns its port."""
    from alb_reconcile.sandbox.names.answers import Found, take_book
    from alb_reconcile.sandbox.names.server import NameServer

    def ask(name: str, kind: str) -> Found:
        with strict._lock:
            return take_book(strict.clock()).answer(name, kind)

    return NameServer(ask).port


def _empty(strict: StrictAws, state: Path) -> None:
    with strict._lock:  # no request is processed meanwhile
        moto_api_backend.reset()
    os.utime(state)  # history from before that time is of the former content


def _prepare(
    strict: StrictAws,
    folder: Path,
    region: str = "",
    states: Sequence[Any] = (),
    lookups: Sequence[Any] = (),
    roles: Sequence[dict[str, str]] = (),
) -> list[str]:
    from alb_reconcile.sandbox.fixtures import make_others
    from alb_reconcile.sandbox.roles import make_roles

    if roles:
        with strict._lock:  # no request is processed meanwhile
            return make_roles(list(roles))
    return make_others(strict, region, list(states), list(lookups), folder)


def _store(strict: StrictAws, region: str, bucket: str, key: str, content: bytes) -> str:
    from alb_reconcile.sandbox.buckets import store_object

    with strict._lock:
        return store_object(World(DEFAULT_ACCOUNT_ID, region), bucket, key, content)


def _end(driver: Driver | None) -> None:
    """End the traffic's processes, then this one, which answers until then: a command that waits for the end doesn't see it too early."""
    with _ENDING:
        if driver is not None:
            driver.close()
        os._exit(0)


def _end_without(state: Path, sandbox: Sandbox, driver: Driver | None) -> None:
    while read_state(state) == sandbox:
        time.sleep(_LOOK)
    _end(driver)


if __name__ == "__main__":
    main()
