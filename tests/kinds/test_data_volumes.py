"""Volumes: launched with their instance, changed in place where AWS can, and what AWS refuses of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.kinds.hand import LINUX_1, edited, short, update
from tests.kinds.test_instance_options import web

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

ONE = "instance.web-1"
LOGS: dict[str, Any] = {"device_name": "/dev/sdf", "volume_size": 10, "volume_type": "gp3"}


def with_logs(count: int = 1, **keys: Any) -> Spec:
    return web(count=count, data_volumes={"logs": {**LOGS, **keys}})


def volume(hand: Hand, device: str = "/dev/sdf") -> Any:
    """The one at a device of the first instance."""
    where = [
        {"Name": "attachment.instance-id", "Values": [hand[ONE]]},
        {"Name": "attachment.device", "Values": [device]},
    ]
    (found,) = hand.ec2.describe_volumes(Filters=where)["Volumes"]
    return found


def test_they_are_launched_tagged_and_encrypted_and_go_with_their_instance(hand: Hand) -> None:
    hand.make(with_logs(count=2, iops=4000, throughput=500))
    found = volume(hand)
    shown = [found[key] for key in ("Size", "VolumeType", "Iops", "Throughput", "Encrypted")]
    assert shown == [10, "gp3", 4000, 500, True]
    assert {"Key": "alb-reconcile:stack", "Value": "demo"} in found["Tags"]
    hand.world.destroy(with_logs(count=2))
    assert not hand.ec2.describe_volumes()["Volumes"]


@pytest.mark.parametrize(
    ("before", "after", "call", "shown"),
    [
        ({}, {"volume_size": 20, "volume_type": "io2", "iops": 500}, "modify_volume", [20, "io2", 500]),
        # found: with another type AWS gives a volume 3,000 IOPS, unless the call says more
        ({"iops": 4000}, {"iops": 4000, "volume_type": "io1"}, "modify_volume", [10, "io1", 4000]),
        ({}, {"delete_on_termination": False}, "modify_instance_attribute", [10, "gp3", 3000]),
    ],
)
def test_one_is_changed_in_place_in_one_call(
    hand: Hand, before: dict[str, Any], after: dict[str, Any], call: str, shown: list[Any]
) -> None:
    hand.make(with_logs(**before))
    old = volume(hand)["VolumeId"]
    spec = with_logs(**after)
    paths = [f"data_volumes.logs.{key}" for key in after.keys() - before.keys()]
    assert short(hand.world.plan(spec)) == [update(ONE, *paths)]
    assert hand.make(spec).writes == {call: 1, "create_tags": 1}
    assert [volume(hand)[key] for key in ("VolumeId", "Size", "VolumeType", "Iops")] == [old, *shown]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("logs", {"volume_size": 8}),
        ("logs", {"kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d"}),
        ("more", {"device_name": "/dev/sdg", "volume_size": 5}),
    ],
)
def test_what_aws_cannot_change_replaces_the_instance(hand: Hand, name: str, keys: dict[str, Any]) -> None:
    hand.make(with_logs())
    spec = with_logs()
    spec["instances"]["web"]["data_volumes"].setdefault(name, {}).update(keys)
    (step,) = [step for step in hand.world.plan(spec).steps if step.action == "replace" and str(step.address) == ONE]
    assert {f"data_volumes.{name}.{key}" for key in keys} <= {change.path for change in step.changes}
    hand.make(spec)
    assert volume(hand, keys.get("device_name", "/dev/sdf"))["Size"] == keys.get("volume_size", 10)


def test_the_plan_says_what_becomes_of_them(hand: Hand) -> None:
    spec = edited(with_logs(), "instances/web/data_volumes/kept", {**LOGS, "device_name": "/dev/sdg"})
    spec["instances"]["web"]["data_volumes"]["kept"]["delete_on_termination"] = False
    hand.make(spec)
    gone, kept = volume(hand)["VolumeId"], volume(hand, "/dev/sdg")["VolumeId"]
    (step,) = [step for step in hand.world.plan(spec, destroy=True).steps if str(step.address) == ONE]
    assert step.effects == (f"deletes its data ({gone})", f"leaves {kept} behind")


@pytest.mark.parametrize(
    ("disks", "counts"),
    [({}, False), ({"logs": {**LOGS, "delete_on_termination": False}}, False), ({"logs": LOGS}, True)],
)
def test_a_roll_that_deletes_data_counts_as_damage(hand: Hand, disks: dict[str, Any], counts: bool) -> None:
    spec = edited(web(), "instances/web/data_volumes", disks) | {"policy": {"max_replacements": 0}}
    hand.make(spec)
    roll = edited(spec, "instances/web/user_data", "#!/bin/sh\nexec web-api two\n")
    if counts:
        hand.refuses(roll, "max_replacements is 0, and the plan has 2; allow it once with --allow replace=2")
    else:
        assert hand.world.plan(roll).count()["replace"] == 4


def test_a_device_that_the_image_uses_is_refused_before_anything_is_made(hand: Hand) -> None:
    hand.make(web(count=1))
    device = hand.ec2.describe_images(ImageIds=[LINUX_1])["Images"][0]["RootDeviceName"]
    spec = edited(with_logs(device_name=device), "instances/web/image_id", LINUX_1)
    with pytest.raises(
        RefusedError, match=rf"data_volumes\.logs\.device_name: image .* uses {device} itself; choose another device"
    ):
        hand.world.plan(spec)


def test_an_unencrypted_disk_that_was_encrypted_all_the_same_is_no_difference(hand: Hand, faults: Faults) -> None:
    """In an account that encrypts each new volume, whatever is asked for (EC2 EnableEbsEncryptionByDefault)."""
    spec = web(root_volume={"encrypted": False}, count=1)

    def encrypt(params: Any) -> None:
        for mapping in params["BlockDeviceMappings"]:
            mapping["Ebs"]["Encrypted"] = True

    faults.before("run_instances", encrypt)
    assert not hand.make(spec).plan.warnings  # nobody can know yet
    plan = hand.world.plan(spec)
    assert plan.is_empty
    assert plan.warnings == (
        f"{ONE}: its disk is encrypted all the same, as the account may want by default; take encrypted: false out of the spec",
    )
