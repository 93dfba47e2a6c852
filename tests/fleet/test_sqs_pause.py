"""What kombu's SQS transport is given in the place of boto3's client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from alb_reconcile.model.errors import AwsError

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
