"""Who may run: the lock on this host and the lease in S3, shown, broken, and in the way of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.e2e.tool import REGION
from tests.golden.gate import gate_before
from tests.golden.test_golden_runs import SMALL

if TYPE_CHECKING:
    from tests.golden.scene import Scene

PLACE = "s3://our-leases/prod"


def make_bucket(scene: Scene) -> None:
    """Where leases are kept."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    client: Any = session.client("s3", endpoint_url=f"http://127.0.0.1:{scene.port}")
    client.create_bucket(Bucket="our-leases")


@pytest.mark.slow
def test_locks(scene: Scene) -> None:
    """An apply stands in the middle of a call, and everybody else finds the stack held."""
    scene.write("small.yaml", SMALL)
    scene.run("lock", "show", "small.yaml")
    scene.run("lock", "break", "--yes", "small.yaml")
    with gate_before(scene) as gate:
        held = gate.hold("CreateVpc")
        with scene.tool.started("apply", "--yes", "small.yaml"):
            held.wait()
            scene.note("an apply of another terminal is under way")
            scene.run("lock", "show", "small.yaml")
            scene.run("lock", "show", "--format", "json", "small.yaml")
            scene.run("lock", "show", "--stack", "small", "--region", "us-east-1")
            scene.run("lock", "break", "--yes", "small.yaml")
            for command in ("apply", "destroy", "adopt", "forget"):
                scene.run(command, "--yes", "small.yaml")
            scene.run("sync", "small.yaml")
            scene.run("sync", "--format", "json", "small.yaml")
        scene.note("it is killed")
        scene.run("lock", "show", "--format", "json", "small.yaml")
    scene.check()


@pytest.mark.slow
def test_leases(scene: Scene) -> None:
    """The same on two hosts, which share nothing but the lease."""
    scene.write("leased.yaml", f"{SMALL}lease: {PLACE}\n")
    scene.run("apply", "--yes", "leased.yaml")
    scene.note("the bucket is made")
    make_bucket(scene)
    scene.run("lock", "show", "leased.yaml")
    scene.run("lock", "show", "--format", "json", "leased.yaml")
    with gate_before(scene) as gate:
        held = gate.hold("CreateVpc")
        scene.environment["ALB_RECONCILE_LOCK_DIR"] = str(scene.folder / "there")
        with scene.tool.started("apply", "--yes", "leased.yaml"):
            held.wait()
            scene.note("an apply of another host is under way")
            scene.environment["ALB_RECONCILE_LOCK_DIR"] = str(scene.folder / "here")
            scene.run("lock", "show", "leased.yaml")
            scene.run("lock", "show", "--format", "json", "leased.yaml")
            scene.run("apply", "--yes", "leased.yaml")
            scene.run("sync", "leased.yaml")
            scene.run("lock", "break", "leased.yaml")
            scene.run("lock", "break", "--yes", "leased.yaml")
        scene.note("it is killed")
        scene.run("lock", "show", "--stack", "small", "--region", "us-east-1", "--lease", PLACE)
        scene.run("lock", "show", "--format", "json", "leased.yaml")
        scene.run("lock", "break", "--yes", "leased.yaml")
    scene.check()
