"""What was set by hand on instances is exported, so that those that replace them have it too."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.aws.client import Aws
from alb_reconcile.export.scope import ExportScope, read_around
from alb_reconcile.kinds.instance.options import UNSHOWN
from alb_reconcile.model.resource import field_names
from alb_reconcile.model.text import camel
from alb_reconcile.sandbox.strict.world import World as Place
from tests.adoption.adopting import our_tags
from tests.export.exporting import adopted, exported, plain, steps
from tests.harness import REGION
from tests.kinds.example import entry_of, put
from tests.kinds.hand import LINUX_2
from tests.kinds.test_instance import EXAMPLE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adoption.adopting import Keeper
    from tests.harness import World
    from tests.properties.watched import WatchedWorld

ALONE = ("metadata_options.http_endpoint", "state")
"""Changes that hide others: AWS shows nothing else of a metadata service that is off, nor the address of what is stopped."""
ITS_OWN = {"image_id", "private_ip_address"}


@pytest.mark.parametrize("paths", [EXAMPLE.changes.keys() - set(ALONE), set(ALONE)], ids=["most", "alone"])
def test_what_was_set_by_hand_outlives_a_replacement(
    world: WatchedWorld, keep: Keeper, paths: set[str], tmp_path: Path
) -> None:
    EXAMPLE.prepare()
    spec = copy.deepcopy(EXAMPLE.spec)
    for path in sorted(paths):
        put(entry_of(spec, EXAMPLE.address), path, EXAMPLE.changes[path])
    world.converge(spec)
    vpc = next(key for key in our_tags(world) if key.startswith("vpc-"))
    keep.forget(spec)
    before = there(world, vpc)
    found = exported(world, ExportScope(vpcs=(vpc,)), tmp_path)
    assert steps(adopted(world, found, tmp_path)) == []
    assert "left out" not in found.text
    successor = plain(found)
    (entry,) = successor["instances"].values()
    entry["image_id"] = LINUX_2
    world.converge(successor, allow={"lift-protection": 1})
    assert there(world, vpc) == before


def test_a_volume_that_was_attached_by_hand_is_told_of_and_can_be_handed_over(
    world: WatchedWorld, keep: Keeper, tmp_path: Path
) -> None:
    EXAMPLE.prepare()
    spec = copy.deepcopy(EXAMPLE.spec)
    del spec["instances"]["web"]["data_volumes"]
    world.converge(spec)
    vpc = next(key for key in our_tags(world) if key.startswith("vpc-"))
    keep.forget(spec)
    volume = attach_by_hand(world, vpc)
    made: Any = Place(DEFAULT_ACCOUNT_ID, REGION).instance(find_instance(world, vpc)["InstanceId"])
    made.enclave_options = {"Enabled": True}
    found = exported(world, ExportScope(vpcs=(vpc,)), tmp_path)
    assert "# its replacement goes without what no spec can say: EnclaveOptions.Enabled" in found.text
    told = "# a replacement starts with empty data volumes (sdf), unless each has persistent: true"
    assert told in found.text
    assert steps(adopted(world, found, tmp_path)) == []
    successor = plain(found)
    (entry,) = successor["instances"].values()
    entry["image_id"] = LINUX_2
    (step,) = (item for item in world.plan(successor).steps if item.action == "replace")
    assert any(text.startswith("starts with empty data volumes (sdf)") for text in step.effects)
    disk = entry["data_volumes"]["sdf"]
    disk["persistent"] = True
    entry["image_id"] = EXAMPLE.spec["instances"]["web"]["image_id"]
    entry["rollout"] = {"max_surge": 0, "max_unavailable": 1}
    world.converge(successor)
    entry["image_id"] = LINUX_2
    world.converge(successor)
    (held,) = world.client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
    assert [item["InstanceId"] for item in held["Attachments"]] == [find_instance(world, vpc)["InstanceId"]]


def find_instance(world: World, vpc: str) -> dict[str, Any]:
    where = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "instance-state-name", "Values": ["running"]}]
    (reservation,) = world.client("ec2").describe_instances(Filters=where)["Reservations"]
    (row,) = reservation["Instances"]
    found: dict[str, Any] = row
    return found


def attach_by_hand(world: World, vpc: str) -> str:
    """A volume for the one instance that runs in a VPC."""
    ec2, row = world.client("ec2"), find_instance(world, vpc)
    zone = row["Placement"]["AvailabilityZone"]
    volume = str(ec2.create_volume(Size=20, VolumeType="gp3", AvailabilityZone=zone, Encrypted=True)["VolumeId"])
    world.clock.advance(60)
    ec2.attach_volume(VolumeId=volume, InstanceId=row["InstanceId"], Device="/dev/sdf")
    world.clock.advance(60)
    return volume


def there(world: World, vpc: str) -> dict[str, Any]:
    """All that AWS shows of the one instance, but what each has of its own."""

    async def read(aws: Aws) -> Any:
        states = {key: item.found for key, item in (await read_around(aws, {vpc})).all.items()}
        (one,) = (item for item in states.values() if item.state.kind == "instance" and not item.is_gone)
        return one

    one = world._run(read)
    ec2 = world.client("ec2")
    shown = {name: getattr(one.state, name) for name in field_names(type(one.state)) if name not in ITS_OWN}
    for name in UNSHOWN:
        title = camel(name)
        answer = ec2.describe_instance_attribute(InstanceId=one.id, Attribute=title[:1].lower() + title[1:])
        shown[name] = answer[title]["Value"]
    return shown
