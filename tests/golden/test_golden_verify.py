"""`verify`, with servers that stand for a load balancer; each answers in turn, one request at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.golden.by_hand import mine
from tests.golden.servers import serving

if TYPE_CHECKING:
    from tests.golden.scene import Scene
    from tests.golden.servers import Server


def test_verify(scene: Scene) -> None:
    """Balanced, one-sided, ill, and nothing to verify."""
    scene.run("verify", "demo.yaml")
    scene.run("apply", "--yes", "demo.yaml")
    found = [mine(scene.account, "instance", f"instance.web-{number}") for number in (1, 2)]
    names = [item["InstanceId"] for (item,) in found]

    def verify(server: Server, *options: str) -> None:
        there = f"80=127.0.0.1:{server.server_port}"
        scene.run("verify", "demo.yaml", "--rate", "1000", "--concurrency", "1", "--connect-to", there, *options)

    with serving(*names) as server:
        verify(server, "--requests", "40")
        verify(server, "--requests", "40", "--format", "json")
        verify(server, "--requests", "4", "--attribute", "none")
        verify(server, "--requests", "4", "--attribute", "header:X-Instance")
    with serving(names[0]) as server:
        verify(server, "--requests", "40")
    with serving(*names, "i-0123456789abcdef0") as server:
        verify(server, "--requests", "30", "--format", "json")
    with serving(*names, status=502) as server:
        verify(server, "--requests", "10")
    scene.check()
