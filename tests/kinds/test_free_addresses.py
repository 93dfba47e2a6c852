"""Subnets without room for what a plan makes in them are told of before anything is made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.cli.main import main
from alb_reconcile.model.errors import RefusedError
from tests.at_length import only_at_length
from tests.harness import READS, Spec, demo
from tests.kinds.hand import Hand, calls, edited

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
    before = hand.world.strict.inventory()
    with pytest.raises(RefusedError) as caught:
        hand.world.apply(spec)
    assert hand.world.strict.inventory() == before
    assert all(name.startswith(READS) for name, _ in hand.world.log)
    return [re.sub(r"^\S+:\d+:\d+: ", "<place> ", line) for line in str(caught.value).splitlines()]


def short(name: str, free: int, needed: str, *, at: str = "instances.web.count") -> str:
    return f"<place> {at}: {name} has {free} free addresses, and this plan needs {needed.replace(' (', ' there (')}"


def begins(lines: Iterable[str], *starts: str) -> None:
    assert [line.partition(";")[0] for line in lines] == list(starts)


def anywhere(lines: Iterable[str]) -> list[str]:
    """In which of two alike subnets hangs on their ids."""
    return [re.sub(r"subnet\.public-[ab]", "<one>", line) for line in lines]


def test_more_instances_than_new_subnets_have_addresses(hand: Hand) -> None:
    needed = "508 (500 for instance.web, 8 for load_balancer.public)"
    begins(
        told(hand, edited(demo(), "instances/web/count", 1000)),
        short("subnet.public-a", 251, needed),
        short("subnet.public-b", 251, needed),
    )


def test_plan_says_it_with_file_line_and_column(hand: Hand, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(cramped(20), sort_keys=False), encoding="utf-8")
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "count: 20" in text)
    assert main(["plan", str(file)]) == 4
    told = capsys.readouterr()
    assert "+ instance.web-20" in told.out, "the plan is shown all the same"
    assert told.err.splitlines()[0].startswith(
        f"{file}:{line}:5: instances.web.count: subnet.public-a has 11 free addresses, and this plan needs 18 there"
    )


def test_the_last_address_can_be_had(hand: Hand) -> None:
    hand.make(cramped(6))
    full = cramped(20)
    begins(anywhere(told(hand, edited(full, "instances/web/count", 21))), short("<one>", 7, "8 (8 for instance.web)"))
    hand.make(full)
    hand.make(edited(full, "instances/web/tags", {"full": "yes"}))


def test_what_stands_beside_what_it_replaces_needs_an_address(hand: Hand) -> None:
    hand.make(cramped(6))
    hand.make(cramped(20))
    needed = "1 (1 for instance.web)"
    begins(
        told(hand, cramped(20, **ROLL)),
        short("subnet.public-a", 0, needed),
        short("subnet.public-b", 0, needed),
    )
    gaps = cramped(20, **ROLL, rollout={"max_surge": 0, "max_unavailable": 10, "min_ready": "0s", "settle": "15s"})
    assert not hand.world.apply(gaps, allow={"replace": 20}).failures


def test_members_that_stay_need_none(hand: Hand) -> None:
    hand.make(cramped(6))
    hand.make(cramped(20))
    last = hand["instance.web-20"]
    hand.ec2.stop_instances(InstanceIds=[last])
    hand.wait(200)
    hand.ec2.modify_instance_attribute(InstanceId=last, InstanceType={"Value": "t3.small"})
    hand.ec2.start_instances(InstanceIds=[last])
    hand.wait(200)
    begins(anywhere(told(hand, cramped(20))), short("<one>", 0, "1 (1 for instance.web)"))
    hand.ec2.terminate_instances(InstanceIds=[last])
    hand.wait(200)
    hand.make(cramped(20))


@only_at_length("tests/kinds/test_free_addresses.py::test_what_stands_beside_what_it_replaces_needs_an_address")
def test_all_stand_beside_the_old_ones_where_their_target_group_is_replaced(hand: Hand) -> None:
    hand.make(cramped(6))
    hand.make(cramped(14))
    spec = edited(cramped(14, **ROLL), "target_groups/web/port", 8080)
    needed = "7 (7 for instance.web)"
    begins(
        told(hand, spec),
        short("subnet.public-a", 3, needed),
        short("subnet.public-b", 3, needed),
    )


def test_a_load_balancer_needs_eight_in_each_subnet_that_is_new_to_it(hand: Hand) -> None:
    spec = demo()
    spec["subnets"]["small"] = {"cidr_block": "10.0.9.0/28", "availability_zone": "c"}
    spec["instances"]["other"] = {**spec["instances"]["web"], "count": 4, "subnets": ["small"]}
    hand.make(spec)
    wider = edited(spec, "load_balancers/public/subnets", ["public-a", "public-b", "small"])
    begins(
        told(hand, wider),
        short("subnet.small", 7, "8 (8 for load_balancer.public)", at="load_balancers.public.subnets"),
    )


def test_somebody_elses_subnet(hand: Hand) -> None:
    vpc = hand.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    made = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/28", AvailabilityZone="us-east-1a")
    subnet = made["Subnet"]["SubnetId"]
    group = {"vpc": vpc, "description": "web"}
    instances = {**demo()["instances"]["web"], "subnets": [subnet], "count": 12}
    spec = {
        "stack": "demo",
        "region": "us-east-1",
        "security_groups": {"web": group},
        "instances": {"web": instances},
    }
    begins(told(hand, spec), short(subnet, 11, "12 (12 for instance.web)"))
    hand.make(edited(spec, "instances/web/count", 11))


def test_nothing_more_is_read(hand: Hand) -> None:
    hand.make(demo())
    for count in (2, 4):
        hand.world.plan(edited(demo(), "instances/web/count", count))
        assert len(calls(hand.world, "describe_subnets")) == 1
