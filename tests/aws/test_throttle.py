"""The tool's own pace: the share of AWS's buckets that it takes, and what a refusal changes, on a plain clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alb_reconcile.aws.buckets import Bucket, buckets_of
from alb_reconcile.aws.throttle import CLIMB, LEAST, Places, Throttle
from alb_reconcile.model.text import camel

if TYPE_CHECKING:
    from collections.abc import Mapping

FILTER = {"Filters": [{"Name": "tag-key", "Values": ["a"]}]}


class Client:
    """Who makes one call after the other as fast as the pace allows, on a clock of its own."""

    def __init__(self, throttle: Throttle, now: float = 0.0) -> None:
        self.throttle, self.now = throttle, now

    def call(self, service: str, operation: str, **params: Any) -> Places:
        places = self.throttle.reserve(service, operation, lambda: params, self.now)
        while delay := self.throttle.delay(places, self.now):
            self.now += delay
        return places

    def seconds(self, service: str, operation: str, count: int, **params: Any) -> float:
        began = self.now
        for _ in range(count):
            self.call(service, operation, **params)
        return self.now - began


class Account:
    """AWS's side of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket, self._level, self._since = bucket, bucket.size, 0.0

    def take(self, tokens: float, now: float) -> bool:
        """Whether there are so many; then they are taken."""
        self._level = min(self._bucket.size, self._level + (now - self._since) * self._bucket.refill)
        self._since = now
        if self._level < tokens - 1e-6:
            return False
        self._level -= tokens
        return True


@pytest.mark.parametrize(
    ("service", "operation", "params", "size", "refill"),
    [
        ("ec2", "describe_vpcs", {}, 100, 20),
        ("ec2", "describe_instances", FILTER, 100, 20),
        ("ec2", "describe_instances", {"InstanceIds": ["i-1"]}, 50, 10),
        ("ec2", "create_tags", {}, 100, 10),
        ("ec2", "run_instances", {"MaxCount": 1}, 5, 2),
        ("ec2", "terminate_instances", {"InstanceIds": ["i-1"]}, 100, 5),
        ("elbv2", "describe_rules", {}, 40, 10),
        ("elbv2", "create_load_balancer", {}, 10, 0.2),
    ],
)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_share_of_awss_own_numbers(
    service: str, operation: str, params: Mapping[str, Any], size: float, refill: float, share: float
) -> None:
    """At once as many as the share of the bucket, of a whole one a second's tokens less; then by the share of its refill."""
    client, burst = Client(Throttle(share)), min(size * share, size - refill)
    assert client.seconds(service, operation, int(burst), **params) == pytest.approx(0, abs=1e-3)
    first = client.seconds(service, operation, 1, **params)
    assert first == pytest.approx((int(burst) + 1 - burst) / (refill * share), abs=1e-3)
    assert client.seconds(service, operation, 10, **params) == pytest.approx(10 / (refill * share), abs=1e-3)


def test_each_action_of_ec2_has_its_own_and_those_of_elb_share_the_accounts() -> None:
    client = Client(Throttle())
    assert client.seconds("ec2", "describe_vpcs", 80) + client.seconds("ec2", "describe_subnets", 80) == 0
    assert client.seconds("elbv2", "describe_rules", 30) == 0
    assert client.seconds("elbv2", "modify_rule", 1) == pytest.approx(0.1)
    assert client.seconds("sts", "get_caller_identity", 1000) == 0


def test_a_refusal_halves_the_share_of_its_buckets_and_it_climbs_back_to_what_was_asked_for() -> None:
    client = Client(Throttle())
    client.throttle.slow_down(client.call("ec2", "describe_vpcs"), client.now, client.now)
    ten = client.seconds("ec2", "describe_vpcs", 10)
    assert 0.9 < ten < 10 / (20 * 0.5), "nothing is at hand any more, and half of what comes"
    assert client.seconds("ec2", "describe_subnets", 80) == 0, "of another bucket it says nothing"
    client.seconds("ec2", "describe_vpcs", int(20 * 0.75 * 0.5 / CLIMB))
    assert client.now == pytest.approx(0.5 / CLIMB, rel=0.02), "three quarters on the way"
    assert client.seconds("ec2", "describe_vpcs", 200) == pytest.approx(10, abs=0.1)


def test_half_of_a_bucket_at_once_and_then_all_that_is_refilled() -> None:
    client = Client(Throttle(1.0, 0.5))
    for _ in range(2):
        assert client.seconds("elbv2", "describe_rules", 20) == pytest.approx(0, abs=1e-3)
        assert client.seconds("elbv2", "describe_rules", 100) == pytest.approx(10, abs=0.01)
        client.now += 60  # a round later


def test_what_is_larger_than_the_share_of_a_bucket_waits_for_a_full_one_and_is_paid_back() -> None:
    """AWS, whose bucket holds more, takes it."""
    client = Client(Throttle(0.5))
    client.call("ec2", "run_instances", MaxCount=100)
    assert client.seconds("ec2", "run_instances", 1, MaxCount=800) == pytest.approx(100)
    assert client.seconds("ec2", "run_instances", 1, MaxCount=1) == pytest.approx(300 + 1)


def test_no_share_ends_at_nothing() -> None:
    client = Client(Throttle(0.1))
    for _ in range(20):
        client.throttle.slow_down(client.call("elbv2", "describe_rules"), client.now, client.now)
    assert client.seconds("elbv2", "describe_rules", 1) <= 1 / (10 * LEAST) + 0.1


CALLS = st.lists(
    st.tuples(
        st.floats(0, 10),  # seconds since the one before
        st.floats(0, 0.999),  # on its way to AWS
        st.sampled_from([
            ("ec2", "describe_instances", {"InstanceIds": ["i"]}),
            ("ec2", "run_instances", {"MaxCount": 1}),
            ("ec2", "run_instances", {"MaxCount": 90}),
            ("ec2", "terminate_instances", {"InstanceIds": ["i"] * 100}),
            ("elbv2", "describe_rules", {}),
            ("elbv2", "set_subnets", {}),
        ]),
        st.integers(1, 40),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=30)
@given(share=st.floats(0.1, 1.0), at_once=st.floats(0.1, 1.0), calls=CALLS)
def test_aws_never_throttles_a_client_that_is_alone(share: float, at_once: float, calls: list[Any]) -> None:
    """At no pace, though calls take up to a second to AWS and overtake each other."""
    client = Client(Throttle(share, at_once))
    arrivals: list[tuple[float, str, str, Mapping[str, Any]]] = []
    for pause, way, (service, operation, params), count in calls:
        client.now += pause
        for number in range(count):
            client.call(service, operation, **params)
            arrivals.append((client.now + way * (number % 2), service, operation, params))
    accounts: dict[tuple[str, str], Account] = {}
    for now, service, operation, params in sorted(arrivals, key=lambda item: item[0]):
        for name, bucket, tokens in buckets_of(service, camel(operation), lambda given=params: given):  # type: ignore[misc]
            assert accounts.setdefault((service, name), Account(bucket)).take(tokens, now)
