"""What somebody can do by hand to what serves, besides what `drifts_examples.py` has for each kind: instances, targets, load balancers, listeners, rules."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

from alb_reconcile.model import tags
from alb_reconcile.model.service import Registered
from tests.harness import REGION
from tests.kinds.hand import LINUX_1
from tests.properties.scene import ANSWER, Deed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.model.resource import Desired, Observed
    from tests.properties.scene import Scene

OTHER_STACK = [{"Key": tags.STACK, "Value": "other"}]


def instance_states(scene: Scene) -> Iterator[Deed]:
    """Instances terminated and stopped."""
    for item, wish in scene.of("instance"):
        address = str(item.address)
        wanted: Any = wish and wish.state
        stopped = (address,) if wanted and wanted.state is not None else ()
        yield Deed(
            f"{address} terminated",
            partial(scene.ec2, "terminate_instances", InstanceIds=[item.id]),
            (address,),
        )
        yield Deed(f"{address} stopped", partial(scene.ec2, "stop_instances", InstanceIds=[item.id]), stopped)


def targets(scene: Scene) -> Iterator[Deed]:
    """Targets taken out, put in, and put in on another port."""
    for item, _ in scene.of("registration"):

        def leave(item: Observed = item) -> object:
            state: Any = item.state
            target = {"Id": item.detail(Registered).id, "Port": state.port}
            return scene.elb("deregister_targets", TargetGroupArn=state.target_group, Targets=[target])

        yield Deed(f"{item.address} deregistered", leave, (str(item.address),))
    instances = [item for item, _ in scene.of("instance")]
    for group, wish in scene.of("target_group"):
        managed = wish is not None and wish.lifecycle.members
        strangers = wish is not None and managed and not wish.lifecycle.keep_others
        name, above = group.address.name, (str(group.address),)

        def join(group: Observed = group, instance: str = "", port: int = 80) -> object:
            state: Any = group.state
            known = instance or _stranger(scene)
            target = {"Id": _address(scene, known) if state.target_type == "ip" else known, "Port": port}
            return scene.elb("register_targets", TargetGroupArn=group.id, Targets=[target])

        unknown = "10." if getattr(group.state, "target_type", "") == "ip" else "i-"
        shown = (f"registration.{name}/{unknown}", *above) if strangers else ()
        yield Deed(f"{group.address} gets a stranger", join, shown)
        for item in instances:
            yield Deed(
                f"{group.address} gets {item.address} on another port",
                partial(join, instance=item.id, port=8099),
                (f"registration.{name}/{item.address.name}:8099", str(item.address), *above) if managed else (),
            )


def _address(scene: Scene, instance: str) -> str:
    (found,) = scene.ec2("describe_instances", InstanceIds=[instance])["Reservations"]
    return str(found["Instances"][0]["PrivateIpAddress"])


def _stranger(scene: Scene) -> str:
    answer = scene.ec2(
        "run_instances", ImageId=LINUX_1, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=scene.subnet()
    )
    scene.account.clock.advance(30)
    return str(answer["Instances"][0]["InstanceId"])


def balancers(scene: Scene) -> Iterator[Deed]:
    """Load balancers deleted, and put into other security groups and subnets."""
    for item, wish in scene.of("load_balancer"):
        state: Any = item.state
        wanted: Any = wish and wish.state
        address = (str(item.address),)
        yield Deed(
            f"{item.address} deleted",
            partial(scene.elb, "delete_load_balancer", LoadBalancerArn=item.id),
            address,
        )

        def widen(item: Observed = item, state: Any = state) -> object:
            found: str = scene.ec2("describe_vpcs", VpcIds=[scene.vpc])["Vpcs"][0]["CidrBlock"]
            block = found.replace(".0.0/16", ".251.0/24")
            theirs = scene.ec2("create_subnet", VpcId=scene.vpc, CidrBlock=block, AvailabilityZone=f"{REGION}c")
            subnets = [*state.subnets, theirs["Subnet"]["SubnetId"]]
            return scene.elb("set_subnets", LoadBalancerArn=item.id, Subnets=subnets)

        yield Deed(f"{item.address} in another subnet", widen, address)

        def regroup(item: Observed = item) -> object:
            group = scene.ec2("create_security_group", GroupName="by-hand", Description="x", VpcId=scene.vpc)
            return scene.elb("set_security_groups", LoadBalancerArn=item.id, SecurityGroups=[group["GroupId"]])

        is_managed = wanted is not None and wanted.security_groups is not None
        yield Deed(f"{item.address} in another security group", regroup, address if is_managed else ())


def groups(scene: Scene) -> Iterator[Deed]:
    """Target groups deleted, once nothing forwards to them any more."""
    for item, _ in scene.of("target_group"):

        def delete(item: Observed = item) -> object:
            for other in scene.found:
                if item.id in str(getattr(other.state, "default_action", "")):
                    scene.elb("modify_listener", ListenerArn=other.id, DefaultActions=[ANSWER])
                elif item.id in str(getattr(other.state, "action", "")):
                    scene.elb("modify_rule", RuleArn=other.id, Actions=[ANSWER])
            return scene.elb("delete_target_group", TargetGroupArn=item.id)

        yield Deed(f"{item.address} deleted", delete, (str(item.address),))


def _stray(carrier: Desired | None, *addresses: str) -> tuple[str, ...]:
    return () if carrier is None or carrier.lifecycle.keep_others else addresses


def additions(scene: Scene) -> Iterator[Deed]:
    """Rules and listeners added, with and without another stack's tags. (A stray listener is in `test_listener.py`: what it answers is to be allowed to end.)"""
    for item, wish in scene.of("listener"):

        def add(item: Observed = item, priority: int = 15, **params: Any) -> object:
            return scene.elb(
                "create_rule", ListenerArn=item.id, Priority=priority, Actions=[ANSWER], Conditions=[_condition("/stray")], **params
            )  # fmt: skip

        above = _stray(wish, f"rule.{item.address.name}/#", str(item.address))
        yield Deed(f"{item.address} gets a stray rule", add, above)
        yield Deed(f"{item.address} gets another stack's rule", partial(add, priority=16, Tags=OTHER_STACK))
    for item, _ in scene.of("load_balancer"):
        params = {"Protocol": "HTTP", "Port": 9001, "DefaultActions": [ANSWER], "Tags": OTHER_STACK}
        act = partial(scene.elb, "create_listener", LoadBalancerArn=item.id, **params)
        yield Deed(f"{item.address} gets another stack's listener", act)


def priorities(scene: Scene) -> Iterator[Deed]:
    """Rules moved, and swapped with each other."""
    found: list[tuple[Observed, Any]] = [(item, item.state) for item, _ in scene.of("rule")]
    for item, state in found:
        yield Deed(f"{item.address} moved", partial(_order, scene, {item.id: 1000 + state.priority}), _moved(item))
    for (one, first), (two, second) in combinations(found, 2):
        if first.listener == second.listener:
            swapped = {one.id: second.priority, two.id: first.priority}
            yield Deed(f"{one.address} and {two.address} swapped", partial(_order, scene, swapped), _moved(one))


def _order(scene: Scene, wanted: dict[str, int]) -> object:
    rows = [{"RuleArn": arn, "Priority": priority} for arn, priority in wanted.items()]
    return scene.elb("set_rule_priorities", RulePriorities=rows)


def _moved(item: Observed) -> tuple[str, ...]:
    listener = item.address.name.rpartition("/")[0]
    return f"rule_priorities.{listener}", f"listener.{listener}", str(item.address)


def _condition(path: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}}
