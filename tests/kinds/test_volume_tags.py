"""The declared tags of an instance's volumes: what somebody takes away or changes is seen, and others' tags stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import demo
from tests.kinds.hand import calls, edited, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

DISKS: dict[str, Any] = {
    "logs": {"device_name": "/dev/sdf", "volume_size": 10},
    "data": {"device_name": "/dev/sdg", "volume_size": 10, "persistent": True},
}


def spec_of(**more: Any) -> Spec:
    """The demo with a tag of the team's."""
    spec = edited(demo(), "tags/team", "shop")
    spec["instances"]["web"] |= {"rollout": {"max_surge": 0, "max_unavailable": 1}, **more}
    return spec


def volumes_of(hand: Hand, address: str = "instance.web-1") -> dict[str, dict[str, str]]:
    """Their tags by id."""
    where = [{"Name": "attachment.instance-id", "Values": [hand[address]]}]
    rows = hand.ec2.describe_volumes(Filters=where)["Volumes"]
    return {row["VolumeId"]: {tag["Key"]: tag["Value"] for tag in row.get("Tags", ())} for row in rows}


def remove(hand: Hand, volume: str, key: str) -> None:
    hand.ec2.delete_tags(Resources=[volume], Tags=[{"Key": key}])


@pytest.mark.parametrize("more", [{}, {"data_volumes": DISKS}, {"root_volume": {"volume_size": 20}}])
def test_a_tag_that_was_removed_or_changed_comes_back(hand: Hand, more: dict[str, Any]) -> None:
    hand.make(spec_of(**more))
    for volume, number in zip(sorted(volumes_of(hand)), range(9), strict=False):
        if number:
            hand.changed_tags("ec2", volume, {"team": "theirs"})
        else:
            remove(hand, volume, "team")
    hand.repairs(update("instance.web-1", "tags.team"), by="create_tags")
    assert {own["team"] for own in volumes_of(hand).values()} == {"shop"}


def test_the_plan_says_what_the_volume_has(hand: Hand) -> None:
    hand.make(spec_of())
    (volume,) = volumes_of(hand)
    hand.changed_tags("ec2", volume, {"team": "theirs"})
    (step,) = hand.world.plan(spec_of()).steps
    assert [(item.path, item.before, item.after) for item in step.changes] == [
        ("tags.team", f"theirs on {volume}", "shop")
    ]


def test_a_new_tag_goes_on_the_volumes_of_instances_that_run(hand: Hand) -> None:
    hand.make(spec_of(data_volumes=DISKS))
    before = hand["instance.web-1"]
    hand.make(edited(spec_of(data_volumes=DISKS), "tags/cost", "7"))
    assert hand["instance.web-1"] == before
    assert [own["cost"] for own in volumes_of(hand).values()] == ["7"] * 3


def test_a_volume_that_is_handed_on_gets_the_tags_of_the_new_spec(hand: Hand) -> None:
    spec = spec_of(data_volumes=DISKS)
    hand.make(spec)
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec web-api two\n"
    spec["tags"]["team"] = "stall"
    hand.make(spec)
    assert {own["team"] for own in volumes_of(hand).values()} == {"stall"}


def test_a_volume_that_comes_with_a_new_tag_has_it(hand: Hand) -> None:
    hand.make(spec_of())
    hand.make(edited(spec_of(data_volumes={"data": DISKS["data"]}), "tags/team", "stall"))
    assert {own["team"] for own in volumes_of(hand).values()} == {"stall"}


def test_others_tags_and_names_stay(hand: Hand) -> None:
    hand.make(spec_of())
    (volume,) = volumes_of(hand)
    hand.changed_tags("ec2", volume, {"backup": "daily", "Name": "disk of the shop"})
    assert not hand.world.plan(spec_of()).steps
    hand.make(edited(spec_of(), "tags/team", "stall"))
    assert volumes_of(hand)[volume].items() >= {"backup": "daily", "Name": "disk of the shop"}.items()


def test_volumes_are_read_once_and_only_where_a_tag_is_declared(hand: Hand) -> None:
    bare = edited(demo(), "tags", None)
    hand.make(bare)
    assert not calls(hand.world, "describe_volumes")
    hand.make(spec_of(root_volume={"volume_size": 20}))
    hand.world.plan(hand.spec)
    assert len(calls(hand.world, "describe_volumes")) == 1
