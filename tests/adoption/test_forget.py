"""Letting go: the tags come off, nothing else changes, and what comes of it is said before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model import tags
from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import our_tags, planned
from tests.harness import Spec, demo

if TYPE_CHECKING:
    from tests.adoption.adopting import Keeper
    from tests.properties.watched import WatchedWorld

pytestmark = pytest.mark.slow


def _addresses(found: dict[str, dict[str, str]]) -> set[str]:
    return {item[tags.ADDRESS] for item in found.values()}


def test_a_load_balancer_goes_with_its_listeners_and_rules(world: WatchedWorld, keep: Keeper) -> None:
    spec = demo()
    spec["load_balancers"]["public"]["listeners"]["http"]["rules"] = {
        "soon": {"priority": 9, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "web"}}
    }
    world.converge(spec)
    before = _addresses(our_tags(world))
    found = keep.forget(spec, "load_balancer.public")
    gone = {"load_balancer.public", "listener.public/http", "rule.public/http/soon"}
    assert before - _addresses(our_tags(world)) == gone
    assert any("next apply creates new ones" in note for note in found.notes)
    assert any(
        note.startswith("subnet.public-a can't be deleted while in use by load_balancer.public") for note in found.notes
    )
    assert any(note.startswith("target_group.web can't be deleted while in use by listener") for note in found.notes)
    assert {str(step.address) for step in planned(found).steps if step.action == "create"} == gone
    assert not keep.adopt(spec).missing
    assert world.plan(spec).is_empty


def test_a_listener_that_says_another_address_goes_with_its_load_balancer(world: WatchedWorld, keep: Keeper) -> None:
    world.converge(demo())
    (listener,) = [key for key, own in our_tags(world).items() if own[tags.ADDRESS] == "listener.public/http"]
    wrong = [{"Key": tags.ADDRESS, "Value": "listener.other/http"}]
    world.client("elbv2").add_tags(ResourceArns=[listener], Tags=wrong)
    keep.forget(demo(), "load_balancer.public")
    assert listener not in our_tags(world)


def test_instances_are_named_one_by_one_or_as_a_group(world: WatchedWorld, keep: Keeper) -> None:
    world.converge(demo())
    keep.forget(demo(), "instance.web-2")
    assert "instance.web-2" not in _addresses(our_tags(world))
    assert "instance.web-1" in _addresses(our_tags(world))
    found = keep.forget(demo(), "instances.web")
    assert not {item for item in _addresses(our_tags(world)) if item.startswith("instance.")}
    left = [str(step.address) for step in planned(found).steps if step.action == "delete"]
    assert len(left) == 2, "apply would deregister those that serve: that has to be seen"
    assert all(item.startswith("registration.web/i-") for item in left)


def test_what_the_spec_no_longer_declares_can_be_let_go(world: WatchedWorld, keep: Keeper) -> None:
    spec = demo()
    spec["security_groups"]["old"] = {"description": "not used any more", "ingress": []}
    spec["target_groups"]["old"] = {"protocol": "HTTP", "port": 8080}
    world.converge(spec)
    found = keep.forget(demo(), "security_group.old", "target_group.old")
    assert not any("next apply" in note for note in found.notes)
    (tie,) = [note for note in found.notes if note.startswith("vpc.main can't be deleted while in use by ")]
    assert "security_group.old" in tie
    assert "target_group.old" not in tie, "AWS deletes a VPC that a target group names"
    assert world.plan(demo()).is_empty


def test_what_the_stack_doesnt_have_is_refused_and_nothing_is_let_go(world: WatchedWorld, keep: Keeper) -> None:
    world.converge(demo())
    before = our_tags(world)
    with pytest.raises(RefusedError, match=r"instance\.web-3: the stack demo has nothing"):
        keep.forget(demo(), "vpc.main", "instance.web-3")
    assert our_tags(world) == before


NETWORK = ("vpc.main", "subnet.public-a", "subnet.public-b", "internet_gateway.main", "route_table.public")


def _split() -> tuple[Spec, Spec]:
    """The demo as two stacks: a service, and the network that it looks up."""
    shop, network = demo(), {"stack": "network", "region": "us-east-1"}
    for section in ("vpcs", "subnets", "internet_gateways", "route_tables"):
        network[section] = shop.pop(section)
    vpc, subnets = {"tag": {"Name": "demo-main"}}, [{"tag": {"Name": f"demo-public-{zone}"}} for zone in "ab"]
    for section, key, value in (
        ("security_groups", "vpc", vpc), ("target_groups", "vpc", vpc),
        ("instances", "subnets", subnets), ("load_balancers", "subnets", subnets),
    ):  # fmt: skip
        for entry in shop[section].values():
            entry[key] = value
    return shop, network


def test_a_network_is_handed_to_a_stack_of_its_own(world: WatchedWorld, keep: Keeper) -> None:
    shop, network = _split()
    world.converge(demo())
    with pytest.raises(RefusedError) as refused:
        world.plan(shop)
    (command,) = re.findall("alb-reconcile forget spec.yaml (.+)", str(refused.value))
    assert set(command.split()) == set(NETWORK)
    found = keep.forget(shop, *NETWORK)
    assert planned(found).is_empty
    assert not keep.adopt(network).missing
    assert world.plan(shop).is_empty
    assert world.plan(network).is_empty
    assert not [*world.sync(shop).notes, *world.sync(network).notes]


def test_a_renamed_stack_is_told_that_its_resources_are_anothers(world: WatchedWorld, keep: Keeper) -> None:
    renamed = {**demo(), "stack": "webshop"}
    world.converge(demo())
    (told,) = (text for text in world.plan(renamed).warnings if "this very spec" in text)
    assert told.startswith("the stack demo was made from this very spec, and this plan makes everything a second time")
    keep.forget(demo())
    assert not keep.adopt(renamed).missing
    assert world.plan(renamed).is_empty


def test_the_way_back_is_told_with_the_ids_that_adopt_wouldnt_find(world: WatchedWorld, keep: Keeper) -> None:
    spec = demo()
    spec["target_groups"]["old"] = {"protocol": "HTTP", "port": 8080}
    world.converge(spec)
    world.client("ec2").create_vpc(CidrBlock=spec["vpcs"]["main"]["cidr_block"])
    found = keep.forget(spec)
    back = re.search(r"to take them back: alb-reconcile adopt spec\.yaml (.+)$", found.notes[0])
    assert back is not None
    ids = back[1].split()
    assert [item.partition("=")[0] for item in ids] == ["vpc.main", "target_group.old"]
    renamed = {**spec, "stack": "webshop"}
    assert not keep.adopt(renamed, *ids).missing
    assert world.plan(renamed).is_empty


@pytest.mark.parametrize("user_data", [None, "#!/bin/sh\nexec web-api --new\n"])
def test_a_forgotten_instance_is_left_alone(world: WatchedWorld, keep: Keeper, user_data: str | None) -> None:
    """Though AWS answers the launch with it first, or refuses the client token that made it."""
    world.converge(demo())
    keep.forget(demo(), "instance.web-2")
    spec = demo()
    if user_data:
        spec["instances"]["web"]["user_data"] = user_data
    forgotten = [item.id for item in world.account.instances()][1]
    world.converge(spec)
    running = {item.id: item for item in world.account.instances() if item.state == "running"}
    assert len(running) == 3
    assert forgotten in running
    assert world.plan(spec).is_empty


def test_no_forgotten_instance_is_taken_for_a_launched_one(
    world: WatchedWorld, keep: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alb_reconcile.kinds.instance.launches._ATTEMPTS", 1)
    world.converge(demo())
    keep.forget(demo(), "instance.web-2")
    forgotten = [item.id for item in world.account.instances()][1]
    result = world.apply(demo())
    assert any("terminated or forgotten" in text for text in result.failures)
    assert forgotten not in our_tags(world)


def test_what_is_let_go_and_still_declared_isnt_made_anew_by_sync(world: WatchedWorld, keep: Keeper) -> None:
    """Nobody is there who would have read the note about the next apply."""
    world.converge(demo())
    keep.forget(demo(), "instance.web-2")
    before = world.strict.inventory()
    ending = world.sync(demo())
    assert "instance.web-2" in {str(step.address) for step in ending.selection.left}
    assert world.strict.inventory() == before


def test_the_whole_stack_goes_with_volumes_that_no_instance_has(world: WatchedWorld, keep: Keeper) -> None:
    spec = demo()
    disk = {"device_name": "/dev/sdf", "volume_size": 10, "volume_type": "gp3", "persistent": True}
    spec["instances"]["web"] |= {
        "data_volumes": {"uploads": disk},
        "rollout": {"max_surge": 0, "max_unavailable": 1},
    }
    world.converge(spec)
    spec["instances"]["web"]["count"] = 1
    world.converge(spec)
    (left,) = world.client("ec2").describe_volumes(Filters=[{"Name": "status", "Values": ["available"]}])["Volumes"]
    keep.forget(spec, "instance.web-1")
    assert left["VolumeId"] in our_tags(world)
    found = keep.forget(spec)
    assert any(left["VolumeId"] in note for note in found.notes)
    assert our_tags(world) == {}
