"""Instances that one call launched, moved, forgotten and adopted one by one: each is who it is by its own tags from then on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.model import tags
from tests.adoption.adopting import our_tags
from tests.harness import World
from tests.kinds.many import rows, web

if TYPE_CHECKING:
    from tests.adoption.adopting import Keeper
    from tests.properties.watched import WatchedWorld


def names(world: World) -> dict[str, str]:
    """Ids by address, of what lives. Raises AssertionError for two of one."""
    alive = {item["InstanceId"] for item in rows(world)}
    found = [(own[tags.ADDRESS], key) for key, own in our_tags(world).items() if key in alive]
    assert len(dict(found)) == len(found), sorted(found)
    return dict(found)


def ended(world: World, *ids: str) -> None:
    world.client("ec2").terminate_instances(InstanceIds=list(ids))
    world.clock.advance(30)


@pytest.mark.slow
def test_one_of_them_moves_to_another_group_and_its_place_is_filled(world: WatchedWorld, keep: Keeper) -> None:
    world.converge(web(6))
    before = names(world)
    spec = web(6)
    spec["instances"]["api"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 1}
    spec["target_groups"]["web"]["targets"] = ["web", "api"]
    keep.move(spec, "instance.web-3", "instance.api-1")
    assert world.converge(spec).writes["run_instances"] == 1
    after = names(world)
    assert after["instance.api-1"] == before["instance.web-3"]
    assert {address for address in before if after[address] != before[address]} == {"instance.web-3"}
    ended(world, after["instance.api-1"], after["instance.web-5"])
    world.converge(spec)
    last = names(world)
    assert {address for address in after if last[address] != after[address]} == {"instance.api-1", "instance.web-5"}
    world.destroy(spec)


@pytest.mark.slow
def test_two_groups_of_equal_instances_are_told_apart_by_their_names(world: WatchedWorld, keep: Keeper) -> None:
    spec = web(6)
    spec["instances"]["api"] = {**copy.deepcopy(spec["instances"]["web"]), "count": 4}
    world.converge(spec)
    before = names(world)
    assert keep.forget(spec).whole
    keep.adopt(spec)
    group = {own: address.rpartition("-")[0] for address, own in before.items()}
    assert {own: address.rpartition("-")[0] for address, own in names(world).items()} == group
    assert world.plan(spec).is_empty
