"""A second one at an address that the stack never made, such as a copy by hand with all tags: it goes by the user's word only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from tests.adoption.adopting import Keeper
from tests.harness import demo
from tests.kinds.hand import calls, delete, edited, short

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.kinds.hand import Faults, Hand

CLONE = "hand-made-clone"
ENTRANCE = {"delete-load-balancer": 1}


def tags_of(hand: Hand, arn: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = hand.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    return found


def foreign_group(hand: Hand, name: str = "theirs", **more: Any) -> str:
    made = hand.elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=hand["vpc.main"], **more)
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def clone_of_balancer(hand: Hand, name: str = CLONE, *ports: int) -> str:
    """A load balancer with the tags of the stack's own, and listeners that lead to a group of others."""
    (old,) = hand.elb.describe_load_balancers(LoadBalancerArns=[hand["load_balancer.public"]])["LoadBalancers"]
    made = hand.elb.create_load_balancer(
        Name=name,
        Subnets=[zone["SubnetId"] for zone in old["AvailabilityZones"]],
        SecurityGroups=old["SecurityGroups"],
        Scheme=old["Scheme"],
        Tags=tags_of(hand, hand["load_balancer.public"]),
    )
    arn = str(made["LoadBalancers"][0]["LoadBalancerArn"])
    hand.wait(300)
    group = foreign_group(hand) if ports else ""
    for port in ports:
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        hand.elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=port, DefaultActions=forward)
    return arn


def clone_of_group(hand: Hand) -> str:
    return foreign_group(hand, CLONE, Tags=tags_of(hand, hand["target_group.web"]))


def clone_of_security_group(hand: Hand) -> str:
    (old,) = hand.ec2.describe_security_groups(GroupIds=[hand["security_group.web"]])["SecurityGroups"]
    copied = {"ResourceType": "security-group", "Tags": old["Tags"]}
    made = hand.ec2.create_security_group(
        GroupName=CLONE, Description=old["Description"], VpcId=old["VpcId"], TagSpecifications=[copied]
    )
    return str(made["GroupId"])


def refusal(hand: Hand, spec: Spec, **allow: int) -> str:
    return "\n".join(hand.refuses_run(spec, allow=allow))


def balancers(hand: Hand) -> set[str]:
    return {item["LoadBalancerArn"] for item in hand.elb.describe_load_balancers()["LoadBalancers"]}


def test_a_load_balancer_that_was_copied_by_hand_needs_the_word_for_a_load_balancer(hand: Hand) -> None:
    hand.make(demo())
    clone = clone_of_balancer(hand, CLONE, 8080)
    text = refusal(hand, demo(), delete=99)
    for part in ("1 load balancer would be deleted", "--allow delete-load-balancer=1", "listener.public/:8080"):
        assert part in text
    assert f"load_balancer.public ({clone})" in text
    assert f"its name, {CLONE}, isn't one that the stack gives" in text
    assert "spec cut short" not in text
    policy = {**demo(), "policy": {"max_deletions": 0}}
    assert "max_deletions is 0, and the plan has 2" in refusal(hand, policy, **ENTRANCE)
    shown = hand.world.plan(demo(), allow=ENTRANCE)
    assert short(shown) == [delete("load_balancer.public")]
    assert f"its name, {CLONE}, isn't one that the stack gives" in render_plan(shown, Style(colored=False))
    hand.world.converge(demo(), allow=ENTRANCE)
    assert balancers(hand) == {hand["load_balancer.public"]}


@pytest.mark.slow
def test_the_copy_isnt_kept_in_place_of_the_stacks_own(hand: Hand) -> None:
    """With more listeners than the stack's own it would be the survivor. Neither is it when that is to be replaced."""
    hand.make(demo())
    clone = clone_of_balancer(hand, CLONE, 80, 8080, 8081)
    (step,) = [step for step in hand.world.plan(demo(), allow=ENTRANCE | {"delete": 9}).steps if not step.part_of]
    assert (step.action, step.id) == ("delete", clone)
    wanted = edited(demo(), "load_balancers/public/scheme", "internal")
    word = {"replace-load-balancer": 1, "replace": 9}
    assert CLONE in refusal(hand, wanted, **word)
    hand.world.converge(wanted, allow=ENTRANCE | word | {"delete": 9})
    assert clone not in balancers(hand)


def test_sync_leaves_all_of_them(hand: Hand) -> None:
    spec = {**demo(), "sync": {"correct": ["delete"]}}
    hand.make(spec)
    clone_of_balancer(hand, CLONE, 8080)
    clone_of_group(hand)
    hand.world.sync(spec, apply_changes=True)
    assert len(balancers(hand)) == 2
    assert not calls(hand.world, "delete_load_balancer")
    assert not calls(hand.world, "delete_target_group")


def left_over(hand: Hand, faults: Faults, spec: Spec, **allow: int) -> None:
    """What a replacement leaves whose run ends before it deletes anything."""
    for name in ("delete_load_balancer", "delete_target_group", "delete_security_group", "delete_listener"):
        faults.refuse(name, "AccessDenied", times=20)
    assert hand.world.apply(spec, allow=allow).failures
    faults.refusals.clear()
    hand.wait(300)


FRESH = edited(demo(), "security_groups/web/description", "another")
INTERNAL = edited(demo(), "load_balancers/public/scheme", "internal")


@pytest.mark.parametrize("wanted", [edited(FRESH, "target_groups/web/health_check/path", "/ready"), INTERNAL])
@pytest.mark.parametrize("back", [False, True])
def test_what_an_interrupted_replacement_leaves_goes_without_a_word(
    hand: Hand, faults: Faults, *, wanted: Spec, back: bool
) -> None:
    """Whichever of the two stays. The word for the replacement of a load balancer was given when it began."""
    hand.make(demo())
    left_over(hand, faults, wanted, **{"replace-load-balancer": 1, "replace": 9})
    spec = demo() if back else wanted
    assert [step.reason for step in hand.world.plan(spec, allow={"replace": 9}).steps if "duplicate" in step.reason]
    hand.world.converge(spec, allow={"replace": 9})
    assert len(balancers(hand)) == 1


def test_what_somebody_put_into_the_old_one_isnt_the_stacks(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    wanted = INTERNAL
    left_over(hand, faults, wanted, **{"replace-load-balancer": 1, "replace": 9})
    forward = [{"Type": "forward", "TargetGroupArn": foreign_group(hand)}]
    old = hand["load_balancer.public"]
    hand.elb.create_listener(LoadBalancerArn=old, Protocol="HTTP", Port=8080, DefaultActions=forward)
    text = refusal(hand, wanted)
    assert f"load_balancer.public ({old})" in text
    assert "listener.public/:8080" in text
    assert "isn't one that the stack gives" not in text
    hand.world.converge(wanted, allow=ENTRANCE)


@pytest.mark.parametrize("how", ["adopted", "moved"])
def test_whose_name_isnt_the_stacks_stays_beside_a_copy_all_the_same(hand: Hand, how: str) -> None:
    """The tag with its id tells it from the copy, which has that tag, too."""
    hand.make(demo())
    keeper, spec = Keeper(hand.world), {**demo(), "stack": "shop"}
    if how == "adopted":
        keeper.forget(demo())
        keeper.adopt(spec)
    else:
        spec = {**demo(), "load_balancers": {"front": demo()["load_balancers"]["public"]}}
        keeper.move(spec, "load_balancer.public", "load_balancer.front")
    clone = clone_of_balancer(hand, CLONE, 80, 8080, 8081)
    plan = hand.world.plan(spec, allow=ENTRANCE | {"delete": 9})
    (gone,) = [step.id for step in plan.steps if (step.action, step.address.kind) == ("delete", "load_balancer")]
    assert gone == clone
