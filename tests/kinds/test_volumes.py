"""Volumes of instances: speeds and sizes of root disks, and the declared tags of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import demo
from tests.kinds.hand import LINUX_1, calls, edited, update

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Hand

TOO_SMALL = (
    "instances.web.root_volume.volume_size: 14 GiB is less than the snapshot of .* has; set volume_size to 15 or more"
)


def with_disk(spec: Spec | None = None, **disk: Any) -> Spec:
    return edited(spec or demo(), "instances/web/root_volume", disk)


def disks(hand: Hand) -> set[tuple[str, int]]:
    """Type and speed of the instances' disks."""
    found = hand.ec2.describe_volumes(Filters=[{"Name": "status", "Values": ["in-use"]}])["Volumes"]
    return {(item["VolumeType"], item["Iops"]) for item in found}


def test_a_disk_has_the_speed_that_is_declared(hand: Hand) -> None:
    hand.make(with_disk(volume_type="io2", volume_size=20, iops=500))
    assert disks(hand) == {("io2", 500)}
    hand.make(with_disk(volume_type="io2", volume_size=20, iops=600))
    assert disks(hand) == {("io2", 600)}
    hand.wait(6 * 3600)  # for so long AWS changes a volume once only
    hand.make(with_disk(volume_type="gp3", volume_size=20))  # and what isn't declared is left alone
    assert disks(hand) == {("gp3", 3000)}


def test_a_disk_smaller_than_its_images_snapshot_is_refused_before_anything_is_made(hand: Hand) -> None:
    hand.refuses_run(with_disk(volume_size=14), f": {TOO_SMALL}$")
    hand.make(with_disk(volume_size=15))
    hand.world.plan(demo())
    assert not calls(hand.world, "describe_images"), "where nothing may be launched nothing is asked"
    # and where instances run
    hand.refuses(with_disk(volume_size=14), TOO_SMALL)
    hand.refuses(with_disk(edited(demo(), "instances/web/image_id", LINUX_1), volume_size=14), TOO_SMALL)


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


@pytest.mark.parametrize("more", [{}, {"data_volumes": DISKS}, {"root_volume": {"volume_size": 20}}])
def test_a_tag_that_was_removed_or_changed_comes_back(hand: Hand, more: dict[str, Any]) -> None:
    hand.make(spec_of(**more))
    for volume, number in zip(sorted(volumes_of(hand)), range(9), strict=False):
        if number:
            hand.changed_tags("ec2", volume, {"team": "theirs"})
        else:
            hand.ec2.delete_tags(Resources=[volume], Tags=[{"Key": "team"}])
    hand.repairs(update("instance.web-1", "tags.team"), by="create_tags")
    assert {own["team"] for own in volumes_of(hand).values()} == {"shop"}


@pytest.mark.parametrize(
    ("before", "more", "stays"),
    [
        (DISKS, {}, True),
        (DISKS, {"user_data": "#!/bin/sh\nexec web-api two\n"}, False),  # a volume is handed on
        ({}, {"data_volumes": {"data": DISKS["data"]}}, True),  # one comes with a new tag
    ],
)
def test_a_new_tag_goes_on_all_volumes(hand: Hand, before: Spec, more: Spec, stays: bool) -> None:
    hand.make(spec_of(data_volumes=before))
    old = hand["instance.web-1"]
    spec = edited(spec_of(**{"data_volumes": before, **more}), "tags/cost", "7")
    hand.make(edited(spec, "tags/team", "stall"))
    assert (hand["instance.web-1"] == old) is stays
    assert {(own["cost"], own["team"]) for own in volumes_of(hand).values()} == {("7", "stall")}


def test_others_tags_and_names_stay(hand: Hand) -> None:
    hand.make(spec_of())
    (volume,) = volumes_of(hand)
    hand.changed_tags("ec2", volume, {"backup": "daily", "Name": "disk of the shop"})
    assert not hand.world.plan(spec_of()).steps
    hand.make(edited(spec_of(), "tags/team", "stall"))
    assert volumes_of(hand)[volume].items() >= {"backup": "daily", "Name": "disk of the shop"}.items()
