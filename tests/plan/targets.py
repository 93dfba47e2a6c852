"""Stacks whose targets are counted, and what befalls them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from alb_reconcile.model.address import Address
from tests.harness import Spec, World, demo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

GROUP = Address("target_group", "web")


def web(count: int, version: str, **rollout: Any) -> Spec:
    spec = demo()
    spec["instances"]["web"] |= {"count": count, "user_data": f"#!/bin/sh\nexec web-api {version}\n"}
    if rollout:
        spec["instances"]["web"]["rollout"] = rollout
    return spec


def listener(spec: Spec) -> Any:
    """The listener's entry."""
    return spec["load_balancers"]["public"]["listeners"]["http"]


def rule(priority: int, path: str, group: str) -> Spec:
    return {"priority": priority, "conditions": [{"path_pattern": [path]}], "action": {"forward": group}}


def turned(spec: Spec, to: str = "green", /, **weights: int) -> Spec:
    """The same, with all requests for one group, or shared by these weights."""
    after = copy.deepcopy(spec)
    parts = [{"target_group": name, "weight": weight} for name, weight in weights.items()]
    listener(after)["default_action"] = {"forward": {"target_groups": parts} if parts else to}
    return after


def ids(here: World, spec: Spec) -> dict[str, str]:
    return {str(address): found for address, found in here.plan(spec).ids.items()}


def healthy(here: World, group: str) -> int:
    told = here.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return sum(item["TargetHealth"]["State"] == "healthy" for item in told)


def fall_ill(here: World, spec: Spec, *names: str, group: str = "web") -> dict[str, str]:
    """These instances fail the group's checks. Returns the stack's ids."""
    known = ids(here, spec)
    for name in names:
        here.strict.set_target_unhealthy(known[f"target_group.{group}"], known[f"instance.{name}"])
    here.clock.advance(300)
    return known


def stop(here: World, *instances: str) -> None:
    here.client("ec2").stop_instances(InstanceIds=[*instances])
    here.clock.advance(300)


def start(here: World, *instances: str) -> None:
    here.client("ec2").start_instances(InstanceIds=[*instances])
    here.clock.advance(300)


def register(here: World, group: str, *instances: str) -> None:
    """And wait until they are checked."""
    here.client("elbv2").register_targets(TargetGroupArn=group, Targets=[{"Id": item} for item in instances])
    here.clock.advance(300)


def deregister(here: World, group: str, *instances: str) -> None:
    """And wait until they are drained."""
    targets = [{"Id": item, "Port": 80} for item in instances]
    here.client("elbv2").deregister_targets(TargetGroupArn=group, Targets=targets)
    here.clock.advance(600)


def by_hand(here: World, spec: Spec, names: Iterable[str], group: str = "web") -> None:
    """Register these instances where the spec leaves it to others."""
    known = ids(here, spec)
    register(here, known[f"target_group.{group}"], *(known[f"instance.{name}"] for name in names))


def foreign(here: World, subnet: str, group: str) -> str:
    """An instance that isn't the stack's, and is registered in a group."""
    ec2 = here.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (made,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)["Instances"]
    here.clock.advance(300)
    register(here, group, made["InstanceId"])
    return str(made["InstanceId"])


def parked(spec: Spec, weight: int | None = None) -> Spec:
    """Another group, whose targets others register, and instances for it; the listener gives it this weight."""
    other = copy.deepcopy(spec) if weight is None else turned(spec, web=1, green=weight)
    other["instances"]["green"] = {
        **copy.deepcopy(spec["instances"]["web"]), "type_change": "in-place", "rollout": {"max_unavailable": 1},
    }  # fmt: skip
    other["target_groups"]["green"] = copy.deepcopy(spec["target_groups"]["web"])
    del other["target_groups"]["green"]["targets"]
    return other


def before_each(here: World, do: Callable[[str, Mapping[str, Any]], Any], *operations: str) -> None:
    """Do this with each such call that is about to be made."""
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation in operations and "DryRun" not in params:
            do(operation, params)
        return real(service, operation, params)

    here._call = call  # type: ignore[method-assign]


def after_the_first(here: World, which: str, do: Callable[[Mapping[str, Any]], Any]) -> None:
    """Do this once, right after the first such call."""
    real, done = here._call, list[str]()

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = real(service, operation, params)
        if operation == which and not done:
            done.append(operation)
            do(params)
        return answer

    here._call = call  # type: ignore[method-assign]


def watch(here: World, low: list[int]) -> None:
    """Note after each change how many targets of the group that gets the requests are healthy."""
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = real(service, operation, params)
        if not operation.startswith("describe_"):
            elb = here.client("elbv2")
            (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
            (found,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
            parts = found["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
            low.append(
                sum(healthy(here, part["TargetGroupArn"]) for part in parts if part["Weight"] or len(parts) == 1)
            )
        return answer

    here._call = call  # type: ignore[method-assign]


def watched(here: World) -> list[int]:
    """What `watch` is going to note."""
    low: list[int] = []
    watch(here, low)
    return low
