"""What of an instance is beside its type and image: addresses, protection, and what AWS changes on a stopped one only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.hand import calls, edited, order, replaced, short, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

ONE, TWO = "instance.web-1", "instance.web-2"
LAUNCHED = {
    "placement": {"tenancy": "dedicated"},
    "capacity_reservation_specification": {"capacity_reservation_preference": "none"},
    "cpu_options": {"core_count": 1, "threads_per_core": 1},
    "network_performance_options": {"bandwidth_weighting": "vpc-1"},
    "private_dns_name_options": {"hostname_type": "resource-name"},
    "enclave_options": {"enabled": True},
    "ebs_optimized": True,
}
STOPPED: dict[str, Any] = {
    "placement": {"tenancy": "default"},
    "capacity_reservation_specification": {
        "capacity_reservation_target": {"capacity_reservation_id": "cr-0123456789abcdef0"}
    },
    "cpu_options": {"core_count": 1, "threads_per_core": 2},
    "network_performance_options": {"bandwidth_weighting": "ebs-1"},
    "private_dns_name_options": {"hostname_type": "ip-name"},
    "enclave_options": {"enabled": False},
    "ebs_optimized": False,
}


def web(**keys: Any) -> Spec:
    """The demo with more said of its instances."""
    spec = demo()
    spec["instances"]["web"] |= keys
    return spec


def rows(hand: Hand) -> list[Any]:
    """The instances that live, as AWS describes them."""
    where = [{"Name": "instance-state-name", "Values": ["running", "stopped"]}]
    found = hand.ec2.describe_instances(Filters=where)["Reservations"]
    return [row for reservation in found for row in reservation["Instances"]]


def attribute(hand: Hand, address: str, name: str) -> Any:
    answer = hand.ec2.describe_instance_attribute(InstanceId=hand[address], Attribute=name)
    return answer[name[:1].upper() + name[1:]]["Value"]


def test_a_launch_says_all_of_it_and_the_next_plan_is_empty(hand: Hand) -> None:
    hand.make(web(**LAUNCHED, hibernation_options={"configured": False}))
    (params,) = {str(item["CpuOptions"]): item for item in calls(hand.world, "run_instances")}.values()
    assert params["Placement"] == {"Tenancy": "dedicated"}
    assert params["EbsOptimized"] is True
    assert params["CpuOptions"] == {"CoreCount": 1, "ThreadsPerCore": 1}
    assert params["NetworkPerformanceOptions"] == {"BandwidthWeighting": "vpc-1"}
    assert {row["Placement"]["Tenancy"] for row in rows(hand)} == {"dedicated"}


def test_what_needs_a_stopped_instance_replaces_it_unless_it_may_be_stopped(hand: Hand) -> None:
    hand.make(web(**LAUNCHED, count=1))
    plan = hand.world.plan(web(**STOPPED, count=1), allow={"replace": 9})
    assert [step.action for step in plan.steps if str(step.address) == ONE] == ["replace", "delete"]
    before = hand[ONE]
    inplace = web(**STOPPED, count=1, type_change="in-place", rollout={"max_unavailable": 1})
    result = hand.make(inplace)
    assert hand[ONE] == before
    assert result.writes == {
        "deregister_targets": 1, "stop_instances": 1, "modify_instance_attribute": 2, "modify_instance_placement": 1,
        "modify_instance_capacity_reservation_attributes": 1, "modify_instance_cpu_options": 1,
        "modify_instance_network_performance_options": 1, "modify_private_dns_name_options": 1, "start_instances": 1,
        "register_targets": 1, "create_tags": 1,
    }  # fmt: skip


def test_records_of_its_name_change_while_it_runs(hand: Hand) -> None:
    hand.make(web(private_dns_name_options={"enable_resource_name_dns_a_record": False}))
    result = hand.make(web(private_dns_name_options={"enable_resource_name_dns_a_record": True}))
    assert result.writes == {"modify_private_dns_name_options": 2, "create_tags": 1}


def test_a_public_address_is_asked_for_and_refused_by_instance(hand: Hand) -> None:
    hand.make(web(associate_public_ip_address=False))
    interface = calls(hand.world, "run_instances")[0]["NetworkInterfaces"]
    assert [item["DeviceIndex"] for item in interface] == [0]
    assert not any("PublicIpAddress" in row for row in rows(hand))
    hand.make(web(associate_public_ip_address=True))
    assert all("PublicIpAddress" in row for row in rows(hand))
    assert not order(hand.world, "run_instances")


def test_a_stopped_instance_has_no_public_address_and_needs_none(hand: Hand) -> None:
    spec = web(associate_public_ip_address=True, state="any")
    hand.make(spec)
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    assert "associate_public_ip_address" not in {
        change.path for step in hand.world.plan(spec).steps for change in step.changes
    }


@pytest.mark.parametrize("wanted", [True, False])
def test_an_instance_that_starts_gets_the_public_address_that_the_spec_says_by_then(hand: Hand, wanted: bool) -> None:
    hand.make(web(associate_public_ip_address=not wanted, state="stopped"))
    hand.make(web(associate_public_ip_address=wanted))
    assert [("PublicIpAddress" in row) for row in rows(hand)] == [wanted, wanted]


def test_one_that_somebody_stopped_is_only_started(hand: Hand) -> None:
    hand.make(web(associate_public_ip_address=True))
    hand.ec2.stop_instances(InstanceIds=[hand[ONE]])
    hand.wait(60)
    changes = [change.path for step in hand.world.plan(hand.spec).steps for change in step.changes]
    assert changes == ["state"]
    hand.make(hand.spec)


def test_an_elastic_ip_address_stays_with_an_instance_that_starts(hand: Hand) -> None:
    spec = web(associate_public_ip_address=True, elastic_ip=["a", "b"], state="stopped")
    spec["elastic_ips"] = {"a": {}, "b": {}}
    hand.make(spec)
    addresses = [row["PublicIpAddress"] for row in rows(hand)]
    result = hand.make(edited(spec, "instances/web/state", "running"))
    assert "modify_network_interface_attribute" not in result.writes
    assert [row["PublicIpAddress"] for row in rows(hand)] == addresses


FIXED: dict[str, Any] = {"subnets": ["public-a"], "rollout": {"max_surge": 0, "max_unavailable": 1}}


def test_each_instance_has_its_own_private_address_and_hands_it_on(hand: Hand) -> None:
    addresses = ["10.0.0.20", "10.0.0.21"]
    spec = web(**FIXED, private_ip_address=addresses)
    network = spec["subnets"]["public-a"]["cidr_block"].rpartition(".")[0]
    addresses[:] = [f"{network}.20", f"{network}.21"]
    hand.make(spec)
    found = {row["InstanceId"]: row["PrivateIpAddress"] for row in rows(hand)}
    assert [found[hand[ONE]], found[hand[TWO]]] == addresses
    before = {hand[ONE], hand[TWO]}
    hand.make(edited(spec, "instances/web/instance_type", "t3.small"))
    found = {row["InstanceId"]: row["PrivateIpAddress"] for row in rows(hand)}
    assert [found[hand[ONE]], found[hand[TWO]]] == addresses
    assert before.isdisjoint(found)
    assert order(hand.world, "run_instances", "terminate_instances") == ["terminate_instances", "run_instances"] * 2
    moved = edited(spec, "instances/web/private_ip_address", [f"{network}.30", addresses[1]])
    hand.make(edited(moved, "instances/web/instance_type", "t3.small"))
    assert {row["PrivateIpAddress"] for row in rows(hand)} == {f"{network}.30", addresses[1]}


def test_protection_is_launched_with_kept_and_heeded(hand: Hand) -> None:
    spec = web(disable_api_termination=True, disable_api_stop=True, count=1)
    hand.make(spec)
    assert (attribute(hand, ONE, "disableApiTermination"), attribute(hand, ONE, "disableApiStop")) == (True, True)
    other = edited(spec, "instances/web/instance_type", "t3.small")
    with pytest.raises(
        RefusedError,
        match=r"has termination protection and stop protection; allow it once with --allow lift-protection=1",
    ):
        hand.world.plan(other)
    hand.make(other, allow={"lift-protection": 1})
    assert attribute(hand, ONE, "disableApiTermination") is True
    off = edited(other, "instances/web/disable_api_termination", False)
    with pytest.raises(RefusedError, match="would lose its termination protection"):
        hand.world.plan(off)
    hand.make(off, allow={"lift-protection": 1})
    assert attribute(hand, ONE, "disableApiTermination") is False


def test_an_instance_that_is_only_protected_from_being_stopped_is_protected(hand: Hand) -> None:
    """AWS terminates it as little."""
    spec = web(count=1, disable_api_stop=True)
    hand.make(spec)
    with pytest.raises(RefusedError, match=r"\) has stop protection;"):
        hand.world.plan(spec, destroy=True)
    hand.world.destroy(spec, allow={"lift-protection": 1})


def test_one_that_somebody_protected_from_being_stopped_is_protected_as_well(hand: Hand) -> None:
    """A destroy went half-way before AWS refused to terminate it."""
    spec = web(count=2)
    hand.make(spec)
    hand.ec2.modify_instance_attribute(InstanceId=hand[ONE], DisableApiStop={"Value": True})
    with pytest.raises(RefusedError, match=r"\) has stop protection;"):
        hand.world.plan(spec, destroy=True)
    hand.world.destroy(spec, allow={"lift-protection": 1})


def test_an_instance_that_forwards_is_told_so_after_its_launch(hand: Hand, faults: Faults) -> None:
    faults.refuse("modify_instance_attribute", "InvalidInstanceID.NotFound", times=2)
    hand.make(web(source_dest_check=False))
    assert {row["SourceDestCheck"] for row in rows(hand)} == {False}
    hand.ec2.modify_instance_attribute(InstanceId=hand[ONE], SourceDestCheck={"Value": True})
    hand.repairs(update(ONE, "source_dest_check"), by="modify_instance_attribute")


def test_credits_are_read_in_one_call_and_only_where_they_are_declared(hand: Hand) -> None:
    spec = web(credit_specification={"cpu_credits": "standard"})
    hand.make(spec)
    assert hand.world.plan(spec).is_empty
    (params,) = calls(hand.world, "describe_instance_credit_specifications")
    assert sorted(params["InstanceIds"]) == sorted([hand[ONE], hand[TWO]])
    assert hand.world.plan(demo()).steps == ()
    assert not calls(hand.world, "describe_instance_credit_specifications")


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"hibernation_options": {"configured": True}}, "hibernation_options.configured"),
        (
            {"cpu_options": {"core_count": 1, "threads_per_core": 2, "amd_sev_snp": "enabled"}},
            "cpu_options.amd_sev_snp",
        ),
    ],
)
def test_what_is_settled_at_launch_replaces(hand: Hand, keys: dict[str, Any], path: str) -> None:
    hand.make(web(count=1))
    assert replaced(ONE, path)[0] in short(hand.world.plan(web(count=1, **keys)))
    hand.make(web(count=1, **keys))


def test_credits_that_aws_refuses_in_its_answer_fail_the_step(hand: Hand) -> None:
    hand.make(web(credit_specification={"cpu_credits": "standard"}))
    ask = hand.world._call

    def refusing(service: str, operation: str, params: Any) -> Any:
        if operation != "modify_instance_credit_specification":
            return ask(service, operation, params)
        error = {"Code": "IncorrectInstanceCreditSpecificationState", "Message": "not now"}
        return {"UnsuccessfulInstanceCreditSpecifications": [{"InstanceId": "", "Error": error}]}

    hand.world._call = refusing  # type: ignore[method-assign]  # AWS, on another day
    failures = hand.world.apply(web(credit_specification={"cpu_credits": "unlimited"})).failures
    assert all("IncorrectInstanceCreditSpecificationState: not now" in text for text in failures)
    assert failures
