"""Tests a WebSocket through the load balancer: the handshake, and one message that comes back."""

import asyncio
import ssl
from typing import Final

from alb_reconcile.verification.client import ERRORS, Client, Shot, classify

_MESSAGE: Final = "alb-reconcile verify"
_LARGEST: Final = 64 * 1024


async def try_websocket(shot: Shot, client: Client) -> str:
    """Open a WebSocket (RFC 6455), send a text message and wait for one. Returns what went wrong, or nothing."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

    endpoint = shot.endpoint
    context = client.context(endpoint.tls, "1.1", check_name=shot.check_name) if endpoint.tls is not None else None
    stage = "the handshake"
    try:
        async with asyncio.timeout(client.timeout):
            opening = connect(
                f"{'wss' if context else 'ws'}://{shot.authority}{shot.target}",
                host=endpoint.host, port=endpoint.port, ssl=context, additional_headers=shot.request.headers,
                proxy=None, compression=None, max_size=_LARGEST, open_timeout=None, close_timeout=1,
            )  # fmt: skip
            async with opening as connection:
                stage = "a message"
                await connection.send(_MESSAGE)
                await connection.recv()
                return ""
    except InvalidStatus as error:
        return f"the handshake was answered {error.response.status_code} instead of 101"
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else 1006
        return f"it was closed (code {code}) before a message came back"
    except TimeoutError:
        return f"{stage} wasn't answered within {client.timeout:g} s"
    except (OSError, ssl.SSLError, InvalidHandshake, InvalidMessage) as error:
        kind, detail = classify(error)
        return f"the handshake failed: {ERRORS[kind]}" + (f" ({detail})" if detail else "")
