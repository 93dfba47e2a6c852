"""A strict AWS for each test, on a clock that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.sandbox.strict import StrictAws, VirtualClock
from tests.sandbox.strict_world import ROUND, Network, client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def fake_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def aws(clock: VirtualClock) -> Iterator[StrictAws]:
    with StrictAws(clock=clock.now, timing=ROUND) as strict:
        yield strict


@pytest.fixture
def ec2(aws: StrictAws) -> Any:
    return client("ec2")


@pytest.fixture
def elb(aws: StrictAws) -> Any:
    return client("elbv2")


@pytest.fixture
def network(ec2: Any, elb: Any, clock: VirtualClock) -> Network:
    return Network.make(ec2, elb, clock)
