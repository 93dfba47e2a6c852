"""A plain moto server as a process of its own: `python -m tests.bench.emulator` prints its port and ends with stdin."""

from __future__ import annotations

import sys

from moto.server import ThreadedMotoServer


def main() -> None:
    """Serve on a free port of 127.0.0.1 until standard input ends, so that no orphan outlives the bench."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
