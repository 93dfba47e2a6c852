"""What isn't the stack's stays byte for byte as it was, however much it looks like the stack's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.engine.stack import plan_stack
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import RefusedError
from tests.harness import REGION, demo
from tests.properties.near_misses import NEAR_MISSES, add_strangers, tag_list
from tests.properties.scenarios import regrouped, rolled, scaled
from tests.properties.watched import portrait, watched

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld


def changed() -> Spec:
    """The demo with changes of many sorts that replace nothing, and without the rule."""
    spec = demo()
    del spec["security_groups"]["web"]["ingress"][1:]
    spec["target_groups"]["web"]["health_check"]["path"] = "/other"
    spec["load_balancers"]["public"]["listeners"]["http"].pop("rules", None)
    spec["tags"] = {"service": "other"}
    return spec


def other_stack() -> Spec:
    """The same spec as another stack."""
    return {**demo(), "stack": "demo2"}


def _life_of_the_demo(world: WatchedWorld) -> None:
    for spec in (demo(), changed(), rolled(), scaled(3), regrouped()):
        world.converge(spec)
        portrait(world, spec)
    world.destroy(demo())


@pytest.mark.slow
def test_strangers_with_near_miss_tags_and_names_stay_as_they_were() -> None:
    """Foreign VPCs and all that is in them, through the whole life of a stack in the same account."""
    with watched() as world:
        add_strangers(world)
        world.clock.advance(600)
        before = world.strict.inventory()
        assert len(before) > 15 * len(NEAR_MISSES)
        _life_of_the_demo(world)
        assert world.strict.inventory() == before


@pytest.mark.slow
def test_another_stack_in_the_account_stays_as_it_was() -> None:
    """The same spec under another name, which wants nothing after it either."""
    with watched() as world:
        world.converge(other_stack())
        before = world.strict.inventory()
        _life_of_the_demo(world)
        assert world.strict.inventory() == before
        assert world.plan(other_stack()).is_empty


@pytest.mark.slow
def test_a_stack_whose_name_ours_begins_with_stays_as_it_was() -> None:
    """Names are compared whole: `demo-web` has what `demo` calls its `web`."""
    other = {**demo(), "stack": "demo-web"}
    with watched() as world:
        world.converge(other)
        before = world.strict.inventory()
        _life_of_the_demo(world)
        assert world.strict.inventory() == before


def _own(world: WatchedWorld, address: str) -> str:
    found = world.discover(demo()).resources
    return next(item.id for item in found if str(item.address) == address and not item.is_gone)


def _launch_copy(world: WatchedWorld, subnet: str) -> str:
    """'Launch more like this': all tags of one of our instances, and a token of its own."""
    ec2 = world.client("ec2")
    ours = ec2.describe_instances(InstanceIds=[_own(world, "instance.web-1")])
    original = ours["Reservations"][0]["Instances"][0]
    copy = ec2.run_instances(
        ImageId=original["ImageId"], InstanceType=original["InstanceType"], SubnetId=subnet, MinCount=1, MaxCount=1,
        ClientToken="launch-more-like-this", TagSpecifications=[{"ResourceType": "instance", "Tags": original["Tags"]}],
    )  # fmt: skip
    instance: str = copy["Instances"][0]["InstanceId"]
    return instance


@pytest.mark.slow
def test_a_copy_of_an_instance_with_our_tags_stays_as_it_was() -> None:
    """Tags are copied by "launch more like this"; the token isn't."""
    with watched() as world:
        ec2 = world.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
        world.converge(demo())
        copy = _launch_copy(world, subnet)
        world.clock.advance(60)
        before = world.strict.inventory()
        assert world.plan(demo()).is_empty
        world.destroy(demo())
        after = world.strict.inventory()
        assert after[copy] == before[copy]
        _life_of_the_demo(world)
        assert world.strict.inventory() == after


def test_a_copy_in_our_own_network_stops_destroy_before_its_first_delete() -> None:
    """It can't be left alone and its subnet deleted; so nothing is."""
    with watched() as world:
        world.converge(demo())
        copy = _launch_copy(world, _own(world, "subnet.public-a"))
        world.clock.advance(60)
        target = DesiredStack("demo", REGION, {}, destroy=True)
        blockers = world._run(lambda aws: plan_stack(aws, target)).blockers
        assert any(copy in text for text in blockers), blockers


def _add_foreign_rule(world: WatchedWorld, owner: dict[str, str]) -> str:
    listener = _own(world, "listener.public/http")
    answer = world.client("elbv2").create_rule(
        ListenerArn=listener, Priority=77, Conditions=[{"Field": "path-pattern", "Values": ["/theirs/*"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        Tags=tag_list(owner, "rule"),
    )  # fmt: skip
    rule: str = answer["Rules"][0]["RuleArn"]
    return rule


@pytest.mark.slow
def test_another_stacks_rule_under_our_listener_stays_and_stops_destroy() -> None:
    """Changes of ours pass it by, as do rolls; what would take it along is refused, with nothing changed."""
    with watched() as world:
        world.converge(demo())
        rule = _add_foreign_rule(world, {tags.STACK: "Demo", tags.ADDRESS: "rule.public/http/theirs"})
        before = world.strict.inventory()[rule]
        assert world.plan(demo()).is_empty
        for spec in (changed(), rolled(), scaled(3), regrouped()):
            world.converge(spec)
            assert world.strict.inventory()[rule] == before
        whole = world.strict.inventory()
        with pytest.raises(RefusedError, match="belongs to the stack"):
            world.destroy(demo())
        without = demo()
        del without["load_balancers"]["public"]["listeners"]
        with pytest.raises(RefusedError, match="belongs to the stack"):
            world.apply(without)
        assert world.strict.inventory() == whole
        world.client("elbv2").delete_rule(RuleArn=rule)
        world.destroy(demo())


def test_a_rule_that_nobody_owns_is_drift_under_our_listener() -> None:
    """Untagged, it is removed by the next apply; that it is no bystander is what the tags are for."""
    with watched() as world:
        world.converge(demo())
        rule = _add_foreign_rule(world, {"somebody": "else"})
        world.converge(demo())
        assert rule not in world.strict.inventory()
