"""Checks a gRPC target's health: a call without content, and the status with which its answer ends."""

import asyncio
import ssl
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from alb_reconcile.sandbox.client import HOST

UNKNOWN = 2
"""The status (UNKNOWN) of an answer without a status (gRPC, 'Status codes')."""
_EMPTY = b"\0\0\0\0\0"
"""An empty message in gRPC's framing."""


async def call(port: int, path: str, host: str, agent: str, *, secure: bool) -> int:
    """Call a method on a local port. Returns the gRPC status. Raises OSError; ValueError for an answer that isn't HTTP/2.

    AWS ELB, 'Health checks for Application Load Balancer target groups': with the protocol version gRPC the path is the
    method's, `/package.service/method`.
    """
    reader, writer = await asyncio.open_connection(HOST, port, ssl=_context() if secure else None)
    try:
        return await _exchange(reader, writer, path, host, agent)
    except h2.exceptions.H2Error as error:
        raise ValueError(str(error)) from error
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, host: str, agent: str
) -> int:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    headers = [
        (":method", "POST"), (":scheme", "http"), (":authority", host), (":path", path), ("te", "trailers"),
        ("content-type", "application/grpc"), ("user-agent", agent),
    ]  # fmt: skip
    connection.send_headers(1, headers)
    connection.send_data(1, _EMPTY, end_stream=True)
    writer.write(connection.data_to_send())
    found: dict[str, str] = {}
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                found |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                status = found.get("grpc-status", "")
                return int(status) if status.isdigit() else UNKNOWN
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise ConnectionResetError
        writer.write(connection.data_to_send())
    raise ConnectionResetError


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # an ALB verifies no target either
    context.set_alpn_protocols(["h2"])
    return context
