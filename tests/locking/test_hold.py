"""What holds a stack around a run: the host's lock, then the lease; and how a run ends that has lost it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.locking import durations
from alb_reconcile.locking.hold import held, hold
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import HeldError, LeaseError, LeaseLostError, RefusedError
from tests.locking.fake_s3 import UNREACHABLE, fail
from tests.locking.lab import LEASED, PLACE, Lab
from tests.locking.test_lease_store import GOOD

PLAIN = DesiredStack("shop", "eu-west-1", {})


def aws_of(lab: Lab) -> Aws:
    return Aws(lab.s3, max_workers=0)


@pytest.mark.parametrize(
    ("target", "order"),
    [
        (PLAIN, ["look", "get_caller_identity"]),
        (LEASED, ["get_caller_identity", "put_object", "put_object", "put_object", "look", "put_object"]),
    ],
)
async def test_with_a_lease_it_is_read_when_the_lease_is_had(lab: Lab, target: DesiredStack, order: list[str]) -> None:
    """Without one it is read while AWS tells the account. The first lease of all makes sure that S3 is strict."""

    async def look() -> str:
        lab.s3.log.append("look")
        return "found"

    async with hold(aws_of(lab), target, "apply", 0, look, print) as found:
        assert found == "found"
    assert lab.s3.log == order


async def test_its_time_is_for_the_host_and_the_lease_together(lab: Lab) -> None:
    await asyncio.sleep(1000)
    await lab.holder()
    began = lab.clock.now()
    with pytest.raises(HeldError):
        async with held(aws_of(lab), LEASED, "apply", 20, print):
            pass
    assert lab.clock.now() - began == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("is_used", [True, False])
def test_what_is_refused_beside_another_run_is_read_again(lab: Lab, *, is_used: bool) -> None:
    looks = 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        if looks > 1:
            return "found"
        if is_used:
            async with held(aws_of(lab), PLAIN, "apply", 0, print):
                pass
        raise RefusedError("half done")

    async def main() -> None:
        async with hold(aws_of(lab), PLAIN, "apply", 0, look, print) as found:
            assert found == "found"

    if is_used:
        lab.run(main)
    else:
        with pytest.raises(RefusedError):
            lab.run(main)
    assert looks == 1 + is_used


async def test_whom_the_host_holds_doesnt_ask_for_the_lease(lab: Lab) -> None:
    async with held(aws_of(lab), LEASED, "apply", 0, print):
        before = lab.stored
        with pytest.raises(HeldError, match="lock-timeout"):
            async with held(aws_of(lab), LEASED, "destroy", 0, print):
                pass
        assert lab.stored == before


async def test_a_lease_that_cant_be_had_lets_go_of_the_host(lab: Lab) -> None:
    lab.s3.mishaps = [fail("NoSuchBucket")]
    with pytest.raises(LeaseError):
        async with held(aws_of(lab), LEASED, "apply", 0, print):
            pass
    async with held(aws_of(lab), LEASED, "apply", 0, print):
        pass


async def lose(lab: Lab, how: str, *, changed: bool) -> None:
    """A run that waits, and whose lease is lost meanwhile."""
    aws = aws_of(lab)
    async with held(aws, LEASED, "apply", 0, print):
        aws.changed = changed
        if how == "taken":
            lab.s3.put(PLACE.key, json.dumps({**GOOD, "command": "destroy"}).encode())
        else:
            lab.s3.mishaps = [UNREACHABLE] * 1000
        await aws.sleep(durations.RENEW_INTERVAL * 3)


@pytest.mark.parametrize(
    ("how", "changed", "error", "told"),
    [
        ("taken", False, HeldError, "alb-reconcile destroy (user ops on web-1, process 7) since 2026 took it over; nothing was changed"),
        ("taken", True, LeaseLostError, "took it over; nothing more is changed. Run it again"),
        ("unreachable", False, LeaseLostError, "expired before it could be renewed"),
    ],
)  # fmt: skip
async def test_a_run_that_lost_it_was_held_if_it_had_changed_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, how: str, changed: bool, error: type[Any], told: str
) -> None:
    if how == "unreachable":  # by the clock of this process no time passes
        monkeypatch.setattr(durations, "LEASE", 1.0)
    with pytest.raises(error) as raised:
        await lose(lab, how, changed=changed)
    assert told in str(raised.value)
    lab.s3.mishaps.clear()


async def test_what_comes_after_a_run_changes_nothing(lab: Lab) -> None:
    """Nor while its lease is given back; until it has taken it again."""
    aws = aws_of(lab)
    async with held(aws, LEASED, "sync", 0, print):
        await aws.call("ec2", "create_tags")
    for _ in range(2):
        with pytest.raises(LeaseError, match="no longer holds the stack"):
            await aws.call("ec2", "create_tags")
        assert aws.guard is not None
        with pytest.raises(LeaseError):
            aws.guard.check(0)
    async with held(aws, LEASED, "sync", 0, print):
        await aws.call("ec2", "create_tags")
    assert lab.s3.log.count("create_tags") == 2
