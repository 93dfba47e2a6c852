"""Alike instances of one subnet, which one call launches: few calls, each member is who it should be, also where one was before."""

from __future__ import annotations

import pytest

from alb_reconcile.model import tags
from alb_reconcile.sandbox.strict.quotas import STANDARD_VCPUS
from tests.harness import Spec, World, world
from tests.kinds.hand import Faults, create, short
from tests.kinds.many import HOUR, members, numbers, place, rows, targets, web
from tests.plan.targets import watch


@pytest.mark.slow
def test_twelve_are_launched_by_two_calls_and_go_by_one(here: World) -> None:
    spec = web(12)
    spec["instances"]["web"]["root_volume"] = {"volume_size": 20}
    result = here.converge(spec)
    assert result.writes["run_instances"] == 2
    assert result.writes["register_targets"] == 1
    assert "create_tags" not in result.writes or result.writes["create_tags"] <= 1, result.writes
    assert members(here).keys() == numbers(upto=12)
    assert result.rest is not None
    shown = {str(address): own for address, own in result.rest.ids.items()}
    assert all(shown[f"instance.web-{number}"] == own for number, own in members(here).items())
    subnets = {item["InstanceId"]: item["SubnetId"] for item in rows(here)}
    assert len({subnets[members(here)[str(number)]] for number in range(1, 12, 2)}) == 1
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


@pytest.mark.parametrize("later", [1200, pytest.param(0, marks=pytest.mark.slow)])
def test_a_quota_allows_fewer_and_then_more(here: World, later: float) -> None:
    """Also a moment later, when the rest of the launch may only not be shown yet."""
    here.converge(web(0))
    quotas = place().ledger.quotas
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


@pytest.mark.parametrize("later", [30, HOUR], ids=["now", "later"])
def test_one_that_is_terminated_by_hand_is_launched_alone(here: World, later: float) -> None:
    here.converge(web(6))
    before = members(here)
    here.client("ec2").terminate_instances(InstanceIds=[before["3"]])
    here.clock.advance(later)
    assert create("instance.web-3") in short(here.plan(web(6)))
    result = here.converge(web(6))
    after = members(here)
    assert {number for number in before if before[number] != after[number]} == {"3"}
    assert result.writes["run_instances"] == 1
    here.client("ec2").terminate_instances(InstanceIds=list(after.values()))
    here.clock.advance(later)
    again = here.converge(web(6))
    assert again.calls["run_instances"] <= 4, "a spent token each, at most"
    assert members(here).keys() == numbers(upto=6)
    assert not set(members(here).values()) & set(after.values())


@pytest.mark.slow
def test_scaled_in_and_out(here: World) -> None:
    here.converge(web(8))
    first = members(here)
    assert here.converge(web(3), allow={"delete": 9}).writes["terminate_instances"] == 1
    assert members(here).items() <= first.items()
    here.converge(web(8))
    assert members(here).keys() == numbers(upto=8)
    assert {number for number, own in members(here).items() if first[number] == own} == {"1", "2", "3"}
    here.converge(web(3), allow={"delete": 9})
    here.clock.advance(HOUR)
    here.converge(web(8, "two"), allow={"replace": 9})  # with a release in between
    assert members(here).keys() == numbers(upto=8)


GAPS = pytest.param({"max_surge": 0, "max_unavailable": 4}, marks=pytest.mark.slow)


@pytest.mark.parametrize("rollout", [{"max_surge": 4}, GAPS], ids=["surge", "gaps"])
def test_a_roll_launches_as_many_at_once_as_it_may(here: World, rollout: Spec) -> None:
    here.converge(web(8, rollout=rollout))
    old = set(members(here).values())
    low: list[int] = []
    watch(here, low)
    result = here.converge(web(8, "two", rollout=rollout), allow={"replace": 9})
    assert min(low) >= 8 - rollout.get("max_unavailable", 0)
    assert not old & set(members(here).values())
    assert result.writes["run_instances"] == 4
    assert result.writes["register_targets"] == 2
    assert result.writes["deregister_targets"] == 2
    assert result.writes["terminate_instances"] == 2
    assert result.writes.get("create_tags", 0) <= 2


def test_terminated_by_hand_after_a_tag_was_added_and_noticed_late(here: World) -> None:
    spec = web(2)
    here.converge(spec)
    spec["instances"]["web"]["tags"] = {"owner": "ops"}
    here.converge(spec)
    here.client("ec2").terminate_instances(InstanceIds=[rows(here)[0]["InstanceId"]])
    here.clock.advance(HOUR)
    here.converge(spec)
    assert len(rows(here)) == 2


def test_one_that_lives_with_other_parameters_is_not_doubled() -> None:
    """Reads lag by a minute: the run that follows one that was killed doesn't see what that one launched."""
    with world(lag=60) as late:
        late.converge(web(0))
        late.clock.advance(60)
        late.apply(web(1), timeout=1)
        launched = rows(late)
        late.apply(web(1, "two"), timeout=1)
        late.clock.advance(120)
        assert len(rows(late)) <= 1, launched
