"""`verify`, with servers that stand for a load balancer; each answers in turn, one request at a time."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from tests.golden.by_hand import mine
from tests.verify.servers import front

if TYPE_CHECKING:
    from tests.golden.scene import Scene
    from tests.verify.servers import Answer, Front, Route


def in_turn(*names: str, status: int = 200) -> Route:
    """One of the names after the other, in the body only."""
    turns = itertools.cycle(names)

    def route(*_: object) -> Answer:
        body = json.dumps({"instance_id": next(turns), "version": "v1"}).encode()
        return status, {"Content-Type": "application/json"}, body

    return route


@pytest.mark.slow
def test_verify(scene: Scene) -> None:
    """Balanced, one-sided, ill, and nothing to verify."""
    scene.run("verify", "demo.yaml")
    scene.run("apply", "--yes", "demo.yaml")
    found = [mine(scene.account, "instance", f"instance.web-{number}") for number in (1, 2)]
    names = [item["InstanceId"] for (item,) in found]

    def verify(server: Front, *options: str) -> None:
        there = f"80=127.0.0.1:{server.port}"
        scene.run("verify", "demo.yaml", "--rate", "1000", "--concurrency", "1", "--connect-to", there, *options)

    with front(in_turn(*names)) as server:
        verify(server, "--requests", "40")
        verify(server, "--requests", "40", "--format", "json")
        verify(server, "--requests", "4", "--attribute", "none")
        verify(server, "--requests", "4", "--attribute", "header:X-Instance")
    with front(in_turn(names[0])) as server:
        verify(server, "--requests", "40")
    with front(in_turn(*names, "i-0123456789abcdef0")) as server:
        verify(server, "--requests", "30", "--format", "json")
    with front(in_turn(*names, status=502)) as server:
        verify(server, "--requests", "10")
    scene.check()
