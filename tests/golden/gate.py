"""What stands between the tool and the sandbox: it refuses operations as AWS would, or holds their answers."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.e2e.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.golden.scene import Scene

DENIED: Final = (403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
EXPIRED: Final = (400, "ExpiredToken", "The security token included in the request is expired")


class Faults(dict[str, tuple[int, str, str]]):
    """The answer to each call of an operation, or with `*` to all of EC2's and Elastic Load Balancing's."""

    def refusal(self, authorization: str, operation: str, body: bytes) -> tuple[int, bytes] | None:
        fault = self.get(operation) or (self.get("*") if b"Action=" in body else None)
        if fault is None:
            return None
        status, code, message = fault
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if "/ec2/" in authorization:
            text = f"<Response><Errors>{error}</Errors><RequestID>r-0123456789</RequestID></Response>"
        else:
            text = f"<ErrorResponse>{error}<RequestId>r-0123456789</RequestId></ErrorResponse>"
        return status, text.encode()


@contextmanager
def gate_before(scene: Scene) -> Iterator[Proxy]:
    """A proxy that the scene's commands take for the sandbox; its `buckets` are faults."""
    place, state = scene.environment["ALB_RECONCILE_SANDBOX_DIR"], scene.tool.state()
    with Proxy(state["port"]) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        own = scene.folder / "gate"
        own.mkdir()
        (own / "sandbox.json").write_text(json.dumps({**state, "port": proxy.server_port}))
        scene.environment["ALB_RECONCILE_SANDBOX_DIR"] = str(own)
        try:
            yield proxy
        finally:
            for gate in proxy.gates:
                gate.open()
            proxy.shutdown()
            thread.join()
            scene.environment["ALB_RECONCILE_SANDBOX_DIR"] = place
