"""Local servers that stand for load balancers: well-behaved ones, over TLS too, and broken ones."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import trustme

Answer = tuple[int, Mapping[str, str], bytes]
Route = Callable[[str, str, str, Mapping[str, str]], Answer]
"""From method, host, target (path and query) and headers."""


def api(instance: str, **more: Any) -> Answer:
    """What the demo's web API answers, as far as it matters."""
    body = json.dumps({"instance_id": instance, "version": "v1", **more}).encode()
    return 200, {"Content-Type": "application/json", "X-Instance-Id": instance}, body


def in_turn(*instances: str) -> Route:
    """A load balancer that takes turns."""
    turns, lock = itertools.cycle(instances), threading.Lock()

    def route(method: str, host: str, target: str, headers: Mapping[str, str]) -> Answer:
        with lock:
            return api(next(turns))

    return route


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error."""


class Front:
    """A server that answers as `route` says. `log` has (method, host, target), `connections` those that were opened."""

    def __init__(self, route: Route, context: ssl.SSLContext | None = None) -> None:
        self.route = route
        self.log: list[tuple[str, str, str]] = []
        self.connections = 0
        self.server = _Server(("127.0.0.1", 0), self._handler())
        if context is not None:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]

    def _handler(front) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # the handler inside has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes

            def setup(self) -> None:
                super().setup()
                front.connections += 1

            def log_message(self, *_: Any) -> None:
                """Nothing."""

            def _answer(self) -> None:
                host = self.headers.get("Host", "")
                front.log.append((self.command, host, self.path))
                status, headers, body = front.route(self.command, host, self.path, dict(self.headers))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_OPTIONS = do_DELETE = _answer  # noqa: N815  # http.server's names

        return Handler


@contextmanager
def front(route: Route, context: ssl.SSLContext | None = None) -> Iterator[Front]:
    """A `Front` that serves for the length of a block."""
    found = Front(route, context)
    thread = threading.Thread(target=found.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join()
        found.server.server_close()


@contextmanager
def broken(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where each connection is treated as `behave` says, and then closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                connection, _ = listener.accept()
                held.append(connection)
                threading.Thread(target=_treat, args=(connection, behave), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


def _treat(connection: socket.socket, behave: Callable[[socket.socket], None]) -> None:
    with suppress(OSError):
        behave(connection)


def hang(connection: socket.socket) -> None:
    """Take the request, and never answer."""
    while connection.recv(4096):
        pass


def reset(connection: socket.socket) -> None:
    """Read a little, and reset the connection."""
    connection.recv(16)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


def babble(connection: socket.socket) -> None:
    """Answer something that isn't HTTP."""
    connection.recv(4096)
    connection.sendall(b"220 mail.example.com ESMTP\r\n\r\n")
    connection.close()


def unused_port() -> int:
    """A port that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Authority:
    """A certificate authority, its file, and server contexts with its certificates."""

    def __init__(self, folder: Any) -> None:
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def client_file(self, folder: Path) -> str:
        """A client's certificate and key."""
        issued, file = self.ca.issue_cert("client.example.com"), folder / "client.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(file)
        return str(file)

    def context(
        self, *names: str, alpn: str = "http/1.1", ends: datetime | None = None, clients: ssl.VerifyMode = ssl.CERT_NONE
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = clients
        self.ca.configure_trust(context)
        self.ca.issue_cert(*names, not_after=ends).configure_cert(context)
        context.set_alpn_protocols([alpn])
        return context


@contextmanager
def front_http2(context: ssl.SSLContext, instances: tuple[str, ...]) -> Iterator[int]:
    """An HTTP/2 server that takes turns between instances, and tells the authority and path that it was asked for."""
    loop = asyncio.new_event_loop()
    turns = itertools.cycle(instances)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asked = {key.decode(): value.decode() for key, value in event.headers}
                    _, headers, body = api(next(turns), host=asked[":authority"], path=asked[":path"])
                    kind = headers["Content-Type"]
                    connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", kind)])
                    connection.send_data(event.stream_id, body, end_stream=True)
            writer.write(connection.data_to_send())

    async def safely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # a client that leaves; the end of the test
            try:
                await serve(reader, writer)
            finally:
                writer.close()

    server = loop.run_until_complete(asyncio.start_server(safely, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:

        async def end() -> None:
            server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
