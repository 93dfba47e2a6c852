"""A stack of this tool's whose spec is lost: written again from what runs, with nothing to adopt and nothing to do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.tags import ADDRESS, from_list, own_tags
from tests.export.exporting import exported, plain, planned, steps
from tests.export.hand_made import by_ansible
from tests.harness import by_hand
from tests.kinds.hand import Faults
from tests.kinds.many import HOUR, members, rows, web

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Spec, World
    from tests.properties.watched import WatchedWorld

STACK = ExportScope(stack="demo")


def long_named() -> Spec:
    """Names that begin as the stack's does, names of its own, protection, an image that is looked up, and a group with gaps."""
    spec = web(3, name="shop%02d")
    spec["vpcs"]["main"] |= {"name": "the network", "prevent_destroy": True}
    spec["security_groups"]["web"]["name"] = "of its own"
    spec["instances"]["demo-web"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 1}
    del spec["instances"]["demo-web"]["name"]
    spec["instances"]["demo-web"]["root_volume"] = {"volume_size": 20}
    return spec


def test_it_is_written_as_it_was(world: WatchedWorld, tmp_path: Path) -> None:
    spec = long_named()
    world.converge(spec)
    found = exported(world, STACK, tmp_path)
    assert (found.problems, found.notes, found.stack) == ((), (), "demo")
    plan = planned(world, found, tmp_path)
    assert steps(plan) == []
    assert "user_data" not in str(plan.kept), "a file says it now"
    again = plain(found)
    assert found.text.startswith("# What ran in us-east-1, account 123456789012: the stack demo.\n# What it leaves out")
    for section in (
        "vpcs",
        "subnets",
        "route_tables",
        "security_groups",
        "instances",
        "target_groups",
        "load_balancers",
    ):
        assert again[section].keys() == spec[section].keys()
    assert again["vpcs"]["main"]["prevent_destroy"] is True
    assert "root_volume" not in again["instances"]["web"], "nobody has declared it"
    assert again["instances"]["demo-web"]["root_volume"] == {"volume_size": 20}
    assert again["security_groups"]["web"]["name"] == "of its own"
    assert again["instances"]["web"]["name"] == "shop%02d"
    assert again["instances"]["web"]["image_id"] == spec["instances"]["web"]["image_id"]
    assert (tmp_path / again["instances"]["web"]["user_data_file"]).read_text() == spec["instances"]["web"]["user_data"]
    assert found.entries == len(planned(world, found, tmp_path).live)


def test_what_is_missing_is_made_again_and_what_is_there_keeps_its_number(world: WatchedWorld, tmp_path: Path) -> None:
    world.converge(web(3))
    world.client("ec2").terminate_instances(InstanceIds=[members(world)["2"]])
    world.clock.advance(HOUR)
    found = exported(world, STACK, tmp_path)
    assert plain(found)["instances"]["web"]["count"] == 3
    made = [step for step in planned(world, found, tmp_path).steps if step.address.kind == "instance"]
    assert [(step.action, step.address.name) for step in made] == [("create", "web-2")]


def left_in_a_roll(world: World) -> tuple[str, str]:
    """A roll whose first old instance is drained and can't be terminated; then the listener is deleted by hand, and web-2
    terminated. Returns the old web-1 and the new one."""
    world.converge(web(2))
    old = members(world)["1"]
    Faults(world).refuse("terminate_instances", "OperationNotPermitted", times=9)
    assert world.apply(web(2, "two")).failures
    elb = world.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    elb.delete_listener(ListenerArn=listener["ListenerArn"])
    own = {row["InstanceId"]: own_tags(from_list(row["Tags"]), row["AmiLaunchIndex"])[ADDRESS] for row in rows(world)}
    by_hand("ec2").terminate_instances(InstanceIds=[known for known, name in own.items() if name == "instance.web-2"])
    world.clock.advance(HOUR)
    (new,) = (known for known, name in own.items() if name == "instance.web-1" and known != old)
    return old, new


def test_after_half_a_roll_and_an_outage_the_one_that_is_registered_is_meant_and_what_is_gone_is_said(
    world: WatchedWorld, tmp_path: Path
) -> None:
    old, new = left_in_a_roll(world)
    found = exported(world, STACK, tmp_path)
    assert plain(found)["target_groups"]["web"]["targets"] == ["web"]
    assert found.problems == (f"instance.web-1 exists twice: {new} is in the spec, and apply deletes {old}",)
    assert "two" in (tmp_path / "user-data" / "web").read_text()
    made = planned(world, found, tmp_path)
    assert [step.key for step in made.steps] == [f"delete:instance.web-1@{old}"]
    assert found.notes == (
        "load_balancer.public has no listener, so it serves nobody; add what was deleted",
        "target_group.web has targets, but no listener or rule forwards to it, so it serves nobody; add what was deleted",
    )
    assert all(f"# {note}" in found.text for note in found.notes)


def test_of_two_that_both_serve_the_older_one_is_meant_and_nothing_is_to_be_adopted(
    world: WatchedWorld, tmp_path: Path
) -> None:
    """A roll that was cut short before it drained the old one."""
    world.converge(web(2))
    old = members(world)["1"]
    Faults(world).refuse("deregister_targets", "UnauthorizedOperation", times=9)
    assert world.apply(web(2, "two")).failures
    world.clock.advance(HOUR)
    found = exported(world, STACK, tmp_path)
    (told,) = found.problems
    assert told.startswith(f"instance.web-1 exists twice: {old} is in the spec, and apply deletes ")
    (gone,) = [step for step in planned(world, found, tmp_path).steps if step.address.kind == "instance"]
    assert (gone.action, told.endswith(str(gone.id))) == ("delete", True)
    assert found.entries == len(planned(world, found, tmp_path).desired)


def test_what_is_part_of_a_stack_is_refused_with_what_to_do(world: WatchedWorld, tmp_path: Path) -> None:
    made = by_ansible(world)
    world.client("elbv2").add_tags(ResourceArns=[made["balancer"]], Tags=[{"Key": "alb-reconcile:stack", "Value": "x"}])
    with pytest.raises(
        RefusedError, match="alb-reconcile export --stack x writes that stack's spec, or let that stack forget it"
    ):
        exported(world, ExportScope(load_balancers=("shop",)), tmp_path)
