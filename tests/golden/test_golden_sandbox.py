"""The sandbox as a process: started, found, emptied, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.golden.scene import Scene


def test_sandbox(desk: Scene) -> None:
    """One of its own, without traffic."""
    for action in ("status", "stop", "reset"):
        desk.run("sandbox", action)
    desk.run("sandbox", "start", "--serve", "none-such")
    try:
        desk.run("sandbox", "start", "--speed", "50")
        desk.run("sandbox", "start")
        desk.run("sandbox", "start", "--speed", "20")
        desk.run("sandbox", "status")
        desk.run("stacks", "--sandbox")
        desk.run("sandbox", "reset")
    finally:
        desk.run("sandbox", "stop")
    desk.check()
