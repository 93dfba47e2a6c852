"""Shares: what is expected of whom, and what counts as chance."""

from __future__ import annotations

import itertools
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
    Group,
    Target,
    binomial_tail,
    expected_shares,
    is_within,
    read_targets,
    uneven,
)


def group(name: str, *healths: str) -> Group:
    """A target group `a` with the targets a0, a1, …"""
    return Group(name, name, tuple(Target(f"{name}{i}", 80, health) for i, health in enumerate(healths)))


def exact_tail(count: int, requests: int, share: Fraction) -> Fraction:
    """The same in whole numbers."""
    return sum(
        (math.comb(requests, i) * share**i * (1 - share) ** (requests - i) for i in range(count + 1)),
        Fraction(0),
    )


class TestExpectation:
    """Weights over groups, and equal parts in each."""

    def test_weights_then_equally(self) -> None:
        groups = {"s": group("s", "healthy", "healthy"), "c": group("c", "healthy")}
        assert expected_shares((Forward("s", 80), Forward("c", 20)), groups) == {
            "s0": 0.4,
            "s1": 0.4,
            "c0": 0.2,
        }

    def test_only_healthy_targets_count(self) -> None:
        found = group("g", "healthy", "unhealthy", "initial", "draining")
        assert expected_shares((Forward("g"),), {"g": found}) == {"g0": 1.0}
        assert not found.fails_open

    def test_without_a_healthy_target_all_count_but_those_that_leave(self) -> None:
        found = group("g", "unhealthy", "initial", "draining", "unused")
        assert expected_shares((Forward("g"),), {"g": found}) == {"g0": 0.5, "g1": 0.5}
        assert found.fails_open

    def test_weight_zero_and_empty_groups(self) -> None:
        groups = {"a": group("a", "healthy"), "b": group("b", "healthy"), "none": group("none")}
        assert expected_shares((Forward("a", 0), Forward("b", 5)), groups) == {"a0": 0.0, "b0": 1.0}
        assert expected_shares((Forward("a", 1), Forward("none", 3)), groups) == {"a0": 1.0}

    def test_a_target_on_two_ports_gets_both_parts(self) -> None:
        both = Group(
            "g",
            "g",
            (Target("i-1", 80, "healthy"), Target("i-1", 81, "healthy"), Target("i-2", 80, "healthy")),
        )
        assert expected_shares((Forward("g"),), {"g": both}) == pytest.approx({"i-1": 2 / 3, "i-2": 1 / 3})

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
        health = {
            "i-2:80": {"State": "healthy"},
            "i-1:80": {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"},
        }
        assert read_targets(health, {"i-2": "web-1"}, {}) == (
            Target("i-1", 80, "unhealthy", "Target.Timeout Request timed out"),
            Target("i-2", 80, "healthy", "", "web-1"),
        )


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

    @given(st.integers(200, 5000), st.integers(2, 12), st.integers(0, 2**32))
    def test_chance_is_within_nearly_always(self, requests: int, targets: int, seed: int) -> None:
        dice = random.Random(seed)
        counts = Counter(dice.choices(range(targets), k=requests))
        # five standard deviations: one in a million
        assert all(is_within(counts[i], requests, 1 / targets, 5) for i in range(targets))

    @given(st.integers(100, 5000), st.floats(0.05, 0.95))
    def test_far_off_is_never_within(self, requests: int, share: float) -> None:
        off = 4.5 * math.sqrt(requests * share * (1 - share)) + 1
        for count in (requests * share - off, requests * share + off):
            if 0 <= count <= requests:
                assert not is_within(round(count), requests, share, 3)

    def test_the_borders_at_three_standard_deviations(self) -> None:
        """80/20 over 2,000 requests: 1,600 give or take 54."""
        inside = [count for count in range(1500, 1701) if is_within(count, 2000, 0.8, 3)]
        assert inside == list(range(inside[0], inside[-1] + 1))
        assert abs(inside[0] - (1600 - 53.7)) < 3
        assert abs(inside[-1] - (1600 + 53.7)) < 3

    def test_all_or_nothing(self) -> None:
        assert is_within(100, 100, 1.0, 3)
        assert not is_within(99, 100, 1.0, 3)
        assert is_within(0, 100, 0.0, 3)
        assert not is_within(1, 100, 0.0, 3)
        assert not is_within(0, 100, 0.5, 3)
        assert is_within(0, 100, 0.01, 3), "one in a hundred needn't come in a hundred"

    def test_many_requests_take_no_time(self) -> None:
        assert is_within(50_000, 100_000, 0.5, 3)
        assert not any(is_within(count, 1_000_000, 0.5, 3) for count in itertools.chain((0, 400_000, 10**6)))


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


def test_targets_by_address_are_the_instances_that_have_it() -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:orders:5"
    health = {"10.0.1.5:80": {"State": "healthy"}, function: {"State": "healthy"}}
    first, second = read_targets(health, {"i-1": "web-1"}, {"10.0.1.5:80": "i-1"})
    assert (first.id, first.port, first.name) == (function, 0, "")
    assert (second.id, second.port, second.name) == ("i-1", 80, "web-1")
