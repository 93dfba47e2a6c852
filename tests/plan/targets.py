"""Stacks whose targets are counted."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from alb_reconcile.model.address import Address
from tests.harness import Spec, World, demo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GROUP = Address("target_group", "web")


def web(count: int, version: str, **rollout: Any) -> Spec:
    spec = demo()
    spec["instances"]["web"] |= {"count": count, "user_data": f"#!/bin/sh\nexec web-api {version}\n"}
    if rollout:
        spec["instances"]["web"]["rollout"] = rollout
    return spec


def ids(here: World, spec: Spec) -> dict[str, str]:
    return {str(address): found for address, found in here.plan(spec).ids.items()}


def healthy(here: World, group: str) -> int:
    told = here.client("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return sum(item["TargetHealth"]["State"] == "healthy" for item in told)


def by_hand(here: World, spec: Spec, names: Iterable[str], group: str = "web") -> None:
    """Register these instances where the spec leaves it to others."""
    known = ids(here, spec)
    told = [{"Id": known[f"instance.{name}"]} for name in names]
    here.client("elbv2").register_targets(TargetGroupArn=known[f"target_group.{group}"], Targets=told)
    here.clock.advance(300)


def foreign(here: World, subnet: str) -> str:
    """An instance that isn't the stack's."""
    ec2 = here.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (made,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)["Instances"]
    here.clock.advance(300)
    return str(made["InstanceId"])


def parked(spec: Spec, weight: int | None = None) -> Spec:
    """Another group, whose targets others register, and instances for it; the listener gives it this weight."""
    other = copy.deepcopy(spec)
    other["instances"]["green"] = {
        **copy.deepcopy(spec["instances"]["web"]), "type_change": "in-place", "rollout": {"max_unavailable": 1},
    }  # fmt: skip
    other["target_groups"]["green"] = copy.deepcopy(spec["target_groups"]["web"])
    del other["target_groups"]["green"]["targets"]
    if weight is not None:
        forward = {"target_groups": [{"target_group": "web", "weight": 1}, {"target_group": "green", "weight": weight}]}
        other["load_balancers"]["public"]["listeners"]["http"]["default_action"] = {"forward": forward}
    return other


def watch(here: World, low: list[int]) -> None:
    """Note after each change how many targets of the group that gets the requests are healthy."""
    real = here._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = real(service, operation, params)
        if not operation.startswith("describe_"):
            elb = here.client("elbv2")
            (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
            (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
            parts = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
            low.append(
                sum(healthy(here, part["TargetGroupArn"]) for part in parts if part["Weight"] or len(parts) == 1)
            )
        return answer

    here._call = call  # type: ignore[method-assign]
