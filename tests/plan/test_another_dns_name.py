"""A load balancer that comes back answers under another DNS name, which clients outside the spec have to be told."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.harness import demo
from tests.kinds.conftest import hand as hand
from tests.properties.faults import Gone, Killed, spoilt

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

ADVICE = "point the records that aren't in this spec at it"


def told(hand: Hand, spec: Spec) -> list[str]:
    return [text for text in hand.world.plan(spec, allow={"replace": 9}).warnings if ADVICE in text]


def test_one_that_somebody_deleted_gets_another_name_and_others_are_no_news(hand: Hand) -> None:
    assert told(hand, demo()) == [], "the first one"
    hand.make(demo())
    spec = demo()
    spec["load_balancers"]["second"] = {**spec["load_balancers"]["public"], "listeners": {}}
    assert told(hand, spec) == []
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    (text,) = told(hand, demo())
    assert "load_balancer.public was there before" in text


def test_one_that_a_destroy_took_which_was_stopped_gets_another_name(hand: Hand) -> None:
    hand.make(demo())
    killed = Killed(2, "after")
    with spoilt(hand.world, killed), suppress(Gone, CancelledError):
        hand.world.apply(demo(), destroy=True)
    assert not hand.elb.describe_load_balancers()["LoadBalancers"], killed.words
    (text,) = told(hand, demo())
    assert "load_balancer.public was there before" in text
