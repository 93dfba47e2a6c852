"""Shares: what is expected of whom, and what counts as chance."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alb_reconcile.model.actions import Forward
from alb_reconcile.verification.client import Endpoint, Shot
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.schedule import mix
from alb_reconcile.verification.shares import (
    AnsweringTarget,
    Group,
    binomial_tail,
    expected_shares,
    is_within,
    read_targets,
    uneven,
)


def group(name: str, *healths: str) -> Group:
    """A target group `a` with the targets a0, a1, …"""
    return Group(name, name, tuple(AnsweringTarget(f"{name}{i}", 80, health) for i, health in enumerate(healths)))


def exact_tail(count: int, requests: int, share: Fraction) -> Fraction:
    """The same in whole numbers."""
    return sum(
        (math.comb(requests, i) * share**i * (1 - share) ** (requests - i) for i in range(count + 1)),
        Fraction(0),
    )


TWICE = Group(
    "g", "g", tuple(AnsweringTarget(name, port, "healthy") for name, port in (("i-1", 80), ("i-1", 81), ("i-2", 80)))
)


class TestExpectation:
    """Weights over groups, and equal parts in each."""

    @pytest.mark.parametrize(
        ("weights", "groups", "shares"),
        [
            ({"s": 80, "c": 20}, [group("s", "healthy", "healthy"), group("c", "healthy")], {"s0": 0.4, "s1": 0.4, "c0": 0.2}),
            ({"g": 1}, [group("g", "healthy", "unhealthy", "initial", "draining")], {"g0": 1.0}),
            # without a healthy target all count but those that leave
            ({"g": 1}, [group("g", "unhealthy", "initial", "draining", "unused")], {"g0": 0.5, "g1": 0.5}),
            ({"a": 0, "b": 5}, [group("a", "healthy"), group("b", "healthy")], {"a0": 0.0, "b0": 1.0}),
            ({"a": 1, "none": 3}, [group("a", "healthy"), group("none")], {"a0": 1.0}),
            ({"g": 1}, [TWICE], {"i-1": 2 / 3, "i-2": 1 / 3}),
        ],
    )  # fmt: skip
    def test_shares(self, weights: dict[str, int], groups: list[Group], shares: dict[str, float]) -> None:
        forward = tuple(Forward(name, weight) for name, weight in weights.items())
        assert expected_shares(forward, {item.arn: item for item in groups}) == pytest.approx(shares)
        healths = [target.health for item in groups for target in item.targets]
        assert any(item.fails_open for item in groups) == ("healthy" not in healths)

    @pytest.mark.parametrize(
        "attributes",
        [
            {"load_balancing.algorithm.type": "least_outstanding_requests"},
            {"slow_start.duration_seconds": "30"},
            {"load_balancing.cross_zone.enabled": "false"},
        ],
        ids=str,
    )
    def test_groups_that_need_not_share_equally(self, attributes: dict[str, str]) -> None:
        assert uneven(attributes)
        assert not uneven({"deregistration_delay.timeout_seconds": "30", "slow_start.duration_seconds": "0"})

    def test_targets_as_discovered(self) -> None:
        """By its address a target is the instance that has it."""
        ill = {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
        assert read_targets({"i-2:80": {"State": "healthy"}, "i-1:80": ill}, {"i-2": "web-1"}, {}) == (
            AnsweringTarget("i-1", 80, "unhealthy", "Target.Timeout Request timed out"),
            AnsweringTarget("i-2", 80, "healthy", "", "web-1"),
        )
        function = "arn:aws:lambda:us-east-1:123456789012:function:orders:5"
        health = {"10.0.1.5:80": {"State": "healthy"}, function: {"State": "healthy"}}
        found = read_targets(health, {"i-1": "web-1"}, {"10.0.1.5:80": "i-1"})
        assert [(item.id, item.port, item.name) for item in found] == [(function, 0, ""), ("i-1", 80, "web-1")]


class TestJudgement:
    """The exact binomial test."""

    @given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 40))
    def test_tails_are_those_of_the_binomial_distribution(self, requests: int, count: int, part: int) -> None:
        count = min(count, requests)
        exact = float(exact_tail(count, requests, Fraction(part, 40)))
        assert binomial_tail(count, requests, part / 40) == pytest.approx(exact, rel=1e-9, abs=1e-12)

    @given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(30, 3000))
    def test_taking_turns_is_always_within(self, weights: list[int], requests: int) -> None:
        """The counts that a load balancer by turns can have, to one request."""
        total = sum(weights)
        for weight in weights:
            share = weight / total
            assert is_within(math.floor(requests * share), requests, share, 3)
            assert is_within(math.ceil(requests * share), requests, share, 3)

    @given(st.integers(100, 5000), st.floats(0.05, 0.95))
    def test_far_off_is_never_within(self, requests: int, share: float) -> None:
        off = 4.5 * math.sqrt(requests * share * (1 - share)) + 1
        for count in (requests * share - off, requests * share + off):
            if 0 <= count <= requests:
                assert not is_within(round(count), requests, share, 3)

    @pytest.mark.parametrize(
        ("count", "share", "within"),
        [(100, 1.0, True), (99, 1.0, False), (0, 0.0, True), (1, 0.0, False), (0, 0.5, False), (0, 0.01, True)],
    )
    def test_all_or_nothing(self, count: int, share: float, within: bool) -> None:
        """One in a hundred needn't come in a hundred."""
        assert is_within(count, 100, share, 3) == within


class TestMixing:
    """Two rules that share a target group: neither may meet every second target only."""

    def test_rounds_are_mixed_and_each_keeps_its_order(self) -> None:
        endpoint, request = Endpoint("127.0.0.1", 80, 80), Request("h")
        names = ("a", "b")
        rounds = [iter([Shot(f"{name}{i}", endpoint, request) for i in range(500)]) for name in names]
        keys = [shot.key for shot in mix(rounds, random.Random(4))]
        for name in names:
            assert [key for key in keys if key[0] == name] == [f"{name}{i}" for i in range(500)]
            turns = Counter(place % 2 for place, key in enumerate(keys) if key[0] == name)
            assert is_within(turns[0], 500, 0.5, 3), "a load balancer by turns shares what each rule sends"
