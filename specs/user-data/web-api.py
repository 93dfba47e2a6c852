#!/usr/bin/python3
"""The demo's web API: one file that is the EC2 user data, the installer and the server.

  web-api.py          what cloud-init runs, as root: install and start the systemd service
                      (WEB_API_ROOT: under which directory, for tests)
  web-api.py serve    what the service runs: answer HTTP until SIGTERM
  web-api.py --help   this text

What it answers:
  /health             200 "ok"; 503 while it is shutting down
  /slow?seconds=N     the JSON below, after N seconds (default 2, at most 60)
  /ws                 a WebSocket that echoes
  any other path      JSON: which instance answered, and what it saw of the request

Environment of serve:
  PORT, BIND          where to listen (80, all IPv4 addresses)
  INSTANCE_ID, AVAILABILITY_ZONE    who it is, instead of the instance metadata's word
  VERSION             what to report instead of a digest of this file
  IMDS_SECONDS        how long to ask for the metadata (15)
  AWS_EC2_METADATA_SERVICE_ENDPOINT    whom to ask
"""
# EC2 takes 16,384 bytes of user data. Amazon Linux 2023's /usr/bin/python3 is Python 3.9.

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# Longer than the ALB's idle timeout (60 s by default), for the ALB to be the one that closes: it
# answers 502 when it sends a request into a connection that the server has just closed. See
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
KEEP_ALIVE = 75
MAX_SLOW = 60
MAX_BODY = 10 << 20
MAX_MESSAGE = 1 << 20  # of a WebSocket, all fragments together

METADATA = {"instance_id": "instance-id", "availability_zone": "placement/availability-zone"}
INSTALLED = "/opt/web-api/web-api.py"
# DynamicUser: an unprivileged user, made for the service, that sees a read-only system.
# RestartSec: never reach 5 starts in 10 s, where systemd's default is to give up.
UNIT = f"""[Unit]
Description=Demo web API
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=/usr/bin/python3 {INSTALLED} serve
Restart=always
RestartSec=3
TimeoutStopSec={MAX_SLOW + 15}
DynamicUser=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE

[Install]
WantedBy=multi-user.target
"""


def log(message: str) -> None:
    sys.stderr.write(f"web-api: {message}\n")


def install(root: Path) -> None:
    """Make this file a service. It can be run again: the result is the same."""
    os.umask(0o022)  # the service's user has to read what is written here
    files = {INSTALLED: Path(__file__).read_bytes(), "/etc/systemd/system/web-api.service": UNIT.encode()}
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for command in ("daemon-reload", "enable web-api", "restart web-api"):
        subprocess.run(["systemctl", *command.split()], check=True)  # noqa: S603, S607 - constants


def ask_metadata(known: dict[str, str]) -> None:
    """Fill in what is missing from the instance metadata (IMDSv2, so first a token)."""
    url = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
    # Not urllib.request, which would ask a proxy if the environment names one.
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=1)) as imds:

        def ask(method: str, path: str, header: str, value: str) -> str:
            imds.request(method, f"/latest/{path}", headers={f"X-aws-ec2-metadata-token{header}": value})
            response = imds.getresponse()
            text = response.read().decode("ascii").strip()
            if response.status != 200 or not text:
                raise OSError(f"status {response.status} for {path}")
            return text

        token = ask("PUT", "api/token", "-ttl-seconds", "60")
        for key, path in METADATA.items():
            known[key] = known[key] or ask("GET", f"meta-data/{path}", "", token)


def identity() -> dict[str, str]:
    known = {key: os.environ.get(key.upper(), "") for key in METADATA}
    deadline = time.monotonic() + float(os.environ.get("IMDS_SECONDS") or 15)
    delay = 0.1
    while not all(known.values()):
        try:
            ask_metadata(known)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if time.monotonic() + delay > deadline:
                log(f"no instance metadata: {error}")
                break
            time.sleep(delay)
            delay *= 2
    return {
        "instance_id": known["instance_id"] or socket.gethostname(),
        "availability_zone": known["availability_zone"] or "unknown",
        "version": os.environ.get("VERSION") or hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12],
    }


class RefusedError(Exception):
    """With an HTTP status or a WebSocket close code, and why."""


# WebSocket, RFC 6455
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class WebSocket:
    """The part of Handler, below, that speaks frames."""

    def read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the client has gone")
        return data

    def send(self, opcode: int, data: bytes) -> None:
        size = len(data)
        width = 0 if size < 126 else 2 if size < 65536 else 8
        head = bytes([0x80 | opcode, {0: size, 2: 126, 8: 127}[width]])
        self.wfile.write(head + size.to_bytes(8, "big")[8 - width :] + data)

    def read_frame(self, room: int) -> tuple[int, int, bytes]:
        first, second = self.read(2)
        final, opcode, size = first & 0x80, first & 0x0F, second & 0x7F
        control = opcode in (CLOSE, PING, PONG) and final and size < 126
        if first & 0x70 or not second & 0x80 or not (control or opcode in (CONTINUATION, TEXT, BINARY)):
            raise RefusedError(1002, "unmasked or malformed frame")
        if size > 125:
            size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
        if not control and size > room:
            raise RefusedError(1009, f"more than {MAX_MESSAGE} bytes")
        mask, data = self.read(4), self.read(size)
        # XOR of two big numbers: byte by byte would take 100 times as long.
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return final, opcode, (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")

    def echo(self) -> None:
        try:
            while self.echo_message():
                pass
        except RefusedError as error:
            code, reason = error.args
            self.send(CLOSE, code.to_bytes(2, "big") + reason.encode())
        except UnicodeDecodeError:
            self.send(CLOSE, (1007).to_bytes(2, "big"))

    def echo_message(self) -> bool:
        """Echo one message; answer the control frames before and within it. False: it was a close."""
        kind, message = CONTINUATION, bytearray()
        while True:
            final, opcode, data = self.read_frame(MAX_MESSAGE - len(message))
            if opcode == CLOSE:
                code = int.from_bytes(data[:2], "big")
                if data and not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
                    raise RefusedError(1002, "not a close code")
                data[2:].decode()
                self.send(CLOSE, data[:2])
                return False
            if opcode == PING:
                self.send(PONG, data)
            if opcode > BINARY:
                continue
            if (opcode == CONTINUATION) == (kind == CONTINUATION):
                raise RefusedError(1002, "misplaced fragment")
            kind = kind or opcode
            message += data
            if final:
                if kind == TEXT:
                    message.decode()
                self.send(kind, message)
                return True


class Server(socketserver.ThreadingTCPServer):  # HTTPServer would wait for DNS to learn a name
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
    draining = False

    def handle_error(self, request, client_address) -> None:
        log(f"while answering {client_address}: {sys.exc_info()[1]!r}")

    def drain(self) -> None:
        """Finish what is being answered. New requests are answered meanwhile."""
        self.draining = True
        deadline = time.monotonic() + MAX_SLOW + 5
        for stop in (self.shutdown, self.server_close):  # shutdown: accept no more
            while self.busy and time.monotonic() < deadline:
                time.sleep(0.05)
            stop()


class Handler(WebSocket, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "alb-reconcile", "web-api"
    timeout = KEEP_ALIVE
    disable_nagle_algorithm = True  # head and body are two writes: the second shall not wait
    linger = upgraded = False

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that leaves or falls silent is no error
            super().handle()
            # To close with data unread is to reset, and a reset can overtake the answer.
            if self.linger:
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(1)
                self.rfile.read(MAX_BODY)

    def log_message(self, *args) -> None:
        """Nothing: the ALB can keep the access log."""

    def answer(self) -> None:
        self.server.busy.add(self)
        self.linger = True  # until the body has been read
        try:
            self.discard_body()
            self.linger = False
            self.route()
        except RefusedError as error:
            self.close_connection |= self.linger
            self.reply(error.args[0], {"error": error.args[1]})
        finally:
            self.server.busy.remove(self)
        if self.upgraded:
            self.close_connection = self.linger = True
            self.echo()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815 - http.server's names

    def discard_body(self) -> None:
        """Read all of the request, for the next one on the connection to start where it ends."""
        self.room = MAX_BODY
        coding = self.headers.get_all("Transfer-Encoding")
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) > 1 or (coding and (lengths or ",".join(coding).lower() != "chunked")):
            raise RefusedError(400, "where does the body end?")
        if lengths:
            self.discard(lengths[0], 10)
        elif coding:
            while self.discard(self.line().partition(";")[0].strip(), 16):
                if self.line():
                    raise RefusedError(400, "malformed chunks")
            while self.line():  # trailers
                pass

    def discard(self, digits: str, base: int) -> int:
        if not re.fullmatch("[0-9]{1,16}" if base == 10 else "[0-9a-fA-F]{1,16}", digits):
            raise RefusedError(400, "not a body size")
        size = int(digits, base)
        self.room -= size
        if self.room < 0:
            raise RefusedError(413, f"more than {MAX_BODY} bytes")
        return len(self.read(size))

    def line(self) -> str:
        line = self.rfile.readline(1024)
        self.room -= len(line)
        if self.room < 0 or not line.endswith(b"\n"):
            raise RefusedError(400, "malformed chunks")
        return line.decode("latin-1").rstrip("\r\n")

    def route(self) -> None:
        path, _, query = self.path.partition("?")
        upgrade, connection = (self.headers.get(name, "").lower() for name in ("Upgrade", "Connection"))
        if upgrade == "websocket" and "upgrade" in connection:
            return self.upgrade(path)
        if path == "/ws":
            raise RefusedError(426, "this is a WebSocket")
        if path == "/health":
            return self.reply(503, "shutting down") if self.server.draining else self.reply(200, "ok")
        if path == "/slow":
            self.sleep(query)
        seen = {}
        for name in {name.lower() for name in self.headers}:
            if name.startswith("x-forwarded-") or name in ("host", "forwarded", "via", "x-amzn-trace-id"):
                seen[name] = ", ".join(self.headers.get_all(name))
        who = self.server.who
        return self.reply(200, {**who, "path": path, "method": self.command, "headers": seen})

    def sleep(self, query: str) -> None:
        values = parse_qs(query, keep_blank_values=True).get("seconds", ["2"])
        seconds = float(values[0]) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", values[0]) else -1
        if len(values) > 1 or not 0 <= seconds <= MAX_SLOW:
            raise RefusedError(400, f"seconds has to be a number from 0 to {MAX_SLOW}")
        time.sleep(seconds)

    def upgrade(self, path: str) -> None:
        key = self.headers.get("Sec-WebSocket-Key", "")
        if path != "/ws":
            raise RefusedError(404, "the WebSocket is at /ws")
        if self.headers.get("Sec-WebSocket-Version") != "13":
            raise RefusedError(426, "only version 13 is spoken here")
        if self.command != "GET" or not re.fullmatch("[A-Za-z0-9+/]{22}==", key):
            raise RefusedError(400, "not a WebSocket handshake")
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode(), usedforsecurity=False)
        self.head(101, {"Sec-WebSocket-Accept": base64.b64encode(digest.digest()).decode()})
        self.upgraded = True

    def send_error(self, code, message=None, explain=None) -> None:
        """What the base class calls for a request that it cannot parse."""
        self.close_connection = self.linger = True
        self.reply(code, {"error": message or http.client.responses[code]})

    def reply(self, status: int, content: str | dict) -> None:
        kind = "text/plain"
        if isinstance(content, dict):
            kind, content = "application/json", json.dumps(content) + "\n"
        body = content.encode()
        self.head(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "X-Instance-Id": self.server.who["instance_id"]}.items():
            self.send_header(name, value)
        if status == 426:
            self.send_header("Sec-WebSocket-Version", "13")
        if status in (101, 426):
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
        elif self.close_connection or self.server.draining:
            self.send_header("Connection", "close")  # also sets close_connection
        self.end_headers()


def serve() -> None:
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked in every thread and waited for: a handler may not wake a thread that waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    who = identity()
    with Server((os.environ.get("BIND", ""), int(os.environ.get("PORT") or 80)), Handler) as server:
        server.who, server.busy = who, set()
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        log("{} listens on {}:{}".format(server.who["instance_id"], *server.server_address))
        signal.sigwait(stop)
        server.drain()


def main() -> int:
    command = sys.argv[1] if len(sys.argv) > 1 else "install"
    if command not in ("install", "serve"):
        sys.stdout.write(__doc__)
        return 0 if command in ("-h", "--help") else 2
    try:
        serve() if command == "serve" else install(Path(os.environ.get("WEB_API_ROOT", "/")))
    except (OSError, OverflowError, ValueError, subprocess.CalledProcessError) as error:
        log(f"cannot {command}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
