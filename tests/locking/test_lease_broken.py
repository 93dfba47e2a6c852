"""A lease that is broken: it is free for others only when its holder can't change anything any more."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.aws import timeouts
from alb_reconcile.locking import durations
from alb_reconcile.locking.breaking import break_lease
from alb_reconcile.model.errors import HeldError, LeaseError, LeaseLostError
from tests.locking.fake_s3 import UNREACHABLE

if TYPE_CHECKING:
    from tests.locking.lab import Lab, Runner


async def break_it(runner: Runner) -> None:
    seen = await runner.store.read()
    assert seen is not None
    assert await break_lease(runner.store, seen) is not None


async def test_a_holder_that_was_frozen_asks_before_it_changes_anything(lab: Lab) -> None:
    """Though by its own clock the lease holds for minutes yet; another has it meanwhile."""
    frozen, breaker, heir = await lab.holder(), lab.runner(), lab.runner("destroy")
    frozen.freeze()
    await break_it(breaker)
    with pytest.raises(HeldError):
        await heir.lease.acquire(durations.BREAK_NOTICE - 10)
    await heir.lease.acquire(60)
    told = heir.said[0]
    assert re.match(
        r"waiting until 20\S+Z: the lease of .* was broken by .*, and its holder has until then to notice: ", told
    )
    assert "which holds" not in told
    with pytest.raises(LeaseLostError, match="took it over"):
        await frozen.change()
    assert not frozen.changes
    await frozen.lease.release()
    await heir.change()
    await heir.lease.release()


async def test_a_call_that_was_frozen_on_its_way_isnt_sent(lab: Lab) -> None:
    """It was permitted before, and its thread wakes up before the loop could ask anybody."""
    frozen, breaker, heir = await lab.holder(), lab.runner(), lab.runner("destroy")
    await frozen.lease.permit(timeouts.settled_all("ec2"))
    frozen.freeze()
    await break_it(breaker)
    await heir.lease.acquire(300)
    with pytest.raises(LeaseError, match="which wasn't sent"):
        frozen.lease.check(timeouts.settled("ec2"))
    await heir.lease.release()
    await frozen.lease.release()


async def test_one_that_was_frozen_and_still_has_it_goes_on(lab: Lab) -> None:
    runner = await lab.holder()
    runner.freeze()
    await asyncio.sleep(durations.BREAK_NOTICE + 1)
    before = len(lab.s3.log)
    await runner.change()
    await runner.change()
    assert lab.s3.log[before:] == ["put_object", "create_tags", "create_tags"]
    await runner.lease.release()


async def test_while_s3_is_away_changes_go_on_and_dont_ask_each_time(lab: Lab) -> None:
    """For as long as the lease itself lasts. It is asked again after a while, by whoever comes first."""
    runner = await lab.holder()
    runner.freeze()
    lab.s3.mishaps = [UNREACHABLE] * 1000
    await asyncio.sleep(durations.BREAK_NOTICE + 1)
    before = len(lab.s3.log)
    for _ in range(20):
        await runner.change()
    assert lab.s3.log[before:].count("put_object") == 1
    await asyncio.sleep(durations.RETRY_INTERVAL + 0.1)
    await runner.change()
    assert lab.s3.log[before:].count("put_object") == 2
    assert runner.changes == 21
    await asyncio.sleep(durations.LEASE - timeouts.settled_all("ec2") - durations.BREAK_NOTICE)
    with pytest.raises(LeaseLostError, match="expired before it could be renewed"):
        await runner.change()
    lab.s3.mishaps.clear()
    await runner.lease.release()


async def test_what_was_lost_while_s3_was_away_is_found_when_it_is_back(lab: Lab) -> None:
    runner, breaker = await lab.holder(), lab.runner()
    runner.freeze()
    await break_it(breaker)
    await asyncio.sleep(durations.BREAK_NOTICE + 1)
    lab.s3.mishaps = [UNREACHABLE]
    await runner.change()
    await asyncio.sleep(durations.RETRY_INTERVAL + 0.1)
    with pytest.raises(LeaseLostError, match="was broken by"):
        await runner.change()
    await runner.lease.release()
