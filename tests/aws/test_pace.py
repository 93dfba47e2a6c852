"""What the client does with its pace: who shares it, which refusals slow it down, and what is told of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.throttle import Throttle
from alb_reconcile.cli.session.connection import tell_throttled
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict import VirtualClock
from alb_reconcile.sandbox.strict.throttling import Throttling
from tests.aws.test_answers import BROKEN, LIMITED, answering
from tests.harness import REGION
from tests.properties.faults import CODES, Beside, error_of, take
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Mapping


class Account:
    """An AWS that answers everything with nothing, and throttles as it documents. `others` calls a second are somebody
    else's."""

    def __init__(self, others: float = 0.0) -> None:
        self.clock = VirtualClock()
        self.made: list[tuple[float, str]] = []
        self.refused: list[tuple[float, str]] = []
        self._began, self._buckets = self.clock.now(), Throttling()
        self.other = Beside(self._buckets, others, self.clock.now) if others else None

    def __call__(
        self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False
    ) -> dict[str, Any]:
        if self.other:
            self.other.catch_up()
        now = self.clock.now() - self._began
        if not take(self._buckets, service, camel(operation), params, self.clock.now()):
            self.refused.append((now, operation))
            raise error_of(service, operation, CODES[service][1])
        self.made.append((now, operation))
        return {}

    def empty(self, debt: float = 0.0) -> None:
        """Let somebody else have taken all of ELBv2's tokens, and more."""
        self._buckets._levels[DEFAULT_ACCOUNT_ID, REGION, "elbv2 account"] = -debt, self.clock.now()

    def run(self, throttle: Throttle, *calls: tuple[str, str, int]) -> Aws:
        """Make so many calls of each, all at once."""
        made: list[Aws] = []

        async def main() -> None:
            aws = Aws(self, max_workers=0, throttle=throttle)
            made.append(aws)
            await asyncio.gather(*(aws.call(service, name) for service, name, count in calls for _ in range(count)))

        run_virtually(self.clock, main())
        return made[0]

    @property
    def seconds(self) -> float:
        return self.made[-1][0]


# what `make bench` counts for `sync` over 50 stacks that nobody has touched
FIFTY = [
    ("elbv2", "describe_load_balancers", 3), ("elbv2", "describe_listeners", 50), ("elbv2", "describe_rules", 50),
    ("elbv2", "describe_target_health", 50), ("elbv2", "describe_tags", 7), ("ec2", "describe_vpc_attribute", 50),
    ("ec2", "describe_instances", 1), ("ec2", "describe_vpcs", 1), ("ec2", "describe_subnets", 1),
    ("ec2", "describe_security_groups", 1), ("ec2", "describe_route_tables", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [((1.0,), (160 - 30) / 10), ((0.5,), (160 - 20) / 5), ((1.0, 0.5), (160 - 20) / 10)],
)
def test_a_sync_of_fifty_stacks_takes_what_the_buckets_allow(pace: tuple[float, ...], seconds: float) -> None:
    """ELBv2's bucket of the account is the narrowest; a second's tokens of a whole one stay."""
    account = Account()
    account.run(Throttle(*pace), *FIFTY)
    assert account.seconds == pytest.approx(seconds, abs=0.1)
    assert not account.refused


@pytest.mark.parametrize("pace", [(1.0,), (1.0, 0.5)])
def test_another_tool_that_takes_half_is_made_room_for(pace: tuple[float, ...]) -> None:
    """All calls are made, in hardly more time than what the other leaves allows, and neither is refused often."""
    account = Account(others=5)
    aws = account.run(Throttle(*pace), ("elbv2", "describe_rules", 600))
    assert len(account.made) == 600
    assert account.seconds < 1.35 * (600 - 40) / 5
    assert 1 <= len(account.refused) < 30
    assert account.other is not None
    assert account.other.refused < 0.1 * account.other.asked
    assert aws.throttled["describe_rules"].count == len(account.refused)


@pytest.mark.parametrize(("debt", "is_told"), [(400.0, True), (5.0, False)])
def test_who_waits_for_long_is_told_what_for(debt: float, is_told: bool) -> None:
    """Found: `plan` went on for minutes without a word. A refusal now and then is nobody's concern."""
    account, told = Account(), list[str]()
    account.empty(debt)

    async def main() -> None:
        aws = Aws(account, max_workers=0, throttle=Throttle(1.0))
        watch = asyncio.ensure_future(tell_throttled(aws, told.append))
        await aws.call("elbv2", "describe_rules")
        await asyncio.sleep(30)
        watch.cancel()

    run_virtually(account.clock, main())
    assert [text.partition(",")[0] for text in told] == ["AWS throttles describe_rules"] * is_told


@pytest.mark.parametrize(("body", "throttled"), [(LIMITED, 4), (BROKEN, 0)])
def test_attempts_that_botocore_repeats_count_as_well(
    monkeypatch: pytest.MonkeyPatch, body: bytes, throttled: int
) -> None:
    """And slow the pace down while it still repeats them."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    throttle = Throttle()

    async def main(aws: Aws) -> None:
        with pytest.raises(AwsError):
            await aws._once("ec2", "describe_vpcs", dict)

    with answering(503, body) as (transport, asked):
        aws = Aws(transport, max_workers=1, throttle=throttle)
        asyncio.run(main(aws))
        aws.close()
    assert len(asked) == 4
    assert sum(item.count for item in aws.throttled.values()) == throttled
    places = throttle.reserve("ec2", "describe_vpcs", dict, time.monotonic())
    assert places[0][0].share == pytest.approx(0.5 if throttled else 1.0, abs=0.1)
