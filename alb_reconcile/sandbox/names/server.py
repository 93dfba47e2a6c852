"""A name server on 127.0.0.1, by UDP and TCP, for the zones of the sandbox's Route 53."""

import logging
import socketserver
import struct
import threading
from collections.abc import Callable
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from alb_reconcile.sandbox.client import HOST
from alb_reconcile.sandbox.names.answers import Found

_ATTEMPTS: Final = 20
_PLAIN: Final = 512
"""The most bytes of an answer by UDP if the client doesn't allow more (RFC 1035, 4.2.1)."""
Ask = Callable[[str, str], Found]


class NameServer:
    """Answers questions on a port of its own until it is closed. `ask` finds the answer for a name and a type."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._tcp, self._udp = self._bind()
        self.port: int = self._tcp.server_address[1]
        for server in (self._tcp, self._udp):
            threading.Thread(target=server.serve_forever, name="names", daemon=True).start()

    def close(self) -> None:
        """Close the port."""
        for server in (self._tcp, self._udp):
            server.shutdown()
            server.server_close()

    def _bind(self) -> tuple[socketserver.ThreadingTCPServer, socketserver.ThreadingUDPServer]:
        """Servers for TCP and UDP on the same port."""
        for _ in range(_ATTEMPTS):
            tcp = socketserver.ThreadingTCPServer((HOST, 0), self._handler(_Tcp))
            tcp.daemon_threads = True
            try:
                udp = socketserver.ThreadingUDPServer((HOST, tcp.server_address[1]), self._handler(_Udp))
            except OSError:
                tcp.server_close()
                continue
            udp.daemon_threads = True
            return tcp, udp
        raise OSError("no port is free for names, by UDP and TCP")

    def _handler(self, base: Any) -> Any:
        return type(base.__name__, (base,), {"respond": staticmethod(self.respond)})

    def respond(self, wire: bytes, *, by_udp: bool) -> bytes:
        """The answer to a question, both in DNS's wire format; empty if `wire` isn't a question."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return b""
        if query.flags & dns.flags.QR or not query.question:
            return b""
        answer = dns.message.make_response(query)
        asked = query.question[0]
        try:
            found = self._ask(asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype))
            answer.set_rcode(dns.rcode.from_text(found.code))
            if found.code != "REFUSED":
                answer.flags |= dns.flags.AA
            for name, ttl, kind, values in found.rows:
                answer.answer.append(dns.rrset.from_text(f"{name}.", ttl, dns.rdataclass.IN, kind, *values))
        except Exception:
            logging.getLogger(__name__).exception("a name couldn't be answered")
            answer.set_rcode(dns.rcode.SERVFAIL)
        if not by_udp:
            return answer.to_wire()
        try:
            return answer.to_wire(max_size=max(query.payload, _PLAIN))
        except dns.exception.TooBig:  # the client then asks again by TCP
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC | dns.flags.AA
            return short.to_wire()


class _Udp(socketserver.BaseRequestHandler):
    respond: Any

    def handle(self) -> None:
        wire, socket = self.request
        if answer := self.respond(wire, by_udp=True):
            socket.sendto(answer, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    respond: Any
    timeout = 10

    def handle(self) -> None:
        while len(head := self.rfile.read(2)) == 2:
            answer = self.respond(self.rfile.read(struct.unpack("!H", head)[0]), by_udp=False)
            if not answer:
                return
            self.wfile.write(struct.pack("!H", len(answer)) + answer)
