"""Machines that somebody has named: each keeps its number and, if the entry says so, its name; else the plan says the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.model import tags
from tests.export.exporting import adopted, exported, plain, steps
from tests.export.hand_made import image, network, tagged
from tests.kinds.many import rows, web

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adoption.adopting import Keeper
    from tests.harness import World
    from tests.properties.watched import WatchedWorld


def named(world: World, *names: str) -> str:
    """A VPC with instances of these names, the last one launched first. Returns the VPC's id."""
    made = network(world)
    for name in reversed(names):
        world.client("ec2").run_instances(
            ImageId=image(world), InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=made["subnets"][0],
            MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled"},
            TagSpecifications=tagged("instance", Name=name),
        )  # fmt: skip
        world.clock.advance(60)
    return str(made["vpc"])


def names(world: World) -> dict[str, str]:
    """The Name of each instance, by its address."""
    found = [tags.own_tags(tags.from_list(item["Tags"]), item["AmiLaunchIndex"]) for item in rows(world)]
    return {own[tags.ADDRESS]: own["Name"] for own in found}


def changed(found: Any, **more: Any) -> dict[str, Any]:
    """The exported spec, with another type of instance, and without what only the export's folder has."""
    spec = plain(found)
    (entry,) = spec["instances"].values()
    entry |= {"instance_type": "t3.medium", **more}
    return spec


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("webshop01", "webshop02", "webshop03"), "webshop%02d"),
        pytest.param(("api-1", "api-2"), "api", marks=pytest.mark.slow),
        (("api_1", "api_2"), "api_%d"),
    ],
)
def test_a_roll_keeps_names_that_are_numbered(
    world: WatchedWorld, given: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    found = exported(world, ExportScope(vpcs=(named(world, *given),)), tmp_path)
    (entry,) = plain(found)["instances"].values()
    assert (entry["count"], entry["name"]) == (len(given), said)
    assert (found.problems, found.adopting) == ((), ())
    assert steps(adopted(world, found, tmp_path)) == []
    assert list(dict(sorted(names(world).items())).values()) == list(given)
    before = names(world)
    world.converge(changed(found, rollout={"max_surge": 9}), allow={"replace": 9})
    assert names(world) == before


def test_equal_instances_are_numbered_by_their_names(world: WatchedWorld, keep: Keeper) -> None:
    """Of those that nothing else tells apart, whoever was made first."""
    world.converge(web(3))
    keep.forget(web(3), "instances.web")
    alive = sorted(item["InstanceId"] for item in rows(world))
    for number, key in enumerate(reversed(alive), 8):
        world.client("ec2").create_tags(Resources=[key], Tags=[{"Key": "Name", "Value": f"box{number}"}])
    keep.adopt(web(3))
    assert names(world) == {f"instance.web-{number}": f"box{number + 7}" for number in (1, 2, 3)}


def test_a_name_of_its_own_is_right_after_a_launch_of_several(world: WatchedWorld) -> None:
    spec = web(3, name="shop", subnets=["public-a"])
    assert world.converge(spec).writes["run_instances"] == 1
    assert names(world) == {f"instance.web-{number}": f"shop-{number}" for number in (1, 2, 3)}
