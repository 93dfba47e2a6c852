"""AWS that refuses, and AWS that isn't there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.golden.gate import DENIED, EXPIRED, Faults, gate_before
from tests.golden.test_golden_runs import SMALL

if TYPE_CHECKING:
    from tests.golden.scene import Scene

KEYS: Final = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.mark.slow
def test_denied(scene: Scene) -> None:
    """Permissions that are missing for a read, a change and a tag; credentials that have expired."""
    scene.write("small.yaml", SMALL)
    with gate_before(scene) as gate:
        for action in ("DescribeVpcs", "CreateSubnet", "CreateTags"):
            gate.buckets = Faults({action: DENIED})
            scene.note(f"{action} is denied")
            scene.run("plan" if action.startswith("Describe") else "apply", *_yes(action), "small.yaml")
            if action == "CreateSubnet":
                scene.run("sync", "small.yaml")
        gate.buckets = Faults({"DescribeSubnets": DENIED})
        scene.note("DescribeSubnets is denied")
        scene.run("status", "small.yaml")
        scene.run("status", "--format", "json", "small.yaml")
        gate.buckets = Faults({"CreateTags": DENIED})
        scene.run("destroy", "--yes", "small.yaml")
        scene.note("the credentials have expired")
        gate.buckets = Faults({"*": EXPIRED})
        for command in (
            ("plan",), ("apply", "--yes"), ("destroy", "--yes"), ("status",), ("verify",), ("sync",),
            ("sync", "--format", "json"), ("adopt", "--yes"), ("lock", "show"),
        ):  # fmt: skip
            scene.run(*command, "small.yaml")
        scene.run("stacks")
    scene.check()


def _yes(action: str) -> tuple[str, ...]:
    return () if action.startswith("Describe") else ("--yes",)


def test_unreachable(desk: Scene) -> None:
    """Nobody listens there; and credentials that aren't any."""
    for command in (("plan", "demo.yaml"), ("sync", "demo.yaml"), ("stacks", "--region", "us-east-1")):
        desk.run(*command, "--endpoint-url", "http://127.0.0.1:1", **KEYS)
        desk.run(*command)
        desk.run(*command, "--profile", "nobody")
    desk.run("stacks")
    desk.run("history", "demo.yaml")
    desk.check()
