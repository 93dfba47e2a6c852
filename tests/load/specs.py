"""Specs that proofs under load begin and end with, and the versions that their instances report."""

from __future__ import annotations

import copy
import re
from typing import Any

from alb_reconcile.model.address import UserData
from tests.harness import Spec, demo
from tests.kinds.test_nat_gateway import private_stack


def web(*, count: int = 2, version: str, stack: str = "load", port: int = 80, **rollout: Any) -> Spec:
    """The demo with a stack's name, size, version (its user data), the group's port, and how it is rolled.

    A version listens at the ports that it names, as in 8080-sixth, or at 80. Requests are let in on either of two ports. A new target has half an hour of AWS's time to get healthy,
    because its process starts in this machine's time.
    """
    spec = demo()
    spec["stack"] = stack
    ingress = spec["security_groups"]["web"]["ingress"]
    spec["security_groups"]["web"]["ingress"] = [ingress[0] | {"port": number} for number in (80, 8080)]
    instances = spec["instances"]["web"]
    instances |= {"count": count, "user_data": user_data(version)}
    instances["rollout"] = {"max_surge": 1, "health_timeout": "30m"} | rollout
    spec["target_groups"]["web"]["port"] = port
    spec["target_groups"]["web"]["attributes"]["deregistration_delay.timeout_seconds"] = 30
    return spec


def private(*, version: str, addresses: str = "nat") -> Spec:
    """specs/private.yaml with a version, and other names of its NAT gateways' addresses."""
    spec = private_stack()
    spec["elastic_ips"] = {f"{addresses}-{zone}": {} for zone in "ab"}
    spec["nat_gateways"] = {zone: {"subnet": f"public-{zone}", "elastic_ip": f"{addresses}-{zone}"} for zone in "ab"}
    spec["instances"]["web"] |= {"user_data": user_data(version)}
    spec["instances"]["web"]["rollout"] = {"max_surge": 2, "health_timeout": "2h"}
    spec["target_groups"]["web"]["attributes"]["deregistration_delay.timeout_seconds"] = 30
    return spec


def two_ports() -> Spec:
    """Two instances that listen at 80 and 8080, behind a group for each port, and rules to both."""
    spec = web(version="80-8080-first", stack="changes")
    spec["target_groups"]["api"] = {**copy.deepcopy(spec["target_groups"]["web"]), "port": 8080}
    listener(spec)["rules"] = {
        "v2": {"priority": 10, "conditions": [{"path_pattern": "/v2/*"}], "action": {"forward": "api"}}
    }
    return spec


def user_data(version: str) -> str:
    """User data, which is never run here. Instances report its digest as their version."""
    ports = " ".join(f"PORT={word}" for word in version.split("-") if re.fullmatch("80|8080", word))
    return f"#!/bin/sh\n{ports} exec web-api --version {version}\n"


def told(version: str) -> str:
    """What instances report as their version."""
    return UserData.of(user_data(version).encode()).digest


def two_groups(**action: Any) -> Spec:
    """Two instances of version `blue` behind the group `web`, two of `green` behind `other`; and the default action."""
    spec = web(version="blue", stack="pair")
    spec["instances"]["other"] = spec["instances"]["web"] | {"user_data": user_data("green")}
    spec["target_groups"]["other"] = spec["target_groups"]["web"] | {"targets": ["other"]}
    listener(spec)["default_action"] = action
    return spec


def listener(spec: Spec) -> dict[str, Any]:
    """The listener's entry."""
    found: dict[str, Any] = spec["load_balancers"]["public"]["listeners"]["http"]
    return found
