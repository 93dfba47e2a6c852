"""Without a name in common: load balancers, target groups, rules and instances by what they are and who uses them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model import tags
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.spec.stack import parse_stack
from tests.adoption.adopting import Keeper, by_address, our_tags, planned
from tests.harness import Spec, World, demo, spec_folder
from tests.kinds.test_nat_gateway import ZONAL

if TYPE_CHECKING:
    from tests.properties.watched import WatchedWorld


def _spec(stack: str = "demo") -> Spec:
    spec = demo()
    spec["stack"] = stack
    del spec["tags"]
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    spec["target_groups"]["api"] = {"protocol": "HTTP", "port": 80, "targets": ["web"]}
    shares = [{"target_group": "web", "weight": 3}, {"target_group": "api", "weight": 1}]
    listener["default_action"] = {"forward": {"target_groups": shares}}
    listener["rules"] = {
        "old": {"priority": 5, "conditions": [{"path_pattern": "/v1/*"}], "action": {"forward": "api"}},
        "gone": {"priority": 7, "conditions": [{"path_pattern": "/v0/*"}], "action": {"fixed_response": {"status_code": 404}}},
    }  # fmt: skip
    return spec


def _made_nameless(world: World, keep: Keeper, spec: Spec) -> dict[str, str]:
    """The same stack as another one made it, let go and without its names. Returns ids by address."""
    world.converge(spec)
    ids = {found[tags.ADDRESS]: key for key, found in our_tags(world).items() if not key.startswith("vol-")}
    keep.forget(spec)
    ec2 = [item for item in ids.values() if not item.startswith("arn:")]
    world.client("ec2").delete_tags(Resources=ec2, Tags=[{"Key": "Name"}])
    for arn in set(ids.values()).difference(ec2):
        world.client("elbv2").remove_tags(ResourceArns=[arn], TagKeys=["Name"])
    return ids


def test_a_whole_stack_is_recognised_by_its_shape(world: WatchedWorld, keep: Keeper) -> None:
    ids = _made_nameless(world, keep, _spec("maker"))
    found = keep.adopt(_spec())
    assert {key: item for key, item in by_address(found).items() if "instance" not in key} == {
        key: item for key, item in ids.items() if "instance" not in key
    }
    assert {item for item in by_address(found).values() if item.startswith("i-")} == {
        item for item in ids.values() if item.startswith("i-")
    }
    assert world.plan(_spec()).is_empty
    assert not world.sync(_spec()).notes  # every round would have said that nobody has applied it


@pytest.mark.slow
def test_a_third_instance_that_may_be_a_member_is_refused_until_one_is_named(world: WatchedWorld, keep: Keeper) -> None:
    wide = _spec("maker")
    wide["instances"]["web"]["count"] = 3
    ids = _made_nameless(world, keep, wide)
    with pytest.raises(
        RefusedError,
        match=r"instance\.web-1, instance\.web-2 could be i-.*instance\.web-1=ID instance\.web-2=ID",
    ):
        keep.adopt(_spec())
    chosen = {f"instance.web-{number}": ids[f"instance.web-{number + 1}"] for number in (1, 2)}
    found = keep.adopt(_spec(), *(f"{address}={item}" for address, item in chosen.items()))
    assert chosen.items() <= by_address(found).items()
    assert {str(step.address) for step in planned(found).steps if step.action == "delete"} == {
        f"registration.{group}/{ids['instance.web-1']}:80" for group in ("web", "api")
    }, "the third is still registered, which the plan has to say"


def test_other_user_data_is_told_and_costs_no_replacement(world: WatchedWorld, keep: Keeper) -> None:
    ids = _made_nameless(world, keep, _spec("maker"))
    spec = _spec()
    spec["instances"]["web"]["user_data"] = "#!/bin/sh\nexec other\n"
    found = keep.adopt(spec)
    assert sum("different user data" in note for note in found.notes) == 2
    assert planned(found).count()["replace"] == 0
    assert tags.USER_DATA not in our_tags(world)[ids["instance.web-1"]]


def test_an_instance_with_other_user_data_keeps_no_value(world: WatchedWorld, keep: Keeper) -> None:
    ids = _made_nameless(world, keep, _spec("maker"))
    spec = _spec()
    spec["instances"]["web"] |= {"user_data": "#!/bin/sh\nexec other\n", "user_data_values": {"V": "${V}"}}
    given: Any = parse_stack(json.dumps(spec).encode(), "spec.yaml", spec_folder(), {"V": "2"}, None)
    keep.adopt(given)
    assert tags.VALUE + "V" not in our_tags(world)[ids["instance.web-1"]]
    world.converge(given)
    assert tags.VALUE + "V" not in our_tags(world)[ids["instance.web-1"]]


@pytest.mark.slow
def test_a_copy_of_an_adopted_instance_isnt_the_stacks(world: WatchedWorld, keep: Keeper) -> None:
    """It has the tag with the id of the one that it was copied from."""
    ids = _made_nameless(world, keep, _spec("maker"))
    keep.adopt(_spec())
    world.converge(_spec())
    ec2 = world.client("ec2")
    original = ec2.describe_instances(InstanceIds=[ids["instance.web-1"]])["Reservations"][0]["Instances"][0]
    copied = [item for item in original["Tags"] if not item["Key"].startswith("aws:")]
    ec2.run_instances(
        ImageId=original["ImageId"], InstanceType="t3.micro", SubnetId=original["SubnetId"], MinCount=1, MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": copied}],
    )  # fmt: skip
    world.clock.advance(60)
    assert world.plan(_spec()).is_empty
    assert not keep.adopt(_spec()).taggings


def test_an_elastic_ip_is_recognised_by_the_nat_gateway_that_has_it(world: WatchedWorld, keep: Keeper) -> None:
    spec = {**ZONAL, "elastic_ips": {"one": {}}}
    ids = _made_nameless(world, keep, spec)
    found = keep.adopt({**spec, "stack": "network"})
    assert by_address(found) == ids
    assert world.plan({**spec, "stack": "network"}).is_empty


def test_a_gateway_whose_address_was_forgotten_is_not_passed_over(world: WatchedWorld, keep: Keeper) -> None:
    """A network was split off without its Elastic IP address: a second way out, with another address, was to come of it."""
    spec = {**ZONAL, "elastic_ips": {"one": {}}}
    network = {**spec, "stack": "network"}
    world.converge(spec)
    rest = [address for address in map(str, world.plan(spec).ids) if address != "elastic_ip.one"]
    keep.forget(spec, *rest)
    told = r"elastic_ip.one looks like eipalloc-\w+ by its NAT gateway nat-\w+, which belongs to the stack demo; let that stack forget it"
    with pytest.raises(RefusedError, match=told):
        keep.look(network)
    keep.adopt(network, "elastic_ip.one=new", "nat_gateway.main=new")
    (warning,) = (line for line in world.plan(network).warnings if "leaves" in line)
    command = re.search(
        r"0.0.0.0/0 leaves nat-\w+, which isn't this stack's, .* run: alb-reconcile adopt spec.yaml (.*)", warning
    )
    assert command, warning
    keep.forget(spec, "elastic_ip.one")
    keep.adopt(network, command[1])
    assert world.plan(network).is_empty
