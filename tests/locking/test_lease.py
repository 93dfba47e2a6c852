"""A lease between runs of several hosts: who gets it, who keeps it, who learns that it is lost."""

from __future__ import annotations

import asyncio

import pytest

from alb_reconcile.aws import timeouts
from alb_reconcile.locking import durations
from alb_reconcile.locking.breaking import break_lease
from alb_reconcile.model.errors import HeldError, LeaseError, LeaseLostError, RefusedError
from tests.locking.fake_s3 import UNREACHABLE, fail, passes
from tests.locking.lab import PLACE, Lab, Runner

EXPIRY = durations.LEASE + durations.MARGIN


async def test_the_second_is_told_who_has_it(lab: Lab) -> None:
    first, second = await lab.holder("apply"), lab.runner("destroy")
    with pytest.raises(HeldError) as held:
        await second.lease.acquire(0)
    for part in (
        "shop (account 123456789012, eu-west-1) is held by alb-reconcile apply (user ",
        f"by the lease {PLACE.url}, last renewed 0 s ago (a run that lives renews it every 60 s), which holds until",
        "until 2026-11-24T03:10:10Z unless",
        "nothing was changed",
        "--lock-timeout",
        "alb-reconcile lock break SPEC",
    ):
        assert part in str(held.value)
    await second.lease.release()
    await first.change()
    await first.lease.release()
    assert lab.stored["released"]
    assert lab.stored["command"] == "apply"


async def test_a_waiter_gets_it_when_it_is_given_back(lab: Lab) -> None:
    first, second = await lab.holder(), lab.runner("destroy")
    waiting = asyncio.ensure_future(second.lease.acquire(300))
    await asyncio.sleep(100)
    assert not waiting.done()
    await first.lease.release()
    await waiting
    await second.change()
    (told,) = second.said
    assert told.startswith(f"waiting for {_who(first)}, which holds the lease of {first.lease.title} until 20")
    await second.lease.release()
    assert lab.clock.now() <= 100 + durations.POLL_INTERVAL


async def test_a_waiter_gives_up_when_its_time_is_over(lab: Lab) -> None:
    await lab.holder()
    began, seconds = lab.clock.now(), 1.5 * durations.POLL_INTERVAL
    with pytest.raises(HeldError):
        await lab.runner("destroy").lease.acquire(seconds)
    assert lab.clock.now() - began == pytest.approx(seconds, abs=0.2)


def _who(runner: Runner) -> str:
    return runner.lease._record.render()


async def test_it_is_renewed_for_as_long_as_it_is_held(lab: Lab) -> None:
    """Three hours of waiting, in which nobody else gets it."""
    first, second = await lab.holder(), lab.runner()
    for _ in range(180):
        await asyncio.sleep(61.7)
        with pytest.raises(HeldError):
            await second.lease.acquire(0)
    await first.change()
    assert not first.said
    await first.lease.release()


async def test_of_many_at_once_one_gets_it(lab: Lab) -> None:
    runners = [lab.runner() for _ in range(20)]
    results = await asyncio.gather(*(item.lease.acquire(0) for item in runners), return_exceptions=True)
    assert sorted(type(item).__name__ for item in results) == ["HeldError"] * 19 + ["NoneType"]
    for item in runners:
        await item.lease.release()


async def test_that_of_a_dead_run_is_taken_over_when_it_has_expired_and_not_before(lab: Lab) -> None:
    dead, heir = await lab.holder(), lab.runner()
    dead.freeze()
    await heir.lease.acquire(3600)
    await heir.change()
    await heir.lease.release()
    assert EXPIRY <= lab.clock.now() <= EXPIRY + durations.POLL_INTERVAL + 1


@pytest.mark.parametrize("steady_misses", [True, False])
async def test_one_that_was_frozen_changes_nothing_when_another_has_run(lab: Lab, steady_misses: bool) -> None:
    """Suspended, with a clock that stood still meanwhile: the wall clock tells; or with the wall clock put back."""
    frozen, heir = await lab.holder(), lab.runner("destroy")
    await frozen.change()
    frozen.freeze()
    await asyncio.sleep(EXPIRY)
    if steady_misses:
        frozen.clocks.steady_off = -EXPIRY
    else:
        frozen.clocks.wall_off = -EXPIRY - 86400
    await heir.lease.acquire(0)
    with pytest.raises(LeaseLostError) as lost:
        await frozen.change()
    assert f"was lost: {_who(heir)} took it over; nothing more is changed" in str(lost.value)
    assert lost.value.to_another
    assert lost.value.exit_code == 1
    assert (frozen.changes, frozen.aws.halted) == (1, lost.value)
    stored = lab.stored
    await frozen.lease.release()
    assert lab.stored == stored, "what is another's stays as it is"
    await heir.change()
    await heir.lease.release()


async def test_in_the_calls_own_thread_it_is_asked_again(lab: Lab) -> None:
    """Where a process was frozen between the question and the call, the call isn't sent; nor is its second attempt."""
    runner = await lab.holder()
    lab.s3.mishaps = [UNREACHABLE] * 1000
    await asyncio.sleep(durations.LEASE - timeouts.settled("ec2") - 1)
    runner.lease.check(timeouts.settled("ec2"))
    runner.clocks.wall_off = 2
    with pytest.raises(LeaseError, match="which wasn't sent"):
        runner.lease.check(timeouts.settled("ec2"))
    lab.s3.mishaps.clear()
    await runner.lease.release()
    with pytest.raises(LeaseError):
        runner.lease.check(0)


async def test_waits_end_when_it_is_lost(lab: Lab) -> None:
    runner = await lab.holder()
    lab.s3.objects.clear()
    with pytest.raises(LeaseLostError, match="was deleted by someone"):
        await runner.aws.sleep(900)
    await runner.lease.release()
    assert lab.clock.now() <= durations.RENEW_INTERVAL + 1
    assert not lab.s3.objects


async def test_renewals_that_fail_are_repeated_while_there_is_time(lab: Lab) -> None:
    runner = await lab.holder()
    outage = (
        int((durations.LEASE - timeouts.settled_all("ec2") - durations.RENEW_INTERVAL) / durations.RETRY_INTERVAL) - 3
    )
    lab.s3.mishaps = [UNREACHABLE] * outage
    await asyncio.sleep(durations.LEASE)
    assert not lab.s3.mishaps
    await runner.change()
    (told,) = runner.said
    assert "EndpointConnectionError" in told
    assert told.endswith("retrying for as long as the lease lasts")
    await runner.lease.release()


async def test_when_there_is_no_time_left_the_run_ends(lab: Lab) -> None:
    """It ends before others may begin."""
    runner = await lab.holder()
    lab.s3.mishaps = [UNREACHABLE] * 1000
    with pytest.raises(LeaseLostError, match=r"expired before it could be renewed: .*EndpointConnectionError"):
        await runner.aws.sleep(3600)
    with pytest.raises(LeaseLostError):
        await runner.change()
    assert runner.changes == 0
    lab.s3.mishaps.clear()
    await runner.lease.release()
    ended = lab.clock.now()
    assert 0 <= ended - (durations.LEASE - timeouts.settled_all("ec2")) <= durations.RETRY_INTERVAL + 1
    assert lab.stored["released"], "it is given back, since nobody else has had it"


@pytest.mark.parametrize("when", ["create", "renew", "take over", "release"])
async def test_a_write_whose_answer_was_lost_is_known_again(lab: Lab, when: str) -> None:
    runner = lab.runner()
    if when == "take over":
        other = await lab.holder()
        await other.lease.release()
        lab.s3.mishaps = [passes, passes, lambda _: lab.s3.lost.append("put_object")]
    if when == "create":
        lab.s3.lost.append("put_object")
    await runner.lease.acquire(0)
    if when == "renew":
        lab.s3.lost.append("put_object")
        await asyncio.sleep(durations.RENEW_INTERVAL + 1)
    await runner.change()
    if when == "release":
        lab.s3.lost.append("put_object")
    await runner.lease.release()
    assert not lab.s3.lost
    assert not runner.said or when == "release"
    assert lab.stored["released"]


async def test_each_write_has_another_etag(lab: Lab) -> None:
    """Else a taker that read before a renewal could take what has just been renewed."""
    runner, taker = await lab.holder(), lab.runner()
    seen = await taker.store.read()
    await asyncio.sleep(durations.RENEW_INTERVAL + 1)
    again = await taker.store.read()
    assert seen is not None
    assert again is not None
    assert seen.etag != again.etag
    await runner.lease.release()


async def test_a_busy_object_is_asked_again(lab: Lab) -> None:
    runner = lab.runner()
    lab.s3.mishaps = [fail("ConditionalRequestConflict")] * 3
    await runner.lease.acquire(0)
    await runner.lease.release()
    assert lab.stored["released"]


async def test_a_broken_one_is_free_when_its_holder_has_had_time_to_notice(lab: Lab) -> None:
    runner, breaker, heir = await lab.holder(), lab.runner(), lab.runner("destroy")
    await asyncio.sleep(10)
    seen = await breaker.store.read()
    assert seen is not None
    broken = await break_lease(breaker.store, seen)
    assert broken is not None
    with pytest.raises(HeldError, match=f"was broken by .*; its holder has until {broken.good_until}"):
        await heir.lease.acquire(0)
    heirs = asyncio.ensure_future(heir.lease.acquire(300))
    with pytest.raises(LeaseLostError, match="was broken by "):
        await runner.aws.sleep(900)
    assert not heirs.done(), "nobody begins before the other has ended"
    with pytest.raises(LeaseLostError):
        await runner.change()
    await runner.lease.release()
    await heirs
    await heir.lease.release()
    assert lab.clock.now() <= 10 + durations.BREAK_NOTICE + durations.MARGIN + durations.POLL_INTERVAL + 1


async def test_breaking_follows_renewals_but_not_to_another_run(lab: Lab) -> None:
    runner, breaker, other = await lab.holder(), lab.runner(), lab.runner("destroy")
    seen = await breaker.store.read()
    assert seen is not None
    await asyncio.sleep(durations.RENEW_INTERVAL * 2)
    await runner.lease.release()
    assert await break_lease(breaker.store, seen) is None, "it was given back"
    await other.lease.acquire(0)
    with pytest.raises(RefusedError, match=r"meanwhile alb-reconcile destroy .* holds"):
        await break_lease(breaker.store, seen)
    now = await breaker.store.read()
    assert now is not None
    await asyncio.sleep(durations.RENEW_INTERVAL + 1)
    assert await break_lease(breaker.store, now) is not None
    await other.lease.release()
    assert lab.stored["broken_by"]


async def test_it_isnt_given_back_while_a_call_is_under_way(lab: Lab) -> None:
    """One that nobody waits for any more may still take effect; others wait until the lease has run out."""
    runner = await lab.holder()
    runner.aws._changing = 1
    await runner.lease.release()
    assert runner.said == [f"a call is still in progress: the lease {PLACE.url} is left to expire, within 10 minutes"]
    assert not lab.stored["released"]


def lose_first(lab: Lab) -> None:
    """S3 takes the first write down; its answer is lost for good."""

    def take_down(operation: str) -> None:
        lab.s3.lost.append("put_object")
        lab.s3.mishaps = [UNREACHABLE]

    lab.s3.mishaps = [take_down]


@pytest.mark.parametrize("before", [False, True])
async def test_a_first_write_that_was_told_as_failed_is_given_back(lab: Lab, before: bool) -> None:
    """Else nobody would hold the stack for ten minutes."""
    if before:
        first = await lab.holder()
        await first.lease.release()
        lab.s3.mishaps = [passes, passes]
    runner, heir = lab.runner(), lab.runner("destroy")
    lose_first(lab)
    lab.s3.mishaps = [passes, passes] * before + lab.s3.mishaps
    with pytest.raises(LeaseError, match="EndpointConnectionError"):
        await runner.lease.acquire(0)
    assert not lab.stored["released"]
    await runner.lease.release()
    await heir.lease.acquire(0)
    await heir.lease.release()
    assert not runner.said


async def test_that_of_another_isnt_given_back(lab: Lab) -> None:
    runner, other = lab.runner(), lab.runner("destroy")
    lab.s3.mishaps = [UNREACHABLE]
    with pytest.raises(LeaseError):
        await runner.lease.acquire(0)
    await other.lease.acquire(0)
    await runner.lease.release()
    await other.change()
    assert not lab.stored["released"]
    await other.lease.release()
