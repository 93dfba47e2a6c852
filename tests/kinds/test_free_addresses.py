"""Subnets without room for what a plan makes in them are told of before anything is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.harness import Spec, demo
from tests.kinds.hand import Hand, edited

if TYPE_CHECKING:
    from collections.abc import Iterable

ROLL = {"user_data": "#!/bin/sh\n"}


def cramped(count: int, **instances: object) -> Spec:
    """The demo in two subnets with eleven addresses each, of which the load balancer takes one, and wants eight."""
    spec = edited(demo(), "instances/web/count", count)
    for name, start in (("public-a", 0), ("public-b", 16)):
        spec["subnets"][name]["cidr_block"] = f"10.0.0.{start}/28"
    spec["instances"]["web"] |= instances
    return spec


def told(hand: Hand, spec: Spec) -> list[str]:
    """What `apply` says, having made nothing; with line and column for <place>."""
    return [re.sub(r"^\S+:\d+:\d+: ", "<place> ", line) for line in hand.refuses_run(spec)]


def short(name: str, free: int, needed: str, *, at: str = "instances.web.count") -> str:
    return f"<place> {at}: {name} has {free} free addresses, and this plan needs {needed.replace(' (', ' there (')}"


def begins(lines: Iterable[str], *starts: str) -> None:
    assert [line.partition(";")[0] for line in lines] == list(starts)


def anywhere(lines: Iterable[str]) -> list[str]:
    """In which of two alike subnets hangs on their ids."""
    return [re.sub(r"subnet\.public-[ab]", "<one>", line) for line in lines]


@pytest.mark.slow
def test_the_last_address_can_be_had(hand: Hand) -> None:
    needed = "18 (10 for instance.web, 8 for load_balancer.public)"
    begins(told(hand, cramped(20)), short("subnet.public-a", 11, needed), short("subnet.public-b", 11, needed))
    hand.make(cramped(6))
    full = cramped(20)
    begins(anywhere(told(hand, edited(full, "instances/web/count", 21))), short("<one>", 7, "8 (8 for instance.web)"))
    hand.make(full)
    hand.make(edited(full, "instances/web/tags", {"full": "yes"}))
    needed = "1 (1 for instance.web)"  # what stands beside what it replaces
    rolled = told(hand, cramped(20, **ROLL))
    begins(rolled, short("subnet.public-a", 0, needed), short("subnet.public-b", 0, needed))
    last = hand["instance.web-20"]
    hand.ec2.stop_instances(InstanceIds=[last])
    hand.wait(200)
    hand.ec2.modify_instance_attribute(InstanceId=last, InstanceType={"Value": "t3.small"})
    hand.ec2.start_instances(InstanceIds=[last])
    hand.wait(200)
    begins(anywhere(told(hand, full)), short("<one>", 0, needed))  # members that stay need none
    hand.ec2.terminate_instances(InstanceIds=[last])
    hand.wait(200)
    hand.make(full)
    gaps = cramped(20, **ROLL, rollout={"max_surge": 0, "max_unavailable": 10, "min_ready": "0s", "settle": "15s"})
    assert not hand.world.apply(gaps, allow={"replace": 20}).failures


def test_a_load_balancer_needs_eight_in_each_subnet_that_is_new_to_it(hand: Hand) -> None:
    spec = demo()
    spec["subnets"]["small"] = {"cidr_block": "10.0.9.0/28", "availability_zone": "c"}
    spec["instances"]["other"] = {**spec["instances"]["web"], "count": 4, "subnets": ["small"]}
    hand.make(spec)
    wider = edited(spec, "load_balancers/public/subnets", ["public-a", "public-b", "small"])
    where = "load_balancers.public.subnets"
    begins(told(hand, wider), short("subnet.small", 7, "8 (8 for load_balancer.public)", at=where))
