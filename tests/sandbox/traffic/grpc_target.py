"""A target that speaks gRPC as far as it matters here: HTTP/2 without TLS, with a status at the end."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGE = b"\0\0\0\0\2hi"


class GrpcTarget:
    """Answers each method as its path says: /serve/NUMBER with a message and that status, others with the status alone."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self.port = int(server.getsockname()[1])
        self.asked: list[dict[str, str]] = []
        self._threads: list[threading.Thread] = []
        self._peers: list[socket.socket] = []

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # the end
            while True:
                peer, _ = self._server.accept()
                self._peers.append(peer)
                self._threads.append(threading.Thread(target=self._answer, args=(peer,)))
                self._threads[-1].start()

    def close(self) -> None:
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for peer in self._peers:
            peer.close()

    def _answer(self, peer: socket.socket) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        paths: dict[int, str] = {}
        with contextlib.suppress(OSError):
            peer.sendall(connection.data_to_send())
            while data := peer.recv(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        asked = {str(name): str(value) for name, value in event.headers}
                        self.asked.append(asked)
                        paths[event.stream_id] = asked[":path"]
                    elif isinstance(event, h2.events.StreamEnded):
                        self._end(connection, event.stream_id, paths.pop(event.stream_id))
                peer.sendall(connection.data_to_send())

    def _end(self, connection: h2.connection.H2Connection, stream: int, path: str) -> None:
        kind = [(":status", "200"), ("content-type", "application/grpc")]
        _, _, name = path.rpartition("/")
        if path.startswith("/serve/"):
            connection.send_headers(stream, kind)
            connection.send_data(stream, MESSAGE)
            connection.send_headers(stream, [("grpc-status", name)], end_stream=True)
        elif name == "reset":
            connection.reset_stream(stream, 2)
        elif name == "nothing":
            connection.send_headers(stream, kind, end_stream=True)
        else:
            connection.send_headers(stream, [*kind, ("grpc-status", "12")], end_stream=True)


@contextlib.contextmanager
def grpc_target() -> Iterator[GrpcTarget]:
    """One for the length of a block."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = GrpcTarget(server)
        thread = threading.Thread(target=made.serve)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            made.close()
