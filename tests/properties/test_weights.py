"""Weights: who may be given more requests, and the split that a deployment tool owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from tests.harness import Spec, demo
from tests.properties.watched import watched

if TYPE_CHECKING:
    from tests.properties.watched import WatchedWorld


def split(web: int, canary: int, *, external: bool = False, **group: Any) -> Spec:
    """The demo with a second group of two instances, and so much of the requests for each."""
    spec = demo()
    rule = spec["security_groups"]["web"]["ingress"][0]
    spec["security_groups"]["web"]["ingress"] = [rule, {**rule, "port": 8080}]
    spec["instances"]["canary"] = {**spec["instances"]["web"]}
    spec["target_groups"]["canary"] = {**spec["target_groups"]["web"], "targets": ["canary"], **group}
    groups = [{"target_group": "web", "weight": web}, {"target_group": "canary", "weight": canary}]
    forward: dict[str, Any] = {"target_groups": groups}
    if external:
        forward["weights"] = {"managed_by": "external"}
    spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": forward}
    return spec


def weights(world: WatchedWorld) -> dict[str, int]:
    """The weights that AWS has, by the group's name in the spec."""
    (rule,) = world.account.rules()
    (action,) = rule.actions
    found = {
        world._name(item["TargetGroupArn"]).partition(".")[2]: item["Weight"]
        for item in action.data["ForwardConfig"]["TargetGroups"]
    }
    assert len(found) == len(action.data["ForwardConfig"]["TargetGroups"])
    return found


def set_weights(world: WatchedWorld, **wanted: int) -> None:
    """What a deployment tool does."""
    elb = world.client("elbv2")
    ids = {str(item.address): item.id for item in world.discover(split(1, 1)).resources}
    groups = [{"TargetGroupArn": ids[f"target_group.{name}"], "Weight": weight} for name, weight in wanted.items()]
    elb.modify_listener(
        ListenerArn=ids["listener.public/http"],
        DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}],
    )


def fall_ill(world: WatchedWorld, instance: str, group: str = "canary") -> None:
    """From now on an instance fails its health checks."""
    ids = {str(item.address): item.id for item in world.discover(split(1, 1)).resources}
    world.strict.set_target_unhealthy(ids[f"target_group.{group}"], ids[f"instance.{instance}"])
    world.clock.advance(60)


@pytest.mark.parametrize(("ill", "least", "refused"), [(1, None, True), (1, 1, False), (2, 1, True), (2, 0, False)])
def test_an_ill_group_is_given_no_more_requests(ill: int, least: int | None, refused: bool) -> None:
    """Refused when it comes to it, by default for one target too few; the split stays as it was."""
    with watched() as world:
        world.converge(split(90, 10))
        for number in range(1, ill + 1):
            fall_ill(world, f"canary-{number}")
        group: dict[str, Any] = {} if least is None else {"min_healthy": least}
        started = world.clock.now()
        result = world.apply(split(50, 50, **group), timeout=1)
        if not refused:
            assert not result.failures
            assert weights(world) == {"web": 50, "canary": 50}
            return
        (failed,) = [item for item in result.outcomes if item.how != "done"]
        assert isinstance(failed.error, RefusedError)
        assert "target_group.canary has" in str(failed.error)
        assert weights(world) == {"web": 90, "canary": 10}
        assert world.clock.now() - started < 10 * 2 + 60 + 5, (
            "its checks have the time to pass: a step may have mended it"
        )


def test_an_ill_group_is_given_fewer_requests() -> None:
    """Away from the ill is always allowed."""
    with watched() as world:
        world.converge(split(50, 50))
        fall_ill(world, "canary-1")
        fall_ill(world, "canary-2")
        assert not world.apply(split(100, 0), timeout=1).failures
        assert weights(world) == {"web": 100, "canary": 0}


def test_where_nobody_serves_there_is_nothing_to_lose() -> None:
    """Both groups are ill: the split may change."""
    with watched() as world:
        world.converge(split(100, 0))
        for group in ("web", "canary"):
            fall_ill(world, f"{group}-1", group)
            fall_ill(world, f"{group}-2", group)
        assert not world.apply(split(50, 50), timeout=1).failures


def test_targets_that_are_still_checked_are_waited_for() -> None:
    """As after an interruption: they were registered, and a run that gives them requests waits until they are healthy."""
    with watched() as world:
        world.converge(split(100, 0))
        for number in (1, 2):
            fall_ill(world, f"canary-{number}")
        ids = {str(item.address): item.id for item in world.discover(split(1, 1)).resources}
        group = ids["target_group.canary"]
        targets = [{"Id": ids[f"instance.canary-{number}"]} for number in (1, 2)]
        elb = world.client("elbv2")
        elb.deregister_targets(TargetGroupArn=group, Targets=targets)
        world.clock.advance(60)
        for target in targets:
            world.strict.set_target_healthy(group, target["Id"])
        elb.register_targets(TargetGroupArn=group, Targets=targets)
        world.watch()
        world.converge(split(0, 100))
        assert world.lows["target_group.canary"].healthy == 2


def test_an_external_split_is_left_alone() -> None:
    """The declared weights are where it begins; then only the groups and the sum are held."""
    spec = split(90, 10, external=True)
    with watched() as world:
        world.converge(spec)
        assert weights(world) == {"web": 90, "canary": 10}
        for moved in ({"web": 30, "canary": 70}, {"web": 0, "canary": 100}, {"web": 100, "canary": 0}):
            set_weights(world, **moved)
            assert world.plan(spec).is_empty
            assert weights(world) == moved
        assert not world.plan(split(90, 10)).is_empty, "without the key the file moves the weights"


@pytest.mark.parametrize("wrong", [{"web": 30, "canary": 60}, {"web": 100}])
def test_an_external_split_over_other_groups_or_another_sum_is_drift(wrong: dict[str, int]) -> None:
    """Then the declared weights are set."""
    spec = split(90, 10, external=True)
    with watched() as world:
        world.converge(spec)
        set_weights(world, **wrong)
        assert [step.key.partition("@")[0] for step in world.plan(spec).steps][-1] == "update:listener.public/http"
        world.converge(spec)
        assert weights(world) == {"web": 90, "canary": 10}


MOVED = [(30, 70), (0, 100), (100, 0)]
REPLACED = [(name, {"web": web, "canary": canary}) for name in ("web", "canary") for web, canary in MOVED]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "moved"), [REPLACED[0], REPLACED[-1]])
def test_a_replaced_group_takes_over_its_external_weight(name: str, moved: dict[str, int]) -> None:
    """With capacity kept, in one run; interrupted at any moment too."""
    spec = split(90, 10, external=True)
    after = split(90, 10, external=True)
    after["target_groups"][name]["port"] = 8080
    with watched() as world:
        world.converge(spec)
        set_weights(world, **moved)
        world.watch()
        with world.moments() as moments:
            world.converge(after)
        assert weights(world) == moved
        for moment in moments[:: max(1, len(moments) // 6)]:
            world.go_back(moment)
            world.converge(after)
            assert weights(world) == moved
            serving = [f"target_group.{item}" for item, weight in moved.items() if weight]
            assert all(world.lows[item].healthy >= 2 for item in serving), (moment.words, world.lows)


def test_the_rest_of_an_external_action_is_managed() -> None:
    """Stickiness that somebody turned on is turned off, and the split stays."""
    spec = split(90, 10, external=True)
    with watched() as world:
        world.converge(spec)
        set_weights(world, web=40, canary=60)
        after = split(90, 10, external=True)
        action = after["load_balancers"]["public"]["listeners"]["http"]["default_action"]["forward"]
        action["stickiness"] = {"enabled": True, "duration_seconds": 60}
        world.converge(after)
        assert weights(world) == {"web": 40, "canary": 60}


@pytest.mark.slow
def test_a_new_rule_leaves_an_external_split_alone_wherever_it_is_interrupted() -> None:
    """The rule's group is a guest in the split's action for a while."""
    spec, after = split(90, 10, external=True), split(90, 10, external=True)
    after["target_groups"]["api"] = {**after["target_groups"]["web"]}
    rule = {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "api"}}
    after["load_balancers"]["public"]["listeners"]["http"]["rules"] = {"v2": rule}

    def default() -> dict[str, int]:
        forward = world.account.listeners()[0].default_actions[0].data["ForwardConfig"]["TargetGroups"]
        return {world._name(item["TargetGroupArn"]).partition(".")[2]: item["Weight"] for item in forward}

    with watched() as world:
        world.converge(spec)
        set_weights(world, web=30, canary=70)
        with world.moments() as moments:
            world.converge(after)
        assert default() == {"web": 30, "canary": 70}
        for moment in moments:
            world.go_back(moment)
            world.converge(after)
            assert default() == {"web": 30, "canary": 70}, moment.words


def test_somebody_elses_group_joins_a_forward() -> None:
    """Its targets are checked beside the old group first; one without healthy targets is refused."""
    with watched() as world:
        world.converge(demo())
        elb, ec2 = world.client("elbv2"), world.client("ec2")
        ids = {str(item.address): item.id for item in world.discover(demo()).resources}
        arns = [
            elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=ids["vpc.main"])["TargetGroups"][0][
                "TargetGroupArn"
            ]
            for name in ("theirs", "empty")
        ]
        made = ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            SubnetId=ids["subnet.public-a"],
            SecurityGroupIds=[ids["security_group.web"]],
        )
        world.clock.advance(60)
        elb.register_targets(TargetGroupArn=arns[0], Targets=[{"Id": made["Instances"][0]["InstanceId"]}])
        for arn, refused in zip(arns, (False, True), strict=True):
            spec = demo()
            groups = [{"target_group": "web", "weight": 50}, {"target_group": arn, "weight": 50}]
            action = {"forward": {"target_groups": groups}}
            spec["load_balancers"]["public"]["listeners"]["http"]["default_action"] = action
            if refused:
                (failed,) = [item for item in world.apply(spec).outcomes if item.how != "done"]
                assert isinstance(failed.error, RefusedError)
            else:
                world.converge(spec)
