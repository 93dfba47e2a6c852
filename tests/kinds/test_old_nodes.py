"""Nodes of a load balancer that another step of the same run moves, while one waits for its old ones to go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from alb_reconcile.kinds.load_balancer.nodes import Moved, wait_for_old_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.kinds.context import Run

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1"


class Waiting:
    """A run in which SetSubnets comes between two looks."""

    def __init__(self) -> None:
        self.moved = Moved()
        self.said: list[str] = []

    @property
    def shared(self) -> Waiting:
        return self

    def of(self, _: type[Moved]) -> Moved:
        return self.moved

    async def wait(self, *asked: Any, **_: Any) -> None:
        check = cast("Callable[[list[str]], str]", asked[3])
        self.said.append(check(["subnet-a", "subnet-c"]))
        self.moved[ARN] = ("subnet-a", "subnet-c")
        self.said.append(check(["subnet-a", "subnet-c"]))


def test_a_subnet_that_a_load_balancer_gets_meanwhile_is_none_that_it_has_left() -> None:
    run = Waiting()
    asyncio.run(wait_for_old_nodes(cast("Run", run), {ARN: ("subnet-a",)}))
    before, after = run.said
    assert before.startswith("1 network interfaces")
    assert after == ""
