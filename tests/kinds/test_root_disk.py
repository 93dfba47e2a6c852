"""Root disks: speeds that some types need, and sizes that only the image can tell are too small."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.errors import RefusedError
from tests.harness import demo
from tests.kinds.hand import LINUX_1, Faults, edited

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
    with pytest.raises(RefusedError, match=f": {TOO_SMALL}$") as caught:
        hand.world.apply(with_disk(volume_size=14))
    assert caught.value.exit_code == 4
    assert not [name for name, _ in hand.world.log if not name.startswith(("describe_", "get_", "list_"))]
    hand.make(with_disk(volume_size=15))


def test_a_smaller_disk_and_another_image_are_refused_where_instances_run(hand: Hand) -> None:
    hand.make(with_disk(volume_size=20))
    for spec in (
        with_disk(volume_size=14),
        with_disk(edited(demo(), "instances/web/image_id", LINUX_1), volume_size=14),
    ):
        with pytest.raises(RefusedError, match=TOO_SMALL):
            hand.world.plan(spec)


def test_a_smaller_disk_forces_a_replacement_and_the_plan_says_so(hand: Hand) -> None:
    """AWS lets a volume grow only."""
    hand.make(with_disk(volume_size=20))
    lines = render_plan(hand.world.plan(with_disk(volume_size=15)), Style(colored=False)).splitlines()
    assert [line.split() for line in lines if "forces" in line] == [
        ["root_volume.volume_size", "20", "→", "15", "forces", "replacement"]
    ] * 2


def test_an_image_behind_a_parameter_is_looked_at(hand: Hand) -> None:
    parameter = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    spec = edited(demo(), "instances/web/image_id", f"resolve:ssm:{parameter}")
    hand.make(with_disk(spec, volume_size=20))
    with pytest.raises(RefusedError, match=TOO_SMALL):
        hand.world.plan(with_disk(spec, volume_size=14))


def test_images_are_asked_about_only_where_something_may_be_launched(hand: Hand) -> None:
    hand.make(with_disk(volume_size=20))
    assert hand.world.plan(with_disk(volume_size=20)).is_empty
    assert "describe_images" not in [name for name, _ in hand.world.log]
    hand.world.plan(demo())
    assert "describe_images" not in [name for name, _ in hand.world.log]


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidAMIID.NotFound"])
def test_what_cannot_be_looked_at_is_left_to_aws(hand: Hand, code: str) -> None:
    Faults(hand.world).refuse("describe_images", code)
    assert len(hand.world.plan(with_disk(volume_size=14)).steps) == len(hand.world.plan(demo()).steps)


def test_an_image_that_was_asked_for_ahead_may_stay_unread(
    hand: Hand, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """Found: where the launch isn't reached, asyncio told that nobody had heard of the error, with a traceback."""
    faults.refuse("describe_images", "InvalidResponse", after="describe_account_limits")
    faults.refuse("create_vpc", "InvalidResponse", times=9)
    assert any("CreateVpc: InvalidResponse" in text for text in hand.world.apply(with_disk(volume_size=20)).failures)
    gc.collect()
    assert [item.getMessage() for item in caplog.records if item.name == "asyncio"] == []
