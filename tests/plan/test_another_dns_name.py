"""A load balancer that comes back answers under another DNS name, which clients outside the spec have to be told."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.sync.drift import new_names
from tests.harness import Spec, demo, world
from tests.kinds.hand import Hand
from tests.properties.faults import Gone, Killed, spoilt

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE = "point the records that aren't in this spec at it"


@pytest.fixture
def hand() -> Iterator[Hand]:
    with world() as fresh:
        yield Hand(fresh)


def told(hand: Hand, spec: Spec) -> list[str]:
    return [text for text in hand.world.plan(spec, allow={"replace": 9}).warnings if ADVICE in text]


def dns_name(hand: Hand) -> str:
    (found,) = hand.elb.describe_load_balancers()["LoadBalancers"]
    return str(found["DNSName"])


def test_the_first_one_is_no_news(hand: Hand) -> None:
    assert told(hand, demo()) == []


def test_one_that_somebody_deleted_gets_another_name(hand: Hand) -> None:
    hand.make(demo())
    assert told(hand, demo()) == []
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    (text,) = told(hand, demo())
    assert "load_balancer.public was there before" in text


def test_one_that_a_destroy_took_which_was_stopped_gets_another_name(hand: Hand) -> None:
    """Found: all was in order afterwards, and nobody was told that the name was another one."""
    hand.make(demo())
    killed = Killed(2, "after")
    with spoilt(hand.world, killed), suppress(Gone, CancelledError):
        hand.world.apply(demo(), destroy=True)
    assert not hand.elb.describe_load_balancers()["LoadBalancers"], killed.words
    (text,) = told(hand, demo())
    assert "load_balancer.public was there before" in text


def test_one_that_a_history_knows_of_gets_another_name(hand: Hand) -> None:
    """Found: after a destroy from another host, the end of an apply had no word of it."""
    hand.make(demo())
    hand.world.destroy(demo())
    result = hand.world.apply(demo())
    assert new_names(result.plan, result.outcomes, None) == {}
    (text,) = new_names(result.plan, result.outcomes, None, was_there=True).values()
    assert ADVICE in text


def test_another_one_beside_it_is_no_news(hand: Hand) -> None:
    hand.make(demo())
    spec = demo()
    spec["load_balancers"]["second"] = {**spec["load_balancers"]["public"], "listeners": {}}
    assert told(hand, spec) == []


def test_sync_says_the_new_name(hand: Hand) -> None:
    hand.make(demo())
    before = dns_name(hand)
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    ending = hand.world.sync(demo())
    assert not ending.is_failed
    (text,) = ending.remarks.values()
    assert dns_name(hand) in text
    assert before not in text
    assert hand.world.sync(demo()).remarks == {}
