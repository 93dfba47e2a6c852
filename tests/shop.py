"""The web service of `make deploy-demo`: each answer says the version. It needs no more than Python's own library."""

import itertools
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VISITORS = itertools.count(1)


class Shop(BaseHTTPRequestHandler):
    """Answers every path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        status = 200
        body = json.dumps({"version": os.environ["VERSION"], "status": status}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing for a request."""


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Shop).serve_forever()
