"""A call that AWS refuses for now is repeated, after pauses that grow."""

from __future__ import annotations

import asyncio
import random

import pytest

from alb_reconcile.aws.repeating import repeated
from alb_reconcile.model.errors import AwsError

LATER, NEVER = (AwsError("ec2", "run_instances", code, "no", "") for code in ("Later", "Never"))


class Call:
    """Raises each of the errors once, and returns 7 then."""

    def __init__(self, *errors: AwsError) -> None:
        self.errors = list(errors)
        self.pauses: list[float] = []

    async def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def result(self) -> int:
        return asyncio.run(repeated(self, lambda error: error is LATER, self.sleep))


def test_pauses_are_drawn_up_to_a_bound_that_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    call = Call(*[LATER] * 7)
    assert call.result() == 7
    assert call.pauses == [1, 2, 4, 8, 15, 15, 15]
    monkeypatch.setattr(random, "uniform", lambda least, most: least)
    call = Call(*[LATER] * 7)
    assert (call.result(), call.pauses) == (7, [1.0] * 7)


def test_another_error_is_raised() -> None:
    call = Call(LATER, NEVER)
    with pytest.raises(AwsError) as raised:
        call.result()
    assert raised.value is NEVER
    assert len(call.pauses) == 1
