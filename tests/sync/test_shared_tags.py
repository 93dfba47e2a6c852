"""Tags that several stacks ask for at the pace at which their listeners come in: few calls, and what becomes of failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.errors import AwsError, InterruptedRun
from alb_reconcile.sandbox.strict import VirtualClock
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Mapping

GONE = "arn:gone"


class Transport:
    """AWS, as far as tags and listeners are asked for."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.refusal: AwsError | None = None
        self.refusals: list[AwsError] = []
        """Of one read each, before all others."""

    def __call__(
        self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False
    ) -> dict[str, Any]:
        if operation != "describe_tags":
            return {}
        arns = list(params["ResourceArns"])
        self.batches.append(arns)
        if self.refusal or self.refusals:
            raise self.refusal or self.refusals.pop()
        if GONE in arns:
            raise AwsError(service, operation, "ListenerNotFound", "gone", "")
        return {"TagDescriptions": [{"ResourceArn": arn, "Tags": [{"Key": "of", "Value": arn}]} for arn in arns]}


async def ask_for_each(aws: Aws, shared: SharedReads, count: int) -> list[Any]:
    """As many stacks, each of which reads its listeners at AWS's pace and then asks for their tags."""

    async def stack(number: int) -> dict[str, dict[str, str]]:
        await aws.call("elbv2", "describe_listeners", LoadBalancerArn=f"arn:{number}")
        return await shared.elb_tags([f"arn:{number}"])

    return await asyncio.gather(*(stack(number) for number in range(count)), return_exceptions=True)


def run(transport: Transport, count: int, stop_after: float | None = None) -> tuple[list[Any], float]:
    """Their answers, and the virtual seconds that it took."""
    clock = VirtualClock()

    async def main() -> list[Any]:
        aws = Aws(transport, max_workers=0)
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, aws.stopping.set)
        return await ask_for_each(aws, SharedReads(aws, []), count)

    began = clock.now()
    found: list[Any] = run_virtually(clock, main())
    return found, clock.now() - began


def tags_of_each(count: int) -> list[dict[str, dict[str, str]]]:
    return [{f"arn:{number}": {"of": f"arn:{number}"}} for number in range(count)]


def test_tags_wait_for_their_turn_and_are_read_together() -> None:
    """Fifty stacks need three calls, not one each: ARNs gather while the pace holds the call back."""
    transport = Transport()
    found, _ = run(transport, 50)
    assert found == tags_of_each(50)
    assert sorted(arn for batch in transport.batches for arn in batch) == sorted(arn for each in found for arn in each)
    assert len(transport.batches) <= 4
    assert all(len(batch) <= 20 for batch in transport.batches)
    assert run(Transport(), 1)[1] < 0.2, "a single stack doesn't wait"


def test_a_read_that_is_throttled_is_repeated_for_the_same_tags() -> None:
    """Those that came meanwhile have a read of their own."""
    transport = Transport()
    transport.refusals = [AwsError("elbv2", "describe_tags", "Throttling", "Rate exceeded", "") for _ in range(5)]
    found, seconds = run(transport, 30)
    assert found == tags_of_each(30)
    assert len(transport.batches) <= 5 + 3
    assert seconds < 300


def test_everybody_hears_of_a_refusal() -> None:
    transport = Transport()
    transport.refusal = AwsError("elbv2", "describe_tags", "AccessDenied", "no", "")
    found, _ = run(transport, 30)
    assert found == [transport.refusal] * 30


def test_what_is_gone_takes_nothing_along() -> None:
    transport = Transport()

    async def main() -> dict[str, dict[str, str]]:
        return await SharedReads(Aws(transport, max_workers=0), []).elb_tags(["arn:1", GONE, "arn:2"])

    assert run_virtually(VirtualClock(), main()).keys() == {"arn:1", "arn:2"}


def test_the_end_of_a_run_doesnt_wait_for_their_turn() -> None:
    """SIGTERM ends waits; whoever waits for tags is interrupted then, too."""
    found, seconds = run(Transport(), 200, stop_after=1)
    assert seconds < 2
    assert {type(item) for item in found if not isinstance(item, dict)} == {InterruptedRun}


def test_each_round_asks_who_it_is_and_shares_the_pace() -> None:
    """A fork that begins anew has an identity of its own for its own forks; what was used of the pace stays used."""
    asked: list[str] = []

    def transport(service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> dict[str, Any]:
        del service, params, once
        asked.append(operation)
        return {"Account": "123456789012"}

    async def main() -> None:
        root = Aws(transport, max_workers=0)
        for _ in range(3):
            aws = root.fork(anew=True)
            forks = [aws.fork() for _ in range(3)]
            assert {await fork.account() for fork in forks} == {"123456789012"}
            await asyncio.gather(*(fork.call("elbv2", "describe_listeners") for fork in forks * 10))

    clock = VirtualClock()
    began = clock.now()
    run_virtually(clock, main())
    assert asked.count("get_caller_identity") == 3
    assert clock.now() - began >= 60 / 10 - 0.001
