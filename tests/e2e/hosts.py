"""Hosts that share nothing but AWS: each has locks of its own, and a lease in S3 is all that keeps their runs apart."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import boto3

from tests.e2e.tool import REGION, Tool

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "our-leases"
LEASED = "leased.yaml"
"""The demo, with a lease."""
SECONDS = 6.0
MARGIN = 2.0
SIGNED = 3.0
"""As AWS, in proportion, refuses what was signed longer ago."""
_QUICK = f"""
from alb_reconcile.aws import timeouts
from alb_reconcile.locking import durations
durations.LEASE, durations.MARGIN, durations.RENEW_INTERVAL, durations.RETRY_INTERVAL, durations.POLL_INTERVAL = {SECONDS}, {MARGIN}, 0.5, 0.2, 0.2
timeouts.settled = timeouts.settled_all = lambda *_, **__: {SIGNED}
from alb_reconcile.cli.main import run
run()
"""


class Host(Tool):
    """A host of that name, on the same sandbox as another tool. A quick one's leases last for seconds only."""

    def __init__(self, place: Path, name: str, like: Tool, *, quick: bool = False) -> None:
        super().__init__(
            place / name,
            "--sandbox",
            ALB_RECONCILE_SANDBOX_DIR=like.environment["ALB_RECONCILE_SANDBOX_DIR"],
            ALB_RECONCILE_LOCK_DIR=str(place / name / "locks"),
        )
        self.quick = quick
        demo = (self.folder / "demo.yaml").read_text()
        (self.folder / LEASED).write_text(f"{demo}\nlease: s3://{BUCKET}/prod\n")

    def arguments(self, *arguments: str) -> list[str]:
        told = super().arguments(*arguments)
        return [sys.executable, "-c", _QUICK, *told[1:]] if self.quick else told


def s3(sandbox: Tool) -> Any:
    """S3 of a sandbox."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    return session.client("s3", endpoint_url=f"http://127.0.0.1:{sandbox.state()['port']}")


def make_bucket(sandbox: Tool) -> None:
    s3(sandbox).create_bucket(Bucket=BUCKET)
