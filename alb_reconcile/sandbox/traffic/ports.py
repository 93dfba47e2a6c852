"""Reserves local ports for the processes that are to use them."""

import socket
from typing import Final

HOST: Final = "127.0.0.1"


class Port:
    """A port that the kernel chose. Only this user's processes that share it (SO_REUSEPORT) can listen on it.

    Connections are refused until a process listens.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Release the port."""
        self._socket.close()
