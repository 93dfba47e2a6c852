"""SQS that refuses: how long a worker waits, and how often it says so."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from alb_reconcile.model.errors import AwsError

celery_app = pytest.importorskip("alb_reconcile.fleet.celery_app", reason="the extra fleet isn't installed")
broker = pytest.importorskip("alb_reconcile.fleet.broker", reason="the extra fleet isn't installed")


@pytest.mark.parametrize(("signal_after", "slept"), [(None, 20), (3, 3)])
def test_a_refusal_is_waited_out_unless_the_worker_is_to_end(
    monkeypatch: pytest.MonkeyPatch, signal_after: int | None, slept: int
) -> None:
    monkeypatch.setattr(broker.state, "should_stop", None)
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == signal_after:
            broker.state.should_stop = 0

    def refuse(*_: Any) -> None:
        raise AwsError("sqs", "receive_message", "AccessDenied", "not allowed", "")

    monkeypatch.setattr(broker, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: round(sum(sleeps), 3)))
    with pytest.raises(AwsError):
        broker._Client(refuse).receive_message(QueueUrl="https://example.com")
    assert len(sleeps) == slept


def test_a_refusal_that_repeats_itself_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has AWS's id of its request."""
    told: list[str] = []
    monkeypatch.setattr(celery_app, "tell", lambda *_, text, **__: told.append(text))
    relay = celery_app._Relay()
    for number in range(3):
        relay.handle(logging.makeLogRecord({"levelno": 30, "msg": f"ReceiveMessage: AccessDenied (request {number})"}))
    relay.handle(logging.makeLogRecord({"levelno": 30, "msg": "ReceiveMessage: NonExistentQueue (request 3)"}))
    assert len(told) == 2
