"""WebSockets to targets that stay, while others are replaced under load: every message comes back."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from tests.load.specs import listener, two_groups, user_data
from tests.processes import GUARD, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Spec
    from tests.load.stage import Stage

pytestmark = pytest.mark.slow

SOCKETS = 4


def with_sockets(version: str) -> Spec:
    """WebSockets go to the group `other`, the rest to `web`, which has that version."""
    spec = two_groups(forward="web")
    spec["instances"]["web"]["user_data"] = user_data(version)
    rule = {"priority": 10, "conditions": [{"path_pattern": "/ws"}], "action": {"forward": "other"}}
    listener(spec)["rules"] = {"sockets": rule}
    return spec


def talk(url: str, over: threading.Event, times: list[float]) -> None:
    """Send messages and wait for their echo, until the end; note when each came back. Raises if one doesn't."""
    with connect(url, open_timeout=GUARD, close_timeout=GUARD) as socket:
        while not over.is_set():
            text = f"message {len(times)}"
            socket.send(text)
            assert socket.recv(timeout=GUARD) == text
            times.append(time.monotonic())
            over.wait(0.05)


@contextmanager
def talking(url: str) -> Iterator[list[list[float]]]:
    """WebSockets at work for the length of the block; when each message came back, for each of them."""
    over, times = threading.Event(), [list[float]() for _ in range(SOCKETS)]
    with ThreadPoolExecutor(SOCKETS) as pool:
        talks = [pool.submit(talk, url, over, each) for each in times]
        try:
            go_on(times)
            yield times
            go_on(times)
        finally:
            over.set()
        for item in talks:
            item.result()  # raises what it ran into


def go_on(times: list[list[float]]) -> None:
    """Wait until each has got some messages more."""
    wanted = [len(each) + 3 for each in times]
    until(lambda: all(len(each) >= count for each, count in zip(times, wanted, strict=True)))


def test_messages_pass_through_a_roll_of_others(stage: Stage) -> None:
    """On connections that were opened before it and that stay open after it."""
    before, after = with_sockets("blue"), with_sockets("azure")
    url = stage.begin(before).replace("http://", "ws://") + "ws"
    with stage.under_load(before) as proof, talking(url) as times:
        started = time.monotonic()
        stage.apply(after)
        ended = time.monotonic()
    proof.holds(least=2)
    proof.moves("blue", "azure")
    assert all(sum(started < at < ended for at in each) > 10 for each in times)
