"""A worker's judgement: what becomes of a cell's message, without a queue."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.fleet.queues import QueueState
from alb_reconcile.fleet.results import CellResult
from alb_reconcile.model.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

module = pytest.importorskip("alb_reconcile.fleet.worker", reason="the extra fleet isn't installed")


class Channel:
    """What a message came by."""

    def __init__(self) -> None:
        self.extended: list[int] = []

    def extend(self, _: Any, seconds: int) -> None:
        self.extended.append(seconds)
        if len(self.extended) == 2:
            raise OSError("the queue is away for a moment")


def worker(visibility: float = 120, read: Callable[[], Any] = lambda: None) -> Any:
    return module.Worker(None, QueueState(0, 0, 0, visibility=visibility), "sync", read)  # type: ignore[arg-type]  # shorter than a second


def test_a_message_is_kept_as_long_as_its_cell_is_run() -> None:
    """And a renewal that fails doesn't end the run."""
    channel = Channel()

    async def run() -> None:
        async with worker(0.03)._kept(SimpleNamespace(channel=channel)):
            while len(channel.extended) < 4:
                await asyncio.sleep(0.001)

    asyncio.run(run())
    kept = len(channel.extended)
    assert kept >= 4
    asyncio.run(asyncio.sleep(0.05))
    assert len(channel.extended) == kept


@pytest.mark.parametrize(("holder", "verdict", "extended"), [("0f-2", "done", []), ("0f-1", "left", [610])])
def test_a_cell_that_another_run_has(holder: str, verdict: str, extended: list[int]) -> None:
    """A further message for it isn't needed; its own message, which appears again, waits until a dead run's lease is over."""
    channel = Channel()
    message = SimpleNamespace(channel=channel, headers={"id": "0f-1"})
    held = f"many is held by alb-reconcile fleet sync for message {holder} (user ops)"
    found = asyncio.run(worker()._leave_busy(message, held))
    assert (found, channel.extended) == (verdict, extended)


@pytest.mark.parametrize(
    ("status", "error", "verdict"),
    [
        ("succeeded", "", "done"),
        ("failed", "", "done"),
        ("held", "", "done"),
        ("failed", "the role can't be assumed", "left"),
        ("interrupted", "", "back"),
    ],
)
def test_what_becomes_of_a_message(status: Any, error: str, verdict: str) -> None:
    result = CellResult("many", "111111111111", "us-east-1", "all", "sync", status, "", "", error=error)
    assert module._judge(result) == verdict


def test_what_is_unforeseen_is_left_to_the_queue() -> None:
    """A fleet's file that is broken meanwhile, and a mistake of ours: told in a line, and tried again."""

    def broken() -> None:
        raise SpecError("fleet.yaml", [])

    def mistaken() -> None:
        raise KeyError("mistake")

    for read in (broken, mistaken):
        with pytest.raises(module.Reject) as raised:
            worker(read=read)._do("{}")
        assert not raised.value.requeue


def test_no_cell_begins_after_sigterm() -> None:
    """One that was handed out meanwhile is given back."""
    ended = worker(read=lambda: pytest.fail("it begins"))
    ended._end()
    with pytest.raises(module.Reject) as raised:
        ended._do("{}")
    assert raised.value.requeue
