"""Alike instances of one subnet, which one call launches: few calls, and each member is who it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.engine.plan import launches
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.sandbox.strict.quotas import STANDARD_VCPUS
from tests.at_length import at_length, only_at_length
from tests.harness import Spec, World, world
from tests.kinds.hand import Faults, calls, create, short, update
from tests.kinds.many import HOUR, members, numbers, place, rows, targets, web
from tests.plan.targets import watch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def here() -> Iterator[World]:
    with world() as found:
        yield found


def test_twelve_are_launched_by_two_calls_and_go_by_one(here: World) -> None:
    spec = web(12)
    spec["instances"]["web"]["root_volume"] = {"volume_size": 20}
    result = here.converge(spec)
    assert result.writes["run_instances"] == 2
    assert result.writes["register_targets"] == 1
    assert "create_tags" not in result.writes or result.writes["create_tags"] <= 1, result.writes
    assert members(here).keys() == numbers(upto=12)
    for item in rows(here):
        own = tags.own_tags(tags.from_list(item["Tags"]), item["AmiLaunchIndex"])
        assert result.rest is not None
        assert result.rest.ids[Address.parse(own[tags.ADDRESS])] == item["InstanceId"]
    subnets = {
        number: item["SubnetId"]
        for item in rows(here)
        for number, own in members(here).items()
        if own == item["InstanceId"]
    }
    assert len({subnets[str(number)] for number in range(1, 12, 2)}) == 1
    assert len(set(subnets.values())) == 2
    volumes = here.client("ec2").describe_volumes()["Volumes"]
    assert len(volumes) == 12
    assert all({"Key": tags.STACK, "Value": "demo"} in item["Tags"] for item in volumes)
    gone = here.destroy(spec).writes
    assert gone["terminate_instances"] == 1
    assert not here.client("ec2").describe_volumes()["Volumes"]


def test_a_copy_of_one_of_them_is_left_alone(here: World) -> None:
    """'Launch more like this' copies the tags: it has another token, and the launch index of another member."""
    here.converge(web(6))
    original = next(item for item in rows(here) if item["AmiLaunchIndex"] == 1)
    ours = members(here)
    here.client("ec2").run_instances(
        ImageId=original["ImageId"], InstanceType="t3.micro", MinCount=2, MaxCount=2, SubnetId=original["SubnetId"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": original["Tags"]}],
    )  # fmt: skip
    here.clock.advance(60)
    assert here.plan(web(6)).is_empty
    assert set(here.plan(web(6)).ids.values()) >= set(ours.values())
    ids = [item["InstanceId"] for item in rows(here) if item["InstanceId"] not in ours.values()]
    assert len(ids) == 2
    here.client("ec2").terminate_instances(InstanceIds=ids)
    here.clock.advance(60)
    here.destroy(web(6))


def room(spec: Spec) -> Spec:
    """The demo in subnets that have room for 11, of which the load balancer takes some."""
    for name, number in (("public-a", 1), ("public-b", 2)):
        spec["subnets"][name]["cidr_block"] = f"10.0.{number}.0/28"
    return spec


def test_a_subnet_with_room_for_fewer_gets_those(here: World) -> None:
    result = here.apply(room(web(30)), check=False)
    failed = [text for text in result.failures if "instance.web" in text and ": failed: " in text]
    assert failed
    assert all("InsufficientFreeAddressesInSubnet" in text for text in failed), failed
    made = members(here)
    here.clock.advance(200)
    assert len(made) == 30 - len(failed)
    assert targets(here) == {"healthy": len(made)}
    assert len(calls(here, "run_instances")) == 6, "in each subnet all, as many as there is room for, the others"
    again = here.apply(room(web(30)), check=False)
    assert again.failures
    assert members(here) == made
    assert again.writes.get("run_instances", 0) == 2, (
        "for as many as there is room for at once, as the run before did last"
    )
    here.converge(room(web(len(made) // 2)), allow={"delete": 30})


@pytest.mark.parametrize("later", [1200, *at_length(0)])
def test_a_quota_allows_fewer_and_then_more(here: World, later: float) -> None:
    """Also a moment later, when the rest of the launch may only not be shown yet."""
    quotas = place().ledger.quotas
    here.converge(web(0))
    faults = Faults(here)
    faults.refuse("get_service_quota", "AccessDeniedException", times=9)
    quotas[STANDARD_VCPUS] = 2 * 8
    result = here.apply(web(12))
    assert any("VcpuLimitExceeded" in text for text in result.failures)
    assert len(members(here)) == 8
    here.clock.advance(60)
    assert targets(here) == {"healthy": 8}
    assert faults.made["run_instances"] <= 4
    quotas.clear()
    here.clock.advance(later)
    faults.made.clear()
    before = members(here)
    result = here.converge(web(12))
    assert faults.made["run_instances"] <= 2
    assert members(here).keys() == numbers(upto=12)
    assert before.items() <= members(here).items()
    assert targets(here) == {"healthy": 12}


@pytest.mark.parametrize("later", [30, *at_length(HOUR)], ids=["now", *at_length("later")])
def test_one_that_is_terminated_by_hand_is_launched_alone(here: World, later: float) -> None:
    here.converge(web(6))
    before = members(here)
    here.client("ec2").terminate_instances(InstanceIds=[before["3"]])
    here.clock.advance(later)
    assert create("instance.web-3") in short(here.plan(web(6)))
    result = here.converge(web(6))
    after = members(here)
    assert {number for number in before if before[number] != after[number]} == {"3"}
    assert len(calls(here, "run_instances")) <= 1
    assert result.writes["run_instances"] == 1
    here.client("ec2").terminate_instances(InstanceIds=[after["3"], after["1"], after["2"]])
    here.clock.advance(later)
    again = here.converge(web(6))
    assert again.writes["run_instances"] <= 3
    assert {number for number in after if after[number] != members(here)[number]} == {"1", "2", "3"}


@pytest.mark.parametrize("later", [HOUR, *at_length(30)], ids=["later", *at_length("now")])
def test_a_whole_launch_is_terminated_by_hand(here: World, later: float) -> None:
    here.converge(web(6))
    before = members(here)
    here.client("ec2").terminate_instances(InstanceIds=list(before.values()))
    here.clock.advance(later)
    result = here.converge(web(6))
    assert members(here).keys() == numbers(upto=6)
    assert not set(members(here).values()) & set(before.values())
    assert result.calls["run_instances"] <= 4, "a spent token each, at most"


def test_one_that_was_stopped_by_hand_is_started(here: World) -> None:
    here.converge(web(6))
    before = members(here)
    here.client("ec2").stop_instances(InstanceIds=[before["4"], before["6"]])
    here.clock.advance(60)
    assert [line for line in short(here.plan(web(6))) if line[1].startswith("instance.")] == [
        update("instance.web-4", "state"),
        update("instance.web-6", "state"),
    ]
    assert here.converge(web(6)).writes["start_instances"] == 1
    assert members(here) == before


def test_scaled_in_and_out(here: World) -> None:
    here.converge(web(8))
    first = members(here)
    gone = here.converge(web(3), allow={"delete": 9}).writes
    assert (
        gone == {"deregister_targets": 1, "terminate_instances": 1, "create_tags": 1}
        or gone["terminate_instances"] == 1
    )
    assert members(here).items() <= first.items()
    here.converge(web(8))
    assert members(here).keys() == numbers(upto=8)
    assert {number for number, own in members(here).items() if first[number] == own} == {"1", "2", "3"}


@only_at_length("tests/kinds/test_launched_together.py::test_scaled_in_and_out")
def test_a_stack_of_before_gets_more(here: World) -> None:
    """Each had a call and an address of its own, as of a run of an earlier version."""
    here.converge(web(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launches, "_MOST", 1)
        assert here.converge(web(4)).writes["run_instances"] == 4
    old = members(here)
    assert all(tags.ADDRESS in tags.from_list(item["Tags"]) for item in rows(here))
    assert here.converge(web(10)).writes["run_instances"] == 2
    assert old.items() <= members(here).items()
    mixed = members(here)
    here.client("ec2").terminate_instances(InstanceIds=[mixed["2"], mixed["8"], mixed["10"]])
    here.clock.advance(60)
    assert here.converge(web(10)).writes["run_instances"] == 1
    assert members(here).keys() == numbers(upto=10)
    here.converge(web(10, "two", rollout={"max_surge": 10}), allow={"replace": 10})
    assert not set(members(here).values()) & set(mixed.values())
    here.destroy(web(10, "two"))


ROLL = {"max_surge": 6}


def test_a_roll_with_room_for_six_makes_few_calls(here: World) -> None:
    here.converge(web(6))
    old = members(here)
    low: list[int] = []
    watch(here, low)
    result = here.converge(web(6, "two", rollout=ROLL), allow={"replace": 9})
    assert not set(members(here).values()) & set(old.values())
    assert min(low) >= 6
    assert result.writes == {
        "run_instances": 2, "register_targets": 1, "deregister_targets": 1, "terminate_instances": 1, **{
            name: count for name, count in result.writes.items() if name in ("create_tags", "add_tags")
        },
    }  # fmt: skip
    assert result.writes.get("create_tags", 0) <= 2


@pytest.mark.parametrize("rollout", [{"max_surge": 4}, {"max_surge": 0, "max_unavailable": 4}], ids=["surge", "gaps"])
def test_a_roll_launches_as_many_at_once_as_it_may(here: World, rollout: Spec) -> None:
    here.converge(web(8, rollout=rollout))
    result = here.converge(web(8, "two", rollout=rollout), allow={"replace": 9})
    assert result.writes["run_instances"] == 4
    assert result.writes["register_targets"] == 2
    assert result.writes["terminate_instances"] == 2
