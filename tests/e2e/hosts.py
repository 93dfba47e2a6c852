"""Hosts that share nothing but AWS: each has locks of its own, and a lease in S3 is all that keeps their runs apart."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tests.e2e.tool import Tool, client

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "our-leases"
LEASED = "leased.yaml"
"""The demo, with a lease."""
_LATER = """
import os
from pathlib import Path
from alb_reconcile.cli.main import run
from alb_reconcile.locking import durations
from alb_reconcile.model.clock import Clock
durations.RENEW_INTERVAL = durations.RETRY_INTERVAL = durations.POLL_INTERVAL = 0.2
skipped = Path(os.environ["SKIPPED"])
def later(clock):
    return lambda: clock() + float(skipped.read_text())
Clock.__init__.__defaults__ = tuple(map(later, Clock.__init__.__defaults__))
run()
"""
"""Looks at leases and renews them more often. How long they hold is as it is."""


class Host(Tool):
    """A host of that name, on the same sandbox as another tool. A quick one looks at leases more often."""

    def __init__(self, place: Path, name: str, like: Tool, *, quick: bool = False) -> None:
        self._skipped = place / f"{name}-skipped"
        super().__init__(
            place / name,
            "--sandbox",
            ALB_RECONCILE_SANDBOX_DIR=like.environment["ALB_RECONCILE_SANDBOX_DIR"],
            ALB_RECONCILE_LOCK_DIR=str(place / name / "locks"),
            SKIPPED=str(self._skipped),
        )
        self.quick = quick
        self.skip(0.0)
        demo = (self.folder / "demo.yaml").read_text()
        (self.folder / LEASED).write_text(f"{demo}\nlease: s3://{BUCKET}/prod\n")

    def skip(self, seconds: float) -> None:
        """Have a quick host's clocks be that much later."""
        self._skipped.write_text(str(seconds))

    def arguments(self, *arguments: str) -> list[str]:
        told = super().arguments(*arguments)
        return [sys.executable, "-c", _LATER, *told[1:]] if self.quick else told


def s3(sandbox: Tool) -> Any:
    """S3 of a sandbox."""
    return client("s3", sandbox.state()["port"])


def make_bucket(sandbox: Tool) -> None:
    s3(sandbox).create_bucket(Bucket=BUCKET)
